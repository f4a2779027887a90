"""A fake SageMaker, and Airflow homes that talk to it; no task here has a supervisor that keeps its XComs."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.airflow_task import run_progress
from tests.airflow_fixtures import airflow_template, dag_runner, endpoint, fake, fake_is_aws  # noqa: F401


@pytest.fixture(autouse=True)
def xcoms_of_the_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The XComs that go past the backend are kept by the task instance as well."""

    def keep(ti: Any, key: str, value: Any) -> None:
        ti.xcom_push(key=key, value=value)

    monkeypatch.setattr(run_progress, "set_plain_xcom", keep)
