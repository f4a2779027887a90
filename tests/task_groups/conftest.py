"""An Airflow beside a local endpoint, for the DAG files that the tests write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow_runs import run_beside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.airflow_runs import DagRunner


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagRunner]:
    """An Airflow beside an endpoint of its own."""
    from airflow_sm_pipelines.server import serve

    with serve(tmp_path_factory.mktemp("endpoint") / "state") as server:
        yield run_beside(server, tmp_path_factory.mktemp("airflow"))
