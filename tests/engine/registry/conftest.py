"""An engine whose clock is a second later at each look, so that what is changed is newer than what was made."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.engine import Engine
from tests.engine.fake_world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEGIN = datetime(2100, 1, 2, tzinfo=timezone.utc)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world with a running engine, empty state, and a clock that ticks when it is read."""
    made, ticks = World(tmp_path), count()
    services = replace(made.services(), clock=lambda: BEGIN + timedelta(seconds=next(ticks)))
    made.engine = Engine(tmp_path / "state", services, max_workers=2)
    made.engine.start()
    yield made
    made.engine.stop()
