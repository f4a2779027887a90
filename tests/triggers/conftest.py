"""A fake SageMaker that this process's boto3 talks to; no trigger here has a worker that must leave first."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.airflow_task import stop_on_kill
from airflow_sm_pipelines.airflow_task.hook_arguments import SharedHooks
from airflow_sm_pipelines.triggers import base, mirrored_step
from tests.airflow_fixtures import endpoint, fake_is_aws, no_pauses, url, xcoms  # noqa: F401


@pytest.fixture(autouse=True)
def no_leaving_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let triggers fire at once."""
    monkeypatch.setattr(base, "WORKER_LEAVES_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def own_shared_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Share no hook with other tests."""
    shared = SharedHooks()
    for module in (stop_on_kill, mirrored_step):
        monkeypatch.setattr(module, "SHARED_HOOKS", shared)
