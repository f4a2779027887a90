"""MlflowConfig of a definition and MlflowExperimentName of a start, as DescribePipelineExecution shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine import ServiceError
from tests.engine.fake_world import ROLE, definition_text, fail_step

if TYPE_CHECKING:
    from tests.engine.fake_world import World

ARN = "arn:aws:sagemaker:us-east-1:123456789012:mlflow-tracking-server/mine"


def create(world: World, config: Any) -> None:
    text = definition_text(
        [fail_step("No", "message")],
        parameters=[{"Name": "Server", "Type": "String", "DefaultValue": ARN}],
        **({"MlflowConfig": config} if config else {}),
    )
    request = {"PipelineName": "demo", "RoleArn": ROLE, "PipelineDefinition": text}
    world.engine.call("CreatePipeline", request)


@pytest.mark.parametrize(
    ("config", "request_members", "shown"),
    [
        (None, {}, None),
        (None, {"MlflowExperimentName": "b"}, {"MlflowExperimentName": "b"}),
        (
            {"MlflowResourceArn": {"Get": "Parameters.Server"}, "MlflowExperimentName": "a"},
            {},
            {"MlflowResourceArn": ARN, "MlflowExperimentName": "a"},
        ),
        (
            {"MlflowResourceArn": ARN, "MlflowExperimentName": "a"},
            {"MlflowExperimentName": "b"},
            {"MlflowResourceArn": ARN, "MlflowExperimentName": "b"},
        ),
    ],
)
def test_the_request_goes_before_the_definition(world: World, config: Any, request_members: Any, shown: Any) -> None:
    create(world, config)
    assert world.describe(world.start(**request_members)).get("MLflowConfig") == shown


def test_an_arn_of_something_else_is_refused(world: World) -> None:
    create(world, {"MlflowResourceArn": "arn:aws:s3:::bucket", "MlflowExperimentName": "a"})
    with pytest.raises(ServiceError, match="MlflowResourceArn is not the ARN of an MLflow resource"):
        world.start()
