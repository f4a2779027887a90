"""The task that fails a run if any of its tasks failed."""

from __future__ import annotations

from airflow.sdk import TriggerRule, task


@task(trigger_rule=TriggerRule.ONE_FAILED, retries=0)
def watcher() -> None:
    """Fail."""
    raise AssertionError("A task of the run failed.")
