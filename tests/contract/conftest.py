"""The real endpoint, engine included, for clients that nobody here wrote."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_sm_pipelines.server import RunningServer, serve
from tests.airflow_runs import write_image_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
#: An image that runs on the interpreter of the tests, on the endpoint of `server_with_image`.
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/tests-python:1"
#: One branch that passes and one that fails, by a parameter; nothing in it starts a process.
DEFINITION = {
    "Version": "2020-12-01",
    "Metadata": {},
    "Parameters": [{"Name": "Limit", "Type": "Integer", "DefaultValue": 5}],
    "Steps": [
        {
            "Name": "Check",
            "Type": "Condition",
            "Arguments": {
                "Conditions": [
                    {"Type": "GreaterThan", "LeftValue": {"Get": "Parameters.Limit"}, "RightValue": 10},
                ],
                "IfSteps": [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "over the limit"}}],
                "ElseSteps": [],
            },
        }
    ],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A running endpoint, one for the tests of a module."""
    with serve(tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture(scope="module")
def server_with_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """An endpoint where `IMAGE` and the images of the model monitor and of Clarify are the tests' interpreter."""
    folder = tmp_path_factory.mktemp("images")
    names = ("tests-python", "sagemaker-model-monitor-analyzer", "sagemaker-clarify-processing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SM_PIPELINES_IMAGES", str(write_image_table(folder, *names)))
        with serve(folder / "state") as running:
            yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Callable[[str], Any]:
    """Makes boto3 clients of the endpoint by service name."""
    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=server.region)
    return lambda service: session.client(service, endpoint_url=server.endpoint_url)


@pytest.fixture
def pipeline(client: Callable[[str], Any], request: pytest.FixtureRequest) -> str:
    """The name of a new pipeline made of `DEFINITION`."""
    name = request.node.name.replace("_", "-").split("[")[0][:200]
    client("sagemaker").create_pipeline(PipelineName=name, RoleArn=ROLE, PipelineDefinition=json.dumps(DEFINITION))
    return name


@pytest.fixture
def wait(client: Callable[[str], Any]) -> Callable[[str], dict[str, Any]]:
    """Waits for an execution to end, and gives its description."""

    def until_ended(arn: str) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found: dict[str, Any] = client("sagemaker").describe_pipeline_execution(PipelineExecutionArn=arn)
            if found["PipelineExecutionStatus"] not in {"Executing", "Stopping"}:
                return found
            threading.Event().wait(0.05)
        raise AssertionError(f"{arn} did not end")

    return until_ended
