"""A fake SageMaker, and Airflow homes that talk to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow_fakes import FakeSageMaker, aws_environment, open_fake
from tests.airflow_runs import DagRunner, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def airflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Airflow home with a migrated database, to copy from."""
    home: Path = tmp_path_factory.mktemp("airflow-template")
    migrate(home)
    return home


@pytest.fixture
def endpoint() -> Iterator[tuple[FakeSageMaker, str]]:
    """A fake SageMaker and its URL."""
    fake = FakeSageMaker()
    with open_fake(fake) as url:
        yield fake, url


@pytest.fixture
def fake(endpoint: tuple[FakeSageMaker, str]) -> FakeSageMaker:
    """The fake SageMaker that `dag_runner` talks to."""
    return endpoint[0]


@pytest.fixture
def dag_runner(endpoint: tuple[FakeSageMaker, str], airflow_template: Path, tmp_path: Path) -> DagRunner:
    """An Airflow of its own whose AWS is the fake."""
    return DagRunner(tmp_path / "airflow", template=airflow_template, environment=aws_environment(endpoint[1]))
