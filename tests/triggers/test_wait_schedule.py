"""When a watcher checks which pipeline, by value."""

from __future__ import annotations

from airflow_sm_pipelines.triggers.wait_schedule import ExecutionWait, WaitSchedule


def test_a_pipeline_of_young_waits_is_checked_earlier_but_many_pipelines_are_not() -> None:
    schedule = WaitSchedule()

    def wait(name: str) -> ExecutionWait:
        return ExecutionWait(f"arn:aws:sagemaker:r:1:pipeline/{name}/execution/e", 30, finish=print)

    schedule.add(wait("p0"), now=0.0)
    alone = schedule.next_pipeline()
    assert alone is not None
    schedule.plan_next_check(alone, now=1.0)
    assert alone.due == 3.0
    for number in range(1, 40):
        schedule.add(wait(f"p{number}"), now=1.0)
    schedule.plan_next_check(alone, now=2.0)
    assert alone.due == 32.0
