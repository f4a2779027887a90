"""Writes that fail for want of room, at any moment of an execution: each waits, and then everything goes on."""

from __future__ import annotations

import random
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.driver import runner
from airflow_sm_pipelines.engine.jobs import disk_room
from airflow_sm_pipelines.engine.rules.errors import ServiceError
from airflow_sm_pipelines.engine.store.database import EngineDatabase
from tests.engine.fake_world import World, condition, for_each, processing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEEDS = range(8)
STEPS = [
    processing("A"),
    condition("If", [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}], then=[processing("B")], otherwise=[]),
    for_each("Each", ["x", "y"], [processing("Turn")], DependsOn=["A"]),
]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_second_write_fails_and_each_job_runs_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    for module in (disk_room, runner):
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    world = World(tmp_path)
    engine = world.open()
    chance = random.Random(seed)
    write = EngineDatabase.transaction

    @contextmanager
    def fail_often(self: Any) -> Iterator[None]:
        # At the commit, which takes back what the block has written.
        with write(self):
            yield
            if self._depth == 1 and chance.random() < 0.5:
                raise sqlite3.OperationalError("database or disk is full")

    try:
        world.create(STEPS)
        monkeypatch.setattr(EngineDatabase, "transaction", fail_often)
        arn = _start_surely(world)
        assert world.finish(arn) == "Succeeded"
        assert sorted(world.started) == ["A", "B", "Turn-0", "Turn-1"], world.started
    finally:
        monkeypatch.undo()
        engine.stop()


def _start_surely(world: World) -> str:
    while True:
        try:
            return world.start(ClientRequestToken="t" * 32)
        except ServiceError as error:
            if "nothing was changed" not in error.message:
                raise
