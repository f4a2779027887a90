"""The whole server, jobs and queues and all, under kill -9 at random moments: nothing acknowledged is lost.

A sample of what ``make harm`` does; ``SM_PIPELINES_KILLS`` makes the run longer. Which guarantee holds for what is in
docs/engine.md.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.durability.kill_campaign import kill_often

if TYPE_CHECKING:
    from pathlib import Path

KILLS = int(os.environ.get("SM_PIPELINES_KILLS", "4"))
SEED = int(os.environ.get("SM_PIPELINES_KILL_SEED", "11"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_whole_server_loses_nothing_acknowledged_by_kill_9_at_random_moments(tmp_path: Path) -> None:
    print(kill_often(tmp_path, kills=KILLS, seed=SEED))
