"""A user's own programs on the unmodified SageMaker SDKs, v2 and v3, against our endpoint."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.compiler import compile_pipeline
from airflow_sm_pipelines.environments import default_cache_dir, ensure_environment
from airflow_sm_pipelines.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_sm_pipelines.server import RunningServer

pytestmark = pytest.mark.slow

REQUIREMENTS = {"v2": "sagemaker>=2.257,<3", "v3": "sagemaker-mlops>=1.27,<2"}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A local endpoint with an empty state."""
    server = serve(tmp_path_factory.mktemp("state"))
    yield server
    server.close()


@pytest.fixture
def opted_out(tmp_path: Path) -> Path:
    """The SDK's own setting against telemetry, since these programs do not run in our worker."""
    path = tmp_path / "config.yaml"
    path.write_text("SchemaVersion: '1.0'\nSageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}\n")
    return path


@pytest.mark.parametrize("sdk", ["v2", "v3"])
def test_a_program_deploys_starts_follows_and_deletes_a_pipeline(
    endpoint: RunningServer, repository: Path, opted_out: Path, sdk: str
):
    python = ensure_environment([REQUIREMENTS[sdk]])
    program = repository / "tests" / "data" / "scripts" / "client" / f"client_{sdk}.py"
    ended = subprocess.run(
        [str(python), "-I", "-W", "ignore", str(program)],
        env={**endpoint.environment(), "SAGEMAKER_USER_CONFIG_OVERRIDE": str(opted_out)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    saw: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    assert saw["arn"] == f"arn:aws:sagemaker:us-east-1:123456789012:pipeline/client-{sdk}"
    assert saw["description"] == "second"
    assert saw["definition_is_ours"]
    assert saw["tags"] == {"team": "ml", "stage": "test"}
    assert saw["passed"] == ["Succeeded", {"Check": ["Succeeded", None]}]
    status, steps = saw["failed"]
    assert status == "Failed"
    assert steps["TooMuch"] == ["Failed", "far too much: 11"]
    assert saw["executions"] == ["Failed", "Succeeded"]
    assert saw["left"] == []


@pytest.mark.parametrize("sdk", ["v2", "v3"])
def test_the_example_compiles_against_the_endpoint_with_every_check_of_the_sdk(
    endpoint: RunningServer, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sdk: str
):
    kept = default_cache_dir(os.environ) / "environments"
    kept.mkdir(parents=True, exist_ok=True)
    (tmp_path / "environments").symlink_to(kept)
    monkeypatch.delenv("SAGEMAKER_VALIDATE_ROLE", raising=False)
    lines: list[str] = []
    compiled = compile_pipeline(
        f"{repository}/dags/pipelines/diabetes/pipeline_{sdk}.py:get_pipeline",
        role_arn="arn:aws:iam::123456789012:role/SageMakerExecution",
        region=endpoint.region,
        aws_environment=endpoint.environment(),
        cache_dir=tmp_path,
        log=lines.append,
    )
    assert compiled.name == f"diabetes-{sdk}"
    assert not [line for line in lines if line.startswith("Refused")]
