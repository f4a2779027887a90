"""The repository's example DAGs in an Airflow of their own, beside a local endpoint: one pair for each test module."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.airflow_runs import DagRunner, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_sm_pipelines.server import RunningServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One local endpoint for the module."""
    from airflow_sm_pipelines.server import serve

    with serve(tmp_path_factory.mktemp("endpoint") / "state") as running:
        yield running


@pytest.fixture(scope="module")
def local(server: RunningServer, tmp_path_factory: pytest.TempPathFactory, repository: Path) -> DagRunner:
    """An Airflow whose DAGs folder is the repository's, beside the endpoint."""
    folder = tmp_path_factory.mktemp("airflow")
    migrate(folder / "template")
    kept = ("AWS_", "AIRFLOW_CONN_", "SM_PIPELINES_CONSOLE")
    environment = {name: value for name, value in server.environment().items() if name.startswith(kept)}
    environment |= {
        "AIRFLOW__CORE__DAGS_FOLDER": str(repository / "dags"),
        "SM_PIPELINES_CACHE_DIR": os.environ["SM_PIPELINES_CACHE_DIR"],
    }
    return DagRunner(folder / "airflow", template=folder / "template", environment=environment)
