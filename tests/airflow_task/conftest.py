"""A fake SageMaker, and Airflow homes that talk to it."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.airflow_task import stop_on_kill
from airflow_sm_pipelines.airflow_task.hook_arguments import SharedHooks
from tests.airflow_fixtures import airflow_template, dag_runner, endpoint, fake, fake_is_aws, xcoms  # noqa: F401


@pytest.fixture(autouse=True)
def own_shared_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Share no hook with other tests."""
    monkeypatch.setattr(stop_on_kill, "SHARED_HOOKS", SharedHooks())
