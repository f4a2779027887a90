"""One execution per intention, against an endpoint that keeps its promise about tokens."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines import exceptions
from airflow_sm_pipelines.airflow_task.task_state_store import CLEARED_KEY, SUBMISSION_KEY, TaskStateStore
from airflow_sm_pipelines.cli.entry_point import main
from airflow_sm_pipelines.client.wait_policy import WaitPolicy
from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
from airflow_sm_pipelines.runs import start_request, submitter
from airflow_sm_pipelines.runs.submission import TaskIdentity
from airflow_sm_pipelines.runs.submitter import ExecutionSubmitter
from tests.airflow_fakes import FAILED_STEPS, Fault
from tests.airflow_objects import FakeTaskStateStore

if TYPE_CHECKING:
    from tests.airflow_fakes import FakeSageMaker

FIRST = TaskIdentity(
    dag_id="d", run_id="r", task_id="t", map_index=-1, run_start="2026", max_tries=2, clear_number=0, try_number=1
)
RETRY = replace(FIRST, try_number=2)
CLEARED = replace(FIRST, try_number=2, max_tries=4, clear_number=1)
REQUEST = {"PipelineName": "p", "PipelineParameters": [{"Name": "MaxDepth", "Value": "5"}]}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once."""
    monkeypatch.setattr(submitter, "START_PAUSES", (0.0, 0.0))


class Crash(BaseException):
    """The worker dies here."""


@dataclass
class State(FakeTaskStateStore):
    """A task state store that may die before one of its writes."""

    die_before_write: int | None = None
    writes: int = 0

    def set(self, key: str, value: Any) -> None:
        self.writes += 1
        if self.writes == self.die_before_write:
            raise Crash
        super().set(key, value)


@pytest.fixture
def ready(fake: FakeSageMaker, fake_is_aws: None) -> FakeSageMaker:
    """A fake with pipeline ``p`` that this process's boto3 talks to."""
    fake.add_pipeline("p")
    fake.statuses = ["Executing"]
    return fake


def submit(
    state: State | None,
    identity: TaskIdentity,
    *,
    request: dict[str, Any] | None = None,
    on_retry: str = "resume",
    **options: Any,
) -> str:
    one = ExecutionSubmitter(
        SageMakerPipelinesHook(aws_conn_id=None, config={"retries": {"max_attempts": 0}}),
        store=TaskStateStore({"task_state_store": state}),
        identity=identity,
        policy=WaitPolicy(),
        on_retry=on_retry,
        **options,
        log=logging.getLogger("test"),
    )
    return one.submit(request or REQUEST)


def test_a_worker_that_dies_before_the_start_call_has_started_nothing(ready: FakeSageMaker) -> None:
    state = State()
    state.die_before_write = 1
    with pytest.raises(Crash):
        submit(state, FIRST)
    assert not ready.executions
    submit(state, RETRY)
    assert len(ready.executions) == 1


def test_a_worker_that_dies_after_the_start_call_finds_its_execution_again(ready: FakeSageMaker) -> None:
    state = State()
    state.die_before_write = 2
    with pytest.raises(Crash):
        submit(state, FIRST)
    (arn,) = ready.executions
    assert submit(state, RETRY) == arn
    assert len(ready.executions) == 1
    assert state.values[SUBMISSION_KEY]["execution_arn"] == arn


def test_the_lost_call_is_repeated_word_for_word_when_templates_have_changed_since(ready: FakeSageMaker) -> None:
    state = State()
    state.die_before_write = 2
    with pytest.raises(Crash):
        submit(state, FIRST)
    changed = {**REQUEST, "PipelineParameters": [{"Name": "MaxDepth", "Value": "6"}]}
    submit(state, RETRY, request=changed)
    assert len(ready.executions) == 1


def test_an_answer_lost_after_the_service_accepted_starts_nothing_twice(ready: FakeSageMaker) -> None:
    state = State()
    ready.fail_next("StartPipelineExecution", Fault("InternalFailure", 500, is_done_first=True, times=3))
    with pytest.raises(exceptions.PipelineUnavailableError):
        submit(state, FIRST)
    submit(state, RETRY)
    assert len(ready.executions) == 1


def test_a_start_without_an_answer_is_asked_again_in_the_same_attempt(ready: FakeSageMaker) -> None:
    ready.fail_next("StartPipelineExecution", Fault("InternalFailure", 500, is_done_first=True, times=2))
    arn = submit(State(), FIRST)
    assert list(ready.executions) == [arn]
    assert len({request["ClientRequestToken"] for request in ready.requests("StartPipelineExecution")}) == 1


def test_the_command_asks_again_too(ready: FakeSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    ready.fail_next("StartPipelineExecution", Fault("InternalFailure", 500, is_done_first=True, times=2))
    assert main(["run", "p", "--no-follow"]) == 0
    assert len(ready.executions) == 1


def test_a_start_that_stays_without_an_answer_says_what_may_be_running(ready: FakeSageMaker) -> None:
    ready.fail_next("StartPipelineExecution", Fault("InternalFailure", 500, is_done_first=True, times=3))
    with pytest.raises(exceptions.PipelineUnavailableError) as caught:
        submit(State(), FIRST)
    (arn,) = ready.executions
    expected = "may be running all the same. "
    expected += f"Executions of 'p' in the last 10 minutes: {arn} (Executing)."
    assert expected in str(caught.value)
    (asked,) = ready.requests("ListPipelineExecutions")
    assert asked["CreatedAfter"]
    ready.fail_next("StartPipelineExecution", Fault("InternalFailure", 500, times=3))
    ready.fail_next("ListPipelineExecutions", Fault("AccessDeniedException"))
    with pytest.raises(exceptions.PipelineUnavailableError, match=r"could not be asked: .*AccessDenied"):
        submit(State(), replace(FIRST, task_id="other"))


def test_a_throttled_start_has_started_nothing_and_says_nothing_else(ready: FakeSageMaker) -> None:
    ready.fail_next("StartPipelineExecution", Fault("ThrottlingException", times=3))
    with pytest.raises(exceptions.PipelineUnavailableError) as caught:
        submit(State(), FIRST)
    assert "may be running" not in str(caught.value)


def test_an_alias_that_is_being_moved_is_asked_for_again(ready: FakeSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_request, "MISSING_ALIAS_PAUSE", 0.01)
    request = {**REQUEST, "PipelineVersionAlias": "prod"}
    ready.fail_next("StartPipelineExecution", Fault("ResourceNotFound", times=3))
    arn = submit(State(), FIRST, request=request)
    assert list(ready.executions) == [arn]
    monkeypatch.setattr(start_request, "MISSING_ALIAS_SECONDS", 0.05)
    ready.fail_next("StartPipelineExecution", Fault("ResourceNotFound", times=99))
    with pytest.raises(exceptions.PipelineNotFoundError):
        submit(State(), replace(FIRST, task_id="other"), request=request)


def test_a_retry_attaches_to_the_live_execution_without_a_start_call(ready: FakeSageMaker) -> None:
    state = State()
    arn = submit(state, FIRST)
    assert submit(state, RETRY) == arn
    assert ready.count("StartPipelineExecution") == 1


def test_a_retry_resumes_a_failed_execution(ready: FakeSageMaker) -> None:
    state = State()
    arn = submit(state, FIRST)
    ready.executions[arn].statuses, ready.executions[arn].steps = ["Failed"], FAILED_STEPS
    assert submit(state, RETRY) == arn
    assert len(ready.executions[arn].retries) == 1
    ready.executions[arn].statuses, ready.executions[arn].steps = ["Failed"], FAILED_STEPS
    submit(state, replace(RETRY, try_number=3))
    assert len(set(ready.executions[arn].retries)) == 2


def test_a_retry_restarts_a_failed_execution_when_told_so(ready: FakeSageMaker) -> None:
    state = State()
    arn = submit(state, FIRST)
    ready.executions[arn].statuses = ["Failed"]
    second = submit(state, RETRY, on_retry="restart")
    assert second != arn
    assert submit(state, replace(RETRY, try_number=3), on_retry="restart") == second
    assert len(ready.executions) == 2


def test_a_retry_of_what_must_fail_names_the_steps(ready: FakeSageMaker) -> None:
    state = State()
    arn = submit(state, FIRST)
    ready.executions[arn].statuses, ready.executions[arn].steps = ["Failed"], FAILED_STEPS
    with pytest.raises(exceptions.PipelineExecutionFailedError, match=r"Step 'Evaluate'.*exit code 3") as failure:
        submit(state, RETRY, on_retry="fail")
    assert failure.value.is_final


def test_what_a_fail_step_ended_is_not_resumed(ready: FakeSageMaker) -> None:
    state = State()
    arn = submit(state, FIRST)
    step = {"StepName": "TooHigh", "StepStatus": "Failed", "Metadata": {"Fail": {"ErrorMessage": "no"}}}
    ready.executions[arn].statuses, ready.executions[arn].steps = ["Failed"], [step]
    with pytest.raises(exceptions.PipelineExecutionFailedError, match="on_retry='restart' starts another") as failure:
        submit(state, RETRY)
    assert failure.value.is_final
    assert not ready.executions[arn].retries


def test_a_clear_stops_the_live_execution_and_starts_another(ready: FakeSageMaker) -> None:
    state = State()
    arn = submit(state, FIRST)
    second = submit(state, CLEARED)
    assert second != arn
    assert len(ready.executions[arn].stops) == 1
    assert submit(state, replace(CLEARED, try_number=3)) == second
    assert len(ready.executions) == 2


def test_a_cleared_task_resumes_its_execution_if_told_so(ready: FakeSageMaker) -> None:
    state = State()
    arn = submit(state, FIRST)
    ready.executions[arn].statuses, ready.executions[arn].steps = ["Failed"], FAILED_STEPS
    assert submit(state, CLEARED, on_clear="resume") == arn
    assert (len(ready.executions), ready.count("RetryPipelineExecution")) == (1, 1)
    assert state.values[SUBMISSION_KEY]["max_tries"] == CLEARED.max_tries


def test_a_clear_of_another_task_counts_once(ready: FakeSageMaker) -> None:
    state = State()
    arn = submit(state, FIRST)
    submit(state, replace(RETRY, clear_number=1))
    ready.executions[arn].statuses, ready.executions[arn].steps = ["Failed"], FAILED_STEPS
    assert submit(state, replace(RETRY, clear_number=1, try_number=3)) == arn


def test_a_task_that_was_ended_before_its_start_call_starts_nothing(ready: FakeSageMaker) -> None:
    state = State()

    def refuse() -> None:
        assert state.values[SUBMISSION_KEY]["execution_arn"] is None
        raise Crash

    with pytest.raises(Crash):
        submit(state, FIRST, check_wanted=refuse)
    assert ready.count("StartPipelineExecution") == 0


def test_a_clear_after_a_lost_answer_takes_the_unknown_execution_on(ready: FakeSageMaker) -> None:
    state = State()
    state.die_before_write = 2
    with pytest.raises(Crash):
        submit(state, FIRST)
    (arn,) = ready.executions
    assert submit(state, CLEARED) == arn
    assert len(ready.executions) == 1


@pytest.mark.parametrize("is_answered", [True, False], ids=["answered", "answer lost"])
def test_what_was_cleared_while_it_ran_is_not_taken_on(ready: FakeSageMaker, is_answered: bool) -> None:
    state = State()
    if is_answered:
        submit(state, FIRST)
    else:
        state.die_before_write = 2
        with pytest.raises(Crash):
            submit(state, FIRST)
    (old,) = ready.executions
    state.values[CLEARED_KEY] = {"token": state.values[SUBMISSION_KEY]["token"]}
    new = submit(state, replace(RETRY, clear_number=1))
    assert new != old
    assert [request["PipelineExecutionArn"] for request in ready.requests("StopPipelineExecution")] == [old]
    assert submit(state, replace(RETRY, clear_number=1, try_number=3)) == new, "the next retry is none any more"


def test_a_refused_start_is_not_repeated_with_its_wrong_request(ready: FakeSageMaker) -> None:
    state = State()
    ready.fail_next("StartPipelineExecution", Fault("ValidationException"))
    with pytest.raises(exceptions.PipelineRequestError):
        submit(state, FIRST)
    changed = {"PipelineName": "p"}
    submit(state, CLEARED, request=changed)
    assert [one.request for one in ready.executions.values()] == [changed]


def test_an_execution_that_is_gone_is_replaced(ready: FakeSageMaker) -> None:
    state = State()
    submit(state, FIRST)
    ready.executions.clear()
    submit(state, RETRY)
    assert state.values[SUBMISSION_KEY]["number"] == 2
    assert len(ready.executions) == 1
    assert len(ready.tokens) == 2


def test_without_a_state_store_the_token_alone_finds_the_execution(
    ready: FakeSageMaker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "test")
    arn = submit(None, FIRST)
    assert submit(None, RETRY) == arn
    assert submit(None, replace(RETRY, try_number=3)) == arn
    assert len(ready.executions) == 1
    assert "no task state store" in caplog.text
    cleared = submit(None, CLEARED)
    assert cleared != arn
