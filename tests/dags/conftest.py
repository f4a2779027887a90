"""The repository's example DAGs in an Airflow of their own, beside a local endpoint: one pair for each test module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow_runs import run_beside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_sm_pipelines.server import RunningServer
    from tests.airflow_runs import DagRunner


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One local endpoint for the module."""
    from airflow_sm_pipelines.server import serve

    with serve(tmp_path_factory.mktemp("endpoint") / "state") as running:
        yield running


@pytest.fixture(scope="module")
def local(server: RunningServer, tmp_path_factory: pytest.TempPathFactory, repository: Path) -> DagRunner:
    """An Airflow whose DAGs folder is the repository's, beside the endpoint."""
    return run_beside(server, tmp_path_factory.mktemp("airflow"), dags=repository / "dags")
