"""A command that runs beside an endpoint, and ends when it is to end."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli import local_session
from airflow_sm_pipelines.cli.local_session import run_command

if TYPE_CHECKING:
    import pytest

DEAF = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.kill(os.getppid(), signal.SIGTERM)
time.sleep(60)
"""


def test_a_command_that_ignores_sigterm_is_killed_after_the_grace_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_session, "_GRACE_SECONDS", 0.2)
    assert run_command([sys.executable, "-c", DEAF], dict(os.environ)) == 137
