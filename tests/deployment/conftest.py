"""A fake SageMaker, a real local endpoint with versions that have run, and Airflow homes."""

from __future__ import annotations

import logging
import re
import threading
import time
from typing import TYPE_CHECKING

import boto3
import pytest

from airflow_sm_pipelines.client.session_calls import SessionCalls
from airflow_sm_pipelines.deployment.aliases import promote
from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
from airflow_sm_pipelines.server import serve
from tests.airflow_fixtures import airflow_template, dag_runner, endpoint, fake, fake_is_aws  # noqa: F401
from tests.deployment.gate_pipeline import ROLE, definition

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.airflow_fakes import FakeSageMaker

LOG = logging.getLogger("test")


ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p"


@pytest.fixture
def hook(fake: FakeSageMaker, fake_is_aws: None) -> SageMakerPipelinesHook:  # noqa: F811
    """A hook on the fake, with pipeline ``p`` of three versions; ``prod`` is version 1, ``staging`` version 2."""
    fake.add_pipeline("p")
    one = SageMakerPipelinesHook(aws_conn_id=None, config={"retries": {"max_attempts": 0}})
    for _ in range(2):
        one.update_pipeline("p", PipelineDefinition="{}")
    one.update_version_aliases(ARN, 1, add=["prod"])
    one.update_version_aliases(ARN, 2, add=["staging"])
    return one


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint's URL."""
    with serve(tmp_path_factory.mktemp("state")) as server:
        yield server.endpoint_url


@pytest.fixture
def calls(url: str, monkeypatch: pytest.MonkeyPatch) -> SessionCalls:
    """Calls on the endpoint; this process's boto3 talks to it too."""
    variables = {
        "ENDPOINT_URL": url,
        "ACCESS_KEY_ID": "local",
        "SECRET_ACCESS_KEY": "local",
        "DEFAULT_REGION": "us-east-1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return SessionCalls(boto3.Session())


@pytest.fixture
def gate(calls: SessionCalls, repository: Path, request: pytest.FixtureRequest) -> str:
    """A pipeline of two versions that succeeded and a third that failed; version 1 has the alias ``prod``."""
    name = re.sub(r"\W+", "-", request.node.name.replace("_", "-"))[-60:].strip("-")
    calls.create_pipeline(name, RoleArn=ROLE, PipelineDefinition=definition(repository, 0.9))
    calls.update_pipeline(name, PipelineDefinition=definition(repository, 0.8))
    calls.update_pipeline(name, PipelineDefinition=definition(repository, 0.1))
    for version in (1, 2, 3):
        arn = calls.conn.start_pipeline_execution(PipelineName=name, PipelineVersionId=version)["PipelineExecutionArn"]
        deadline = time.monotonic() + 30
        while not calls.describe_execution(arn).is_terminal:
            assert time.monotonic() < deadline
            threading.Event().wait(0.02)
    promote(calls, name, version=1, alias="prod", log=LOG)
    return name
