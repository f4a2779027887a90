"""No trigger here has a worker that must leave first."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.triggers import execution


@pytest.fixture(autouse=True)
def no_leaving_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let triggers fire at once."""
    monkeypatch.setattr(execution, "WORKER_LEAVES_SECONDS", 0.0)
