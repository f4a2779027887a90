"""The fixtures of rooms whose tests talk to a fake SageMaker or a local endpoint; their conftests import from here."""

from __future__ import annotations

import functools
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.loaders
import pytest

from airflow_sm_pipelines.cli.local_environment import has_local_packages
from airflow_sm_pipelines.client import execution_watch
from airflow_sm_pipelines.server import serve
from tests.airflow_fakes import FakeSageMaker, aws_environment, open_fake
from tests.airflow_runs import DagRunner, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook

_load_apis_once = functools.cache(botocore.loaders.create_loader)
"""Each session would read the description of SageMaker's API again, which costs more than all the calls of a test."""


@pytest.fixture
def endpoint() -> Iterator[tuple[FakeSageMaker, str]]:
    """A fake SageMaker and its URL."""
    fake = FakeSageMaker()
    with open_fake(fake) as url:
        yield fake, url


@pytest.fixture
def fake(endpoint: tuple[FakeSageMaker, str]) -> FakeSageMaker:
    """The fake SageMaker of this test."""
    return endpoint[0]


@pytest.fixture
def fake_is_aws(endpoint: tuple[FakeSageMaker, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the boto3 of the test's own process talk to the fake."""
    for name, value in aws_environment(endpoint[1]).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(botocore.loaders, "create_loader", _load_apis_once)


@pytest.fixture
def xcoms(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[Any, ...], Any]:
    """The XComs that go past a backend, by DAG, run, task, map index and key."""
    from airflow.sdk.bases.xcom import BaseXCom

    found: dict[tuple[Any, ...], Any] = {}

    def set_one(*, key: str, value: Any, dag_id: str, task_id: str, run_id: str, map_index: int) -> None:
        found[dag_id, run_id, task_id, map_index, key] = value

    def get_one(*, key: str, dag_id: str, task_id: str, run_id: str, map_index: int) -> Any:
        return found.get((dag_id, run_id, task_id, map_index, key))

    monkeypatch.setattr(BaseXCom, "set", set_one)
    monkeypatch.setattr(BaseXCom, "get_one", get_one)
    return found


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever waits for an execution by itself look again at once."""
    monkeypatch.setattr(execution_watch, "plan_delay", lambda **_: 0.0)


@pytest.fixture
def hook(fake_is_aws: None) -> SageMakerPipelinesHook:
    """A hook without a connection, on the fake, that does not retry."""
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook

    return SageMakerPipelinesHook(aws_conn_id=None, config={"retries": {"max_attempts": 0}})


@pytest.fixture(scope="session")
def airflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Airflow home with a migrated database, to copy from."""
    home: Path = tmp_path_factory.mktemp("airflow-template")
    migrate(home)
    return home


@pytest.fixture
def dag_runner(endpoint: tuple[FakeSageMaker, str], airflow_template: Path, tmp_path: Path) -> DagRunner:
    """An Airflow of its own whose AWS is the fake."""
    return DagRunner(tmp_path / "airflow", template=airflow_template, environment=aws_environment(endpoint[1]))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a local endpoint: in this process, or beside an Airflow that constrains its packages, as a command."""
    state_dir = tmp_path_factory.mktemp("state")
    if has_local_packages():
        with serve(state_dir) as server:
            yield server.endpoint_url
    else:
        with _serving(state_dir) as found:
            yield found


@contextmanager
def _serving(state_dir: Path) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "airflow_sm_pipelines.cli",
        "local",
        "serve",
        "--port=0",
        f"--state-dir={state_dir}",
    ]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            assert words[:3] == ["Local", "SageMaker", "endpoint:"], words
            yield words[3]
        finally:
            process.terminate()
