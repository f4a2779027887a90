"""When a watcher checks which pipeline, by value."""

from __future__ import annotations

from airflow_sm_pipelines.triggers.wait_schedule import ExecutionWait, StepsQueue, WaitSchedule


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


def make_wait(name: str, *, has_changed: bool) -> ExecutionWait:
    wait = ExecutionWait(f"arn:aws:sagemaker:r:1:pipeline/p/execution/{name}", 30, finish=print, progress_delay=10)
    wait.has_changed = has_changed
    return wait


def test_steps_that_change_are_checked_more_often_and_the_others_are_not_forgotten() -> None:
    queue = StepsQueue()
    changing = [make_wait(f"c{number}", has_changed=True) for number in range(5)]
    quiet = [make_wait(f"q{number}", has_changed=False) for number in range(50)]
    for wait in (*changing, *quiet):
        queue.put(wait, due=0.0)
    taken = [wait for second in range(200) if (wait := queue.take(float(second)))]
    assert len(taken) == 200
    assert all(taken.count(wait) >= 15 for wait in changing)
    assert all(taken.count(wait) >= 2 for wait in quiet)


def test_where_there_is_room_all_steps_are_checked_at_their_own_interval() -> None:
    queue = StepsQueue()
    waits = [make_wait("c", has_changed=True), make_wait("q", has_changed=False)]
    for wait in waits:
        queue.put(wait, due=0.0)
    assert {queue.take(0.0), queue.take(0.0)} == set(waits)
    assert queue.take(9.0) is None
    assert queue.next_due() == 10.0
    assert {queue.take(10.0), queue.take(10.0)} == set(waits)
    queue.discard(waits[0])
    assert (queue.take(20.0), queue.take(20.0)) == (waits[1], None)
