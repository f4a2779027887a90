"""The operator of one step's task: what it hands to its trigger, and how it ends with what the trigger tells."""

from __future__ import annotations

import json
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.airflow_names import AirflowFailException, AirflowSkipException, TaskDeferred
from airflow_sm_pipelines.airflow_task.group_record import GROUP_KEY, STEP_KEY, describe_repair
from airflow_sm_pipelines.airflow_task.hook_arguments import HookArguments
from airflow_sm_pipelines.operators import mirror_step
from airflow_sm_pipelines.operators.mirror_step import TRIGGER, SageMakerMirrorStepOperator
from airflow_sm_pipelines.runs import step_repairer
from airflow_sm_pipelines.runs.step_repairer import Mirrored
from tests.airflow_objects import FakeTaskInstance, make_context

if TYPE_CHECKING:
    from tests.airflow_fakes import FakeSageMaker

OWN = {"step_name": "Train", "run_task_id": "g.run", "ended_task_id": "g.ended", "step_prefix": "g.steps."}
DISTINCT = {
    "branches": [["Check", True]],
    "waiter_delay": 7.0,
    "max_wait_seconds": 9.0,
    "stream_logs": False,
    "max_refused_seconds": 11.0,
    "stop_on_kill": False,
    "aws_conn_id": "ours",
    "region_name": "eu-west-1",
    "verify": False,
    "botocore_config": {"connect_timeout": 3},
}


def make_operator(**arguments: Any) -> SageMakerMirrorStepOperator:
    return SageMakerMirrorStepOperator(**{"task_id": "t", "aws_conn_id": None, **OWN, **arguments})


def make_task(try_number: int = 1) -> FakeTaskInstance:
    return FakeTaskInstance(task_id="g.steps.Train", try_number=try_number)


def test_each_choice_reaches_the_trigger_and_is_there_when_airflow_makes_it_again() -> None:
    module, _, name = TRIGGER.rpartition(".")
    trigger_class = getattr(import_module(module), name)
    arguments = {**OWN, **DISTINCT}
    operator = make_operator(**DISTINCT)
    _, stored = trigger_class(**operator.trigger_arguments()).serialize()
    assert {key: stored[key] for key in arguments} == arguments
    assert stored["progress_delay"] == 7.0, "each check shows the step"
    _, again = trigger_class(**json.loads(json.dumps(stored))).serialize()
    assert again == stored


def test_what_the_author_leaves_out_has_its_usual_value() -> None:
    assert make_operator().trigger_arguments() == {
        **OWN,
        "branches": [],
        "waiter_delay": 15.0,
        "max_wait_seconds": None,
        "stream_logs": True,
        "max_refused_seconds": 3600.0,
        "stop_on_kill": True,
        **HookArguments(aws_conn_id=None).to_json(),
    }
    assert make_operator(aws_conn_id="aws_default").hook_arguments == HookArguments()


def test_the_execution_is_looked_for_at_the_repairers_interval_and_never_later_than_the_authors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []
    looks: list[tuple[float | None, Any]] = [(None, None), (4.0, None), (60.0, None), (None, Mirrored("arn", "then"))]

    class Repairer:
        def __init__(self, *given: Any, **named: Any) -> None:
            made.append((*given, named))
            self.delay_seconds: float | None = None

        def look(self) -> Any:
            self.delay_seconds, found = looks.pop(0)
            return found

    pauses: list[float] = []
    monkeypatch.setattr(step_repairer, "StepRepairer", Repairer)
    monkeypatch.setattr(mirror_step.time, "sleep", pauses.append)
    operator = make_operator()
    monkeypatch.setattr(operator, "make_hook", lambda: "hook")
    monkeypatch.setattr(operator, "_open_record", lambda _: "record")
    found = operator._find_execution(make_task())
    assert found == {"arn": "arn", "began": "then", "old_mark": None}
    assert pauses == [1.0, 4.0, 15.0]
    ((hook, record, named),) = made
    assert (hook, record, named["step"], named["log"]) == ("hook", "record", "Train", operator.log)
    assert named["description"] == describe_repair(make_task(), "g.run")


@pytest.mark.usefixtures("fake_is_aws")
def test_a_worker_finds_the_execution_and_defers(fake: FakeSageMaker, xcoms: dict[tuple[Any, ...], Any]) -> None:
    fake.add_pipeline("p")
    arn = fake.op_StartPipelineExecution({"PipelineName": "p", "ClientRequestToken": "t"})["PipelineExecutionArn"]
    xcoms["d", "r", "g.run", -1, GROUP_KEY] = {"arn": arn, "began": "2026-11-30T10:00:00+00:00"}
    with pytest.raises(TaskDeferred) as caught:
        make_operator(**{**DISTINCT, "aws_conn_id": None}).execute(make_context(make_task()))
    _, stored = caught.value.trigger.serialize()
    assert stored["mirrored"] == {"arn": arn, "began": "2026-11-30T10:00:00+00:00", "old_mark": None}
    assert (stored["waiter_delay"], stored["stop_on_kill"], stored["step_name"]) == (7.0, False, "Train")
    assert caught.value.method_name == "execute_complete"


@pytest.mark.usefixtures("fake_is_aws", "xcoms")
def test_a_group_that_has_started_nothing_fails_its_steps_at_once(fake: FakeSageMaker) -> None:
    with pytest.raises(AirflowFailException, match="started no execution: see its task 'run'"):
        make_operator().execute(make_context(make_task()))


def event(verdict: str) -> dict[str, Any]:
    return {
        "kind": "step",
        "verdict": verdict,
        "text": f"Step 'Train' {verdict}",
        "xcoms": {"model": "s3://b/m", "return_value": {"model": "s3://b/m"}},
        "links": {"sagemaker_execution_link": "http://127.0.0.1:9/e"},
        "seen": ["arn", "mark"],
    }


@pytest.mark.parametrize(("verdict", "error"), [("fail", AirflowFailException), ("skip", AirflowSkipException)])
def test_a_step_that_failed_or_did_not_run_fails_or_skips_its_task_with_the_reason(
    verdict: str, error: type[Exception], xcoms: dict[tuple[Any, ...], Any]
) -> None:
    with pytest.raises(error, match=f"Step 'Train' {verdict}"):
        make_operator().execute_complete(make_context(make_task()), event(verdict))
    memory = xcoms["d", "r", "g.run", -1, f"{STEP_KEY}Train"]
    assert (memory["seen"], memory["attempt"]) == (["arn", "mark"], 1)
    assert memory["ended_at"] is not None


def test_a_step_that_succeeded_gives_what_it_yields_and_its_links(xcoms: dict[tuple[Any, ...], Any]) -> None:
    operator = make_operator()
    assert operator.execute_complete(make_context(make_task()), event("succeed")) == {"model": "s3://b/m"}
    assert operator.multiple_outputs
    assert xcoms["d", "r", "g.steps.Train", -1, "sagemaker_execution_link"] == "http://127.0.0.1:9/e"


@pytest.mark.parametrize("lost", [None, {"kind": "ended"}])
def test_a_lost_event_has_the_task_find_its_execution_again(
    lost: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = make_operator()
    monkeypatch.setattr(operator, "_open_record", lambda _: None)
    found = SimpleNamespace(look=lambda: SimpleNamespace(to_json=lambda: {"arn": "arn"}))
    monkeypatch.setattr(operator, "_make_repairer", lambda *_: found)
    with pytest.raises(TaskDeferred):
        operator.execute_complete(make_context(make_task()), lost)
