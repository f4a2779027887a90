"""An endpoint around a stand-in engine, for tests of what stands around the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.endpoint_stand_in import Endpoint, open_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    """A running endpoint with empty state."""
    with open_endpoint(tmp_path / "state") as running:
        yield running
