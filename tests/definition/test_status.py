"""Which states are ends."""

from __future__ import annotations

from airflow_sm_pipelines.definition.status import ExecutionStatus, StepStatus


def test_an_execution_has_ended_in_all_states_but_two() -> None:
    assert [str(status) for status in ExecutionStatus if not status.is_terminal] == ["Executing", "Stopping"]


def test_a_step_has_ended_in_three_states() -> None:
    assert [str(status) for status in StepStatus if status.is_terminal] == ["Stopped", "Failed", "Succeeded"]
