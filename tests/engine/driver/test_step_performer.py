"""Times of steps: later starts are later, and no end comes before a start."""

from __future__ import annotations

from airflow_sm_pipelines.engine.driver.step_performer import StepTimes


def test_what_follows_an_end_in_the_same_millisecond_starts_later() -> None:
    times = StepTimes(lambda: 1_000)
    assert (times.start_ms(), times.end_ms()) == (1_000, 1_000)
    assert (times.start_ms(), times.start_ms()) == (1_001, 1_001), "steps that start together have one time"
    assert times.end_ms() == 1_001, "an end is not before its start"


def test_the_clock_is_followed_where_it_is_ahead() -> None:
    readings = iter((1_000, 1_000, 5_000, 5_002))
    times = StepTimes(lambda: next(readings))
    assert [times.start_ms(), times.end_ms(), times.start_ms(), times.end_ms()] == [1_000, 1_000, 5_000, 5_002]
