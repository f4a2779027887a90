"""The trigger of one step's task: how it ends the task, what it shows, and whose end stops the execution."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.triggers.base import TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent

from airflow_sm_pipelines.airflow_task.group_record import GROUP_KEY, STEP_KEY
from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.exceptions import PipelineUnavailableError
from airflow_sm_pipelines.runs.repair import mark_step
from airflow_sm_pipelines.runs.step_repairer import Mirrored, StepMemory
from airflow_sm_pipelines.triggers import mirrored_step, wait_schedule
from airflow_sm_pipelines.triggers.final_reports import FinalReports
from airflow_sm_pipelines.triggers.mirrored_step import SageMakerMirroredStepTrigger
from tests.airflow_fakes import FAILED_STEPS, SUCCEEDED_STEPS, TRAIN_ARN

if TYPE_CHECKING:
    from tests.airflow_fakes import FakeSageMaker

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e"
TASK = SimpleNamespace(dag_id="d", run_id="r", task_id="g.steps.B", map_index=-1, try_number=2)


def make_trigger(**arguments: Any) -> SageMakerMirroredStepTrigger:
    found = SageMakerMirroredStepTrigger(
        step_name="B", run_task_id="g.run", ended_task_id="g.ended", step_prefix="g.steps.", **arguments
    )
    found.task_instance = TASK  # type: ignore[assignment]
    return found


def report(status: str, **steps: str) -> ExecutionReport:
    found = (StepReport(name, "Training", state, start_time=state) for name, state in steps.items())
    return ExecutionReport(ARN, status, steps=tuple(found))


@pytest.mark.parametrize(
    ("verdict", "event"), [("succeed", TaskSuccessEvent), ("fail", TaskFailedEvent), ("skip", TaskSkippedEvent)]
)
def test_it_ends_its_task_without_a_worker(verdict: str, event: type) -> None:
    trigger = make_trigger()
    assert isinstance(trigger.make_event({"verdict": verdict}), event)
    assert trigger.hold_seconds() == 0


def test_where_a_worker_has_deferred_the_worker_goes_on_with_the_payload() -> None:
    trigger = make_trigger(mirrored={"arn": ARN, "began": None, "old_mark": None})
    assert trigger.make_event({"verdict": "skip"}).payload == {"verdict": "skip"}


def test_it_waits_for_its_step_and_takes_no_end_from_before_a_repair_for_it() -> None:
    trigger = make_trigger()
    assert not trigger.is_over(report("Executing", A="Succeeded", B="Executing"))
    assert trigger.is_over(report("Executing", B="Failed"))
    assert trigger.is_over(report("Failed", A="Failed"))
    check = StepReport("Check", "Condition", "Succeeded", metadata={"Condition": {"Outcome": "False"}})
    assert make_trigger(branches=[["Check", True]]).is_over(ExecutionReport(ARN, "Executing", steps=(check,)))
    assert not make_trigger(branches=[["Check", False]]).is_over(ExecutionReport(ARN, "Executing", steps=(check,)))
    trigger._old_mark = mark_step(report("Failed", B="Failed"), "B")
    assert not trigger.is_over(report("Executing", B="Failed"))
    assert trigger.is_over(report("Executing", B="Succeeded"))
    assert [step.name for step in trigger.select_shown(report("Executing", A="Failed", B="Executing")).steps] == ["B"]


def test_until_a_person_is_asked_it_waits_for_the_step_to_wait_for_its_answer() -> None:
    callback = {"CallbackToken": "abcdefghij", "SqsQueueUrl": "q"}
    step = StepReport("B", "Callback", "Executing", metadata={"Callback": callback})
    asks = ExecutionReport(ARN, "Executing", steps=(step,))
    assert make_trigger(until_asked=True).is_over(asks)
    assert not make_trigger(until_asked=True).is_over(report("Executing", B="Executing"))
    assert not make_trigger().is_over(asks)


@pytest.mark.parametrize(
    ("state", "kept", "is_stopped"),
    [
        ("failed", None, True),
        ("skipped", None, True),
        ("deleted", None, True),
        (None, None, False),
        ("deferred", None, False),
        ("failed", "failed", False),
        ("success", "failed", True),
    ],
)
def test_only_the_end_of_the_last_task_during_this_attempt_stops_the_execution(
    state: str | None, kept: str | None, is_stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []
    monkeypatch.setattr(mirrored_step, "request_task_state", lambda task: state if task.task_id == "g.ended" else "x")
    monkeypatch.setattr(mirrored_step, "stop_now", lambda arn, **_: stopped.append(arn))
    trigger = make_trigger()
    trigger.execution_arn = ARN
    trigger._record = SimpleNamespace(memory=StepMemory(2, kept=kept))  # type: ignore[assignment]
    trigger._stop_if_group_ended()
    assert stopped == ([ARN] if is_stopped else [])


@pytest.mark.parametrize(
    ("has_task", "arn", "stop_on_kill", "begun"),
    [(True, ARN, True, 1), (False, ARN, True, 0), (True, "", True, 0), (True, ARN, False, 0)],
)
def test_a_kill_asks_whether_the_group_was_ended_where_there_is_something_to_stop(
    monkeypatch: pytest.MonkeyPatch, has_task: bool, arn: str, stop_on_kill: bool, begun: int
) -> None:
    trigger = make_trigger(stop_on_kill=stop_on_kill)
    trigger.execution_arn = arn
    trigger.task_instance = TASK if has_task else None  # type: ignore[assignment]
    started: list[Any] = []
    monkeypatch.setattr(trigger, "start_stopping", started.append)
    trigger.begin_kill()
    assert started == [trigger._stop_if_group_ended] * begun


def test_a_moment_without_an_answer_fails_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrored_step, "PAUSES", (0.0, 0.0))
    answers = [PipelineUnavailableError("busy", code="Throttling"), "done"]

    def work() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert asyncio.run(make_trigger()._insist(work)) == "done"


class Answers:
    """What one call after the other gives."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def __call__(self, *_: Any) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


BUSY = PipelineUnavailableError("busy", code="Throttling")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made; none takes time."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(mirrored_step.asyncio, "sleep", sleep)
    return found


def test_what_is_not_answered_is_asked_again_for_two_minutes(pauses: list[float]) -> None:
    assert asyncio.run(make_trigger()._insist(Answers(*[BUSY] * 5, "done"))) == "done"
    assert pauses == [2.0, 5.0, 10.0, 30.0, 60.0]
    with pytest.raises(PipelineUnavailableError):
        asyncio.run(make_trigger()._insist(Answers(*[BUSY] * 6)))


def test_an_execution_is_looked_for_at_the_repairers_interval_and_later_and_later_while_refused(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Mirrored(ARN, BEGAN, "mark")
    repairer = SimpleNamespace(look=Answers(None, None, None, BUSY, BUSY, BUSY, None, BUSY, found), delay_seconds=None)
    record = SimpleNamespace(memory=StepMemory(2))
    trigger = make_trigger(waiter_delay=45.0)
    monkeypatch.setattr(trigger, "_open_record", lambda: record)
    monkeypatch.setattr(trigger, "_make_repairer", Answers(BUSY, repairer))

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        repairer.delay_seconds = {2: 4.0, 3: 60.0}.get(len(pauses))

    monkeypatch.setattr(mirrored_step.asyncio, "sleep", sleep)
    assert asyncio.run(trigger._find_execution()) == found
    assert pauses == [2.0, 1.0, 4.0, 45.0, 2.0, 4.0, 8.0, 1.0, 2.0]
    record.memory.ended_at, record.memory.arn = 1.0, "shown"
    assert asyncio.run(trigger._find_execution()) == Mirrored("shown")


def test_the_groups_time_counts_from_the_begin_of_its_execution() -> None:
    trigger = make_trigger(max_wait_seconds=60)
    assert trigger._plan_deadline("2026-11-30T10:00:00+00:00") == "2026-11-30T10:01:00+00:00"
    assert trigger._plan_deadline(None) is None
    assert make_trigger()._plan_deadline("2026-11-30T10:00:00+00:00") is None


XComs = dict[tuple[Any, ...], Any]
BEGAN = "2026-11-30T10:00:00+00:00"


@pytest.fixture
def fake(
    endpoint: tuple[FakeSageMaker, str],
    fake_is_aws: None,
    xcoms: XComs,
    no_pauses: None,
    monkeypatch: pytest.MonkeyPatch,
) -> FakeSageMaker:
    """The fake, with a pipeline ``p``, and no report of another test's execution of the same name."""
    monkeypatch.setattr(mirrored_step, "FINAL_REPORTS", FinalReports())
    endpoint[0].add_pipeline("p")
    return endpoint[0]


def start(fake: FakeSageMaker, statuses: list[str], steps: list[dict[str, Any]]) -> str:
    fake.statuses, fake.steps, fake.failure_reason = statuses, steps, "A step failed"
    request = {"PipelineName": "p", "ClientRequestToken": f"t{len(fake.executions)}"}
    return str(fake.op_StartPipelineExecution(request)["PipelineExecutionArn"])


def mirror(arn: str, **arguments: Any) -> dict[str, Any]:
    """How the wait of a trigger ends that a worker has made, as under ``airflow dags test``."""
    usual = {"step_name": "Train", "run_task_id": "g.run", "ended_task_id": "g.ended", "step_prefix": "g.steps."}
    found = {"arn": arn, "began": BEGAN, "old_mark": None}
    choices = {"mirrored": found, "aws_conn_id": None, "stream_logs": False}
    trigger = SageMakerMirroredStepTrigger(**{**usual, **choices, **arguments})
    return asyncio.run(asyncio.wait_for(trigger.wait(), 30))


def test_a_step_that_succeeded_yields_what_it_has_made_and_its_links(
    fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SM_PIPELINES_CONSOLE_URL", "http://127.0.0.1:9/console")
    arn = start(fake, ["Executing"], SUCCEEDED_STEPS[:1])
    event = mirror(arn)
    assert (event["kind"], event["verdict"], event["seen"][0]) == ("step", "succeed", arn)
    assert event["xcoms"]["return_value"].items() <= event["xcoms"].items()
    wanted = {"name": "Train", "status": "Succeeded", "job_arn": TRAIN_ARN, "model": "s3://bucket/model.tar.gz"}
    assert wanted.items() <= event["xcoms"].items()
    assert set(event["links"]) >= {"sagemaker_execution_link", "sagemaker_pipeline_link"}
    assert "Train" in event["text"]


@pytest.mark.parametrize(
    ("step", "status", "steps", "verdict", "named"),
    [
        ("Evaluate", "Executing", FAILED_STEPS, "fail", "AlgorithmError: exit code 3"),
        ("Register", "Failed", FAILED_STEPS, "fail", "'Register' was not reached"),
        ("Register", "Succeeded", SUCCEEDED_STEPS, "skip", "'Register' did not run"),
    ],
)
def test_a_step_that_has_not_succeeded_yields_nothing_but_the_reason(
    fake: FakeSageMaker, step: str, status: str, steps: list[dict[str, Any]], verdict: str, named: str
) -> None:
    arn = start(fake, [status], steps)
    event = mirror(arn, step_name=step)
    assert (event["verdict"], event["xcoms"]) == (verdict, {})
    assert named in event["text"]
    assert arn in event["text"]


@pytest.mark.parametrize(("stop_on_kill", "stops", "verdict"), [(True, 1, "fail"), (False, 0, "skip")])
def test_when_the_groups_time_is_over_the_execution_is_stopped_if_wanted_and_its_end_is_waited_for(
    fake: FakeSageMaker, stop_on_kill: bool, stops: int, verdict: str
) -> None:
    arn = start(fake, ["Executing", "Executing", "Succeeded"], SUCCEEDED_STEPS[:1])
    event = mirror(arn, step_name="Evaluate", max_wait_seconds=1.0, stop_on_kill=stop_on_kill)
    assert len(fake.executions[arn].stops) == stops
    assert event["verdict"] == verdict


def test_an_execution_that_is_not_there_fails_the_task_and_is_named(fake: FakeSageMaker) -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/nosuch000000"
    event = mirror(arn)
    assert (event["kind"], event["verdict"], event["xcoms"]) == ("step", "fail", {})
    assert arn in event["text"]


def test_in_a_triggerer_it_finds_its_execution_pushes_what_the_step_yields_and_remembers_the_end_it_has_shown(
    fake: FakeSageMaker, xcoms: XComs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait_schedule, "GATHER_SECONDS", 0.0)
    monkeypatch.setenv("SM_PIPELINES_CONSOLE_URL", "http://127.0.0.1:9/console")
    arn = start(fake, ["Executing", "Succeeded"], SUCCEEDED_STEPS)
    xcoms["d", "r", "g.run", 2, GROUP_KEY] = {"arn": arn, "began": BEGAN}
    trigger = SageMakerMirroredStepTrigger(
        step_name="Train",
        run_task_id="g.run",
        ended_task_id="g.ended",
        step_prefix="g.steps.",
        aws_conn_id=None,
        waiter_delay=0.05,
        max_wait_seconds=1e9,
    )
    task = SimpleNamespace(dag_id="d", run_id="r", task_id="g.steps.Train", map_index=2, try_number=1)
    trigger.task_instance = task  # type: ignore[assignment]
    event = asyncio.run(asyncio.wait_for(trigger.wait(), 30))
    assert (event["verdict"], trigger.execution_arn) == ("succeed", arn)
    assert trigger.deadline is not None
    place = ("d", "r", "g.steps.Train", 2)
    links = {key[-1]: value for key, value in xcoms.items() if key[:-1] == place and str(key[-1]).endswith("_link")}
    assert links == event["links"] != {}
    assert xcoms[(*place, "model")] == "s3://bucket/model.tar.gz"
    assert xcoms[(*place, "return_value")]["name"] == "Train"
    memory = xcoms["d", "r", "g.run", 2, f"{STEP_KEY}Train"]
    assert memory["seen"] == event["seen"]
    assert memory["keys"] == sorted(event["xcoms"])
    assert memory["ended_at"] is not None


def test_a_cleared_task_begins_without_the_xcoms_of_the_attempt_before_and_keeps_how_the_group_had_ended(
    xcoms: XComs, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted: list[str] = []
    monkeypatch.setattr(mirrored_step, "delete_xcoms", lambda _, keys: deleted.extend(keys))
    monkeypatch.setattr(mirrored_step, "request_task_state", lambda task: {"g.ended": "failed"}.get(task.task_id))
    key = ("d", "r", "g.run", -1, f"{STEP_KEY}B")
    xcoms[key] = StepMemory(1, seen=("arn", "mark"), keys=["model"]).to_json()
    record = make_trigger()._open_record()
    assert deleted == ["model", "sagemaker_log_cursor"]
    assert (record.memory.attempt, record.memory.seen, record.memory.kept) == (2, ("arn", "mark"), "failed")
    assert xcoms[key]["attempt"] == 2
    deleted.clear()
    assert not make_trigger()._open_record().is_new
    assert deleted == [], "another triggerer goes on with the same attempt"


@pytest.mark.parametrize(("stop_on_kill", "expected"), [(True, [ARN]), (False, [])])
def test_the_end_of_the_group_by_hand_stops_the_execution_while_a_step_waits(
    monkeypatch: pytest.MonkeyPatch, stop_on_kill: bool, expected: list[str]
) -> None:
    asked: list[str] = []
    stopped: list[str] = []

    async def request(task: Any) -> str:
        asked.append(task.task_id)
        return "failed" if len(asked) > 1 else "deferred"

    monkeypatch.setattr(mirrored_step, "TASK_CHECK_SECONDS", 0.01)
    monkeypatch.setattr(mirrored_step, "TASK_STATES", SimpleNamespace(request=request))
    monkeypatch.setattr(mirrored_step, "stop_now", lambda arn, **_: stopped.append(arn) or True)
    trigger = make_trigger(stop_on_kill=stop_on_kill)
    trigger.execution_arn = ARN
    asyncio.run(asyncio.wait_for(trigger._follow_group(), 20))
    assert stopped == expected
    assert set(asked) == ({"g.ended"} if stop_on_kill else set())
