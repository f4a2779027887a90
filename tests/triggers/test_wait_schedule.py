"""When a watcher checks which pipeline, by value."""

from __future__ import annotations

from datetime import datetime, timezone
from math import inf
from typing import Any

import pytest

from airflow_sm_pipelines.triggers.wait_schedule import (
    GATHER_SECONDS,
    ExecutionWait,
    StepsQueue,
    WaitSchedule,
    WatchedPipeline,
)


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


def test_the_next_check_of_steps_is_of_whichever_kind_is_due_first() -> None:
    queue = StepsQueue()
    assert queue.next_due() == inf
    changed, quiet = make_wait("c", has_changed=True), make_wait("q", has_changed=False)
    queue.put(quiet, due=3.0)
    assert queue.next_due() == 3.0
    queue.put(changed, due=2.0)
    assert queue.next_due() == 2.0
    queue.put(changed, due=5.0)  # and not at the time planned before
    assert queue.next_due() == 3.0
    assert queue.take(2.9) is None
    assert queue.take(3.0) is quiet


ARN = "arn:aws:sagemaker:r:1:pipeline/{}/execution/{}"


def on(pipeline: str, execution: str, **more: Any) -> ExecutionWait:
    return ExecutionWait(ARN.format(pipeline, execution), more.pop("waiter_delay", 30.0), finish=print, **more)


def scheduled(*waits: ExecutionWait, now: float = 0.0) -> tuple[WaitSchedule, WatchedPipeline]:
    """A schedule of these waits, and the pipeline that is due first."""
    schedule = WaitSchedule()
    for wait in waits:
        schedule.add(wait, now=now)
    first = schedule.next_pipeline()
    assert first is not None
    return schedule, first


def test_waits_begin_and_end_one_by_one() -> None:
    one, same, other = on("p", "a"), on("p", "a"), on("q", "b")
    schedule, _ = scheduled(one, same, other)
    assert (len(schedule), schedule.is_empty) == (3, False)
    assert schedule.arns() == [one.arn, other.arn]
    assert [schedule.is_awaited(arn) for arn in (one.arn, other.arn, ARN.format("p", "b"), ARN.format("r", "a"))] == [
        True, True, False, False,
    ]  # fmt: skip
    assert schedule.remove(one)
    assert not schedule.remove(one)
    assert schedule.is_awaited(one.arn)
    assert schedule.take(one.arn) == [same]
    assert schedule.take(one.arn) == []
    assert schedule.arns() == [other.arn]
    assert schedule.take(other.arn) == [other]
    assert (schedule.is_empty, len(schedule), schedule.next_pipeline()) == (True, 0, None)


def test_a_wait_that_ends_leaves_nothing_behind_in_its_pipeline() -> None:
    one, other = on("p", "a"), on("p", "b")
    schedule, pipeline = scheduled(one, other)
    schedule.record_running(pipeline, one.arn, datetime(2026, 1, 1, tzinfo=timezone.utc))
    schedule.announce_end(one.arn)
    assert (list(pipeline.started), list(pipeline.announced)) == ([one.arn], [one.arn])
    schedule.remove(one)
    assert (pipeline.started, pipeline.announced, pipeline.waits) == ({}, {}, {other.arn: [other]})


def test_an_execution_that_runs_is_checked_after_the_others_next_time() -> None:
    first, second, third = (on("p", name) for name in "abc")
    schedule, pipeline = scheduled(first, second, third)
    began = datetime(2026, 1, 1, tzinfo=timezone.utc)
    schedule.record_running(pipeline, second.arn, None)
    schedule.record_running(pipeline, first.arn, began)
    schedule.record_running(pipeline, ARN.format("p", "ended"), began)
    assert list(pipeline.waits.items()) == [(one.arn, [one]) for one in (third, second, first)]
    assert pipeline.started == {first.arn: began}


def test_a_new_wait_says_whether_it_is_due_before_all_others() -> None:
    schedule = WaitSchedule()
    assert schedule.add(on("p", "a"), now=10.0)
    pipeline = schedule.next_pipeline()
    assert pipeline is not None
    assert (pipeline.arn, pipeline.due) == ("arn:aws:sagemaker:r:1:pipeline/p", 10.0 + GATHER_SECONDS)
    assert not schedule.add(on("p", "b"), now=10.2)  # shares the check
    assert pipeline.due == 10.0 + GATHER_SECONDS
    assert schedule.add(on("q", "c", deadline=10.1), now=10.2)
    assert schedule.add(on("q", "d", progress_delay=5.0), now=10.05)
    assert schedule.next_steps_due() == 10.05
    pipeline.due = 100.0
    schedule.add(on("p", "e"), now=20.0)
    assert pipeline.due == 20.0 + GATHER_SECONDS
    assert (pipeline.youngest(), pipeline.waiter_delay()) == (20.0, 30.0)


def test_waits_end_when_their_time_is_over() -> None:
    late, early, gone, never = (
        on("p", name, deadline=at) for name, at in (("a", 9.0), ("b", 5.0), ("c", 4.0), ("d", None))
    )
    schedule, _ = scheduled(late, early, gone, never)
    schedule.remove(gone)
    assert schedule.next_deadline() == 4.0
    assert schedule.take_expired(3.9) == []
    assert schedule.take_expired(5.0) == [early]
    assert schedule.next_deadline() == 9.0
    assert schedule.take_expired(100.0) == [late]
    assert (schedule.next_deadline(), schedule.arns()) == (inf, [never.arn])


def test_what_events_announce_is_checked_at_once_unless_the_service_refuses() -> None:
    one, other, third = on("p", "a"), on("p", "b"), on("q", "c")
    schedule, pipeline = scheduled(one, other, third)
    schedule.announce_end(ARN.format("p", "unknown"))
    schedule.announce_end(ARN.format("unknown", "a"))
    assert not schedule.has_announced
    assert schedule.take_announced() is None
    for wait in (other, one, other):
        schedule.announce_end(wait.arn)
    pipeline.failures = 1
    assert (schedule.has_announced, schedule.take_announced()) == (False, None)
    pipeline.failures = 0
    assert schedule.has_announced
    assert schedule.take_announced() == (pipeline, [other.arn, one.arn])
    assert (schedule.has_announced, schedule.take_announced()) == (False, None)


def test_all_are_checked_now_but_those_that_were_refused() -> None:
    schedule, first = scheduled(on("p", "a"), on("q", "b"), on("r", "c"))
    others = [one for one in schedule._pipelines.values() if one is not first]
    others[0].failures, others[1].due, first.due = 1, 3.0, 50.0
    others[0].due = 60.0
    schedule.check_all_now(5.0)
    assert (first.due, others[0].due, others[1].due) == (5.0, 60.0, 3.0)


@pytest.mark.parametrize(("delay", "due"), [(30.0, 400.0), (60.0, 700.0), (90.0, 700.0), (900.0, 1000.0)])
def test_where_events_can_be_relied_on_checks_only_make_up_for_lost_ones(delay: float, due: float) -> None:
    schedule, pipeline = scheduled(on("p", "a", waiter_delay=delay), on("p", "b", waiter_delay=1000.0))
    pipeline.failures, pipeline.refused_since = 3, 1.0
    schedule.plan_next_check(pipeline, now=100.0, has_events=True)
    assert (pipeline.due, pipeline.failures, pipeline.refused_since) == (due, 0, None)


@pytest.mark.parametrize(("now", "due"), [(10.0, 12.0), (50.0, 55.0), (250.0, 275.0), (900.0, 930.0)])
def test_a_wait_is_checked_after_a_tenth_of_its_time_up_to_its_own_interval(now: float, due: float) -> None:
    schedule, pipeline = scheduled(on("p", "a"))
    schedule.plan_next_check(pipeline, now=now)
    assert pipeline.due == due
    schedule.remove(pipeline.waits[ARN.format("p", "a")][0])
    schedule.plan_next_check(pipeline, now=2000.0)
    assert pipeline.due == due


def test_an_announced_end_that_is_none_is_checked_again_after_the_interval() -> None:
    one, other = on("p", "a"), on("p", "b")
    schedule, pipeline = scheduled(one, other)
    pipeline.due = 500.0
    schedule.plan_after_announced(pipeline, [ARN.format("p", "ended")], now=100.0)
    assert pipeline.due == 500.0
    schedule.plan_after_announced(pipeline, [ARN.format("p", "ended"), one.arn], now=100.0)
    assert pipeline.due == 130.0
    schedule.plan_after_announced(pipeline, [one.arn], now=200.0)
    assert pipeline.due == 130.0


def test_the_waits_that_are_told_of_steps_are_told_at_their_own_interval() -> None:
    fast, slow, without = on("p", "a", progress_delay=5.0), on("p", "a", progress_delay=50.0), on("p", "a")
    schedule, _ = scheduled(fast, slow, without)
    assert schedule.waits_for_steps(fast.arn) == [fast, slow]
    assert schedule.waits_for_steps(ARN.format("p", "b")) == schedule.waits_for_steps(ARN.format("q", "a")) == []
    assert schedule.record_steps(fast.arn, has_changed=False, now=10.0) == [fast, slow]
    assert [(one.progress_due, one.has_changed) for one in (fast, slow)] == [(15.0, False), (60.0, False)]
    schedule.check_steps_now(fast.arn, now=20.0)
    assert [(one.progress_due, one.has_changed) for one in (fast, slow)] == [(15.0, True), (20.0, True)]
    assert schedule.next_steps_due() == 15.0
    assert schedule.take_steps_wait(14.9) is None
    assert schedule.take_steps_wait(15.0) is fast
    assert fast.progress_due == 20.0
    schedule.remove(fast)
    assert schedule.next_steps_due() == 20.0


def test_waits_end_that_have_been_refused_for_as_long_as_they_bear_it() -> None:
    short, long, young = (
        on("p", name, max_refused_seconds=most) for name, most in (("a", 10.0), ("b", 60.0), ("c", 10.0))
    )
    schedule, pipeline = scheduled(short, long)
    assert schedule.take_refused(pipeline, now=500.0) == []
    schedule.plan_after_refusal(pipeline, delay_seconds=4.0, now=100.0)
    schedule.plan_after_refusal(pipeline, delay_seconds=8.0, now=104.0)
    assert (pipeline.failures, pipeline.refused_since, pipeline.due) == (2, 100.0, 112.0)
    schedule.add(young, now=105.0)
    assert schedule.take_refused(pipeline, now=109.9) == []
    assert schedule.take_refused(pipeline, now=110.0) == [(short, 10.0)]
    assert schedule.take_refused(pipeline, now=160.0) == [(long, 60.0), (young, 55.0)]
    assert schedule.is_empty
