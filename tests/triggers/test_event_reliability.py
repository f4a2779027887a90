"""The reliability of events: not before one has come, nor after one has failed to come."""

from __future__ import annotations

from math import inf

from airflow_sm_pipelines.triggers.event_reliability import GRACE_SECONDS, MAX_PROOFS, EventReliability

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e00000000001"


def test_events_are_relied_on_after_an_event_of_an_execution_that_is_waited_for() -> None:
    events = EventReliability()
    assert not events.record_event("other", is_end=True, is_awaited=False)
    assert events.record_event(ARN, is_end=False, is_awaited=True)
    assert events.is_proven
    assert not events.record_event(ARN, is_end=True, is_awaited=True)


def test_an_event_that_came_before_its_wait_counts() -> None:
    events = EventReliability()
    events.record_event(ARN, is_end=False, is_awaited=False)
    assert not events.record_wait("other")
    assert events.record_wait(ARN)


def test_an_end_without_its_event_ends_reliance_once_and_asks_for_more_events() -> None:
    events = EventReliability()
    events.record_event(ARN, is_end=False, is_awaited=True)
    events.record_end(ARN, now=10.0)
    events.record_end("second", now=11.0)
    assert events.next_missing() == 10.0 + GRACE_SECONDS
    assert events.take_missing(10.0 + GRACE_SECONDS - 1) is None
    assert events.take_missing(10.0 + GRACE_SECONDS) == ARN
    assert events.take_missing(99.0 + GRACE_SECONDS) is None
    assert events.next_missing() == inf
    needed = [2, 4, 8, 16, 32, 32]
    assert max(needed) == MAX_PROOFS
    for count in needed:
        proofs = [events.record_event(ARN, is_end=False, is_awaited=True) for _ in range(count)]
        assert proofs == [False] * (count - 1) + [True]
        assert events.record_failure()


def test_an_event_that_a_check_overtook_is_not_missing() -> None:
    events = EventReliability()
    events.record_end(ARN, now=10.0)
    assert events.record_event(ARN, is_end=True, is_awaited=False)
    assert events.take_missing(1000.0) is None
    events.record_end(ARN, now=20.0)
    assert events.take_missing(1000.0) is None
