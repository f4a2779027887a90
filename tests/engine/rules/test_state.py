"""Which status may follow which."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.definition.status import ExecutionStatus as Execution
from airflow_sm_pipelines.definition.status import StepStatus as Step
from airflow_sm_pipelines.engine.rules.errors import StateError
from airflow_sm_pipelines.engine.rules.state import check_execution_change, check_step_change, is_retryable

LEGAL_EXECUTION = {
    (Execution.EXECUTING, Execution.STOPPING),
    (Execution.EXECUTING, Execution.FAILED),
    (Execution.EXECUTING, Execution.SUCCEEDED),
    (Execution.EXECUTING, Execution.COMPLETED_WITH_FAILURES),
    (Execution.STOPPING, Execution.STOPPED),
    (Execution.STOPPING, Execution.FAILED),
    (Execution.STOPPED, Execution.EXECUTING),
    (Execution.FAILED, Execution.EXECUTING),
    (Execution.COMPLETED_WITH_FAILURES, Execution.EXECUTING),
}


@pytest.mark.parametrize("current", list(Execution))
@pytest.mark.parametrize("new", list(Execution))
def test_an_execution_changes_only_along_the_documented_ways(current: Execution, new: Execution) -> None:
    if (current, new) in LEGAL_EXECUTION:
        check_execution_change(current, new)
    else:
        with pytest.raises(StateError, match=f"{current} to {new}"):
            check_execution_change(current, new)


@pytest.mark.parametrize("current", list(Step))
@pytest.mark.parametrize("new", list(Step))
def test_a_step_that_ended_never_changes_and_one_that_runs_may_end_in_any_way(current: Step, new: Step) -> None:
    if current.is_terminal:
        is_legal = False
    elif new.is_terminal:
        is_legal = True
    else:
        is_legal = (current, new) in {
            (Step.STARTING, Step.EXECUTING),
            (Step.STARTING, Step.STOPPING),
            (Step.EXECUTING, Step.STOPPING),
            (Step.EXECUTING, Step.STARTING),
        }
    if is_legal:
        check_step_change(current, new)
    else:
        with pytest.raises(StateError):
            check_step_change(current, new)


def test_only_what_failed_or_was_stopped_can_be_retried() -> None:
    retryable = {status for status in Execution if is_retryable(status)}
    assert retryable == {Execution.FAILED, Execution.STOPPED, Execution.COMPLETED_WITH_FAILURES}
