"""A fake SageMaker that this process's boto3 talks to; no trigger here has a worker that must leave first."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.triggers import base
from tests.airflow_fixtures import endpoint, fake_is_aws, url  # noqa: F401


@pytest.fixture(autouse=True)
def no_leaving_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let triggers fire at once."""
    monkeypatch.setattr(base, "WORKER_LEAVES_SECONDS", 0.0)
