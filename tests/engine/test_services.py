"""Clocks that jump: no duration is negative, and nothing waits for the time that was."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine import Engine
from airflow_sm_pipelines.engine.jobs import JobOutcome
from airflow_sm_pipelines.engine.services import SteadyClock
from tests.engine.fake_world import Gate, World, processing, wait_until

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)


class WallClock:
    """A machine's clock with somebody at its hands."""

    def __init__(self) -> None:
        self.moved = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(timezone.utc) + self.moved


def open_with(world: World, clock: WallClock) -> None:
    world.engine = Engine(world.directory / "state", replace(world.services(), clock=clock), max_workers=4)
    world.engine.start()


def test_time_goes_on_from_where_it_was_when_the_clock_is_set_back_and_follows_it_forward() -> None:
    wall, ticks = [NOON], [100.0]
    clock = SteadyClock(lambda: wall[0], not_before=NOON - timedelta(days=1), monotonic=lambda: ticks[0])
    assert clock() == NOON
    wall[0], ticks[0] = NOON - timedelta(hours=5), 101.5
    assert clock() == NOON + timedelta(seconds=1.5)
    ticks[0] = 103.0
    assert clock() == NOON + timedelta(seconds=3)
    wall[0] = NOON + timedelta(hours=1)
    assert clock() == wall[0]


def test_what_was_recorded_before_a_restart_is_not_in_the_future() -> None:
    clock = SteadyClock(lambda: NOON - timedelta(days=3), not_before=NOON, monotonic=lambda: 5.0)
    assert clock() == NOON


def check_times(step: dict[str, Any]) -> None:
    assert step["StartTime"] <= step["EndTime"]


def test_a_clock_set_back_amid_a_step_and_between_two_engines_makes_no_negative_duration(tmp_path: Path) -> None:
    world, clock, gate = World(tmp_path), WallClock(), Gate()
    world.behaviours["A"] = gate
    open_with(world, clock)
    world.create([processing("A"), processing("B", depends_on=["A"])])
    arn = world.start()
    assert gate.entered.wait(10)
    clock.moved = timedelta(hours=-3)
    world.engine.stop()
    clock.moved = timedelta(days=-2)
    gate.opened.set()
    open_with(world, clock)
    try:
        assert world.finish(arn) == "Succeeded"
        for step in world.steps(arn).values():
            check_times(step)
        described = world.describe(arn)
        assert described["CreationTime"] <= described["LastModifiedTime"]
        assert world.steps(arn)["A"]["EndTime"] <= world.steps(arn)["B"]["StartTime"]
    finally:
        world.engine.stop()


def test_a_retry_that_waits_does_not_wait_for_hours_more_when_the_clock_is_set_back(tmp_path: Path) -> None:
    world, clock = World(tmp_path), WallClock()
    failures = [JobOutcome("Failed", "CapacityError: none left")]
    world.behaviours["A"] = lambda *_: failures.pop() if failures else JobOutcome("Completed")
    open_with(world, clock)
    policy = {"ExceptionType": ["SageMaker.CAPACITY_ERROR"], "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 3}
    world.create([processing("A", RetryPolicies=[policy])])
    try:
        arn = world.start()
        wait_until(lambda: not failures)
        clock.moved = timedelta(hours=-7)
        assert world.finish(arn) == "Succeeded"
        assert world.steps(arn)["A"]["AttemptCount"] == 2
        check_times(world.steps(arn)["A"])
    finally:
        world.engine.stop()


def test_a_cached_result_expires_when_the_clock_is_set_forward_and_counts_again_when_it_is_not(tmp_path: Path) -> None:
    world, clock = World(tmp_path), WallClock()
    open_with(world, clock)
    world.create([processing("A", CacheConfig={"Enabled": True, "ExpireAfter": "P1D"})])
    try:
        for moved, runs in ((timedelta(), 1), (timedelta(hours=1), 1), (timedelta(days=2), 2), (timedelta(days=-9), 2)):
            clock.moved = moved
            assert world.finish(world.start()) == "Succeeded"
            assert len(world.started) == runs, moved
    finally:
        world.engine.stop()
