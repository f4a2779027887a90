"""An engine in a world of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.fake_world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world with a running engine and empty state."""
    made = World(tmp_path)
    made.open()
    yield made
    made.engine.stop()
