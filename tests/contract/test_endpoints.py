"""Endpoints' control plane through unmodified boto3, and the steps that make endpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import ROLE

Client = Callable[[str], Any]
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"


def variant(model: Any) -> dict[str, Any]:
    return {"VariantName": "all", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}


def test_an_endpoint_lives_and_is_deleted(client: Client) -> None:
    sagemaker = client("sagemaker")
    with pytest.raises(ClientError, match='Could not find model "arn:aws:sagemaker:us-east-1:123456789012:model/m"'):
        sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant("m")])
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE})
    for name in ("c", "d"):
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant("m")])
    arn = sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c", Tags=[{"Key": "team", "Value": "a"}])[
        "EndpointArn"
    ]
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="e")
    described = sagemaker.describe_endpoint(EndpointName="e")
    (found,) = described["ProductionVariants"]
    assert found["DeployedImages"] == [{"SpecifiedImage": IMAGE}]
    assert (found["CurrentInstanceCount"], found["CurrentWeight"]) == (2, 1.0)
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "a"}]
    assert sagemaker.update_endpoint(EndpointName="e", EndpointConfigName="d")["EndpointArn"] == arn
    assert sagemaker.describe_endpoint(EndpointName="e")["EndpointConfigName"] == "d"
    (summary,) = sagemaker.list_endpoints(StatusEquals="InService")["Endpoints"]
    assert (summary["EndpointName"], summary["EndpointStatus"]) == ("e", "InService")
    names = [one["EndpointConfigName"] for one in sagemaker.list_endpoint_configs(SortBy="Name")["EndpointConfigs"]]
    assert names == ["d", "c"]
    with pytest.raises(ClientError, match="Cannot create already existing endpoint"):
        sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    sagemaker.delete_endpoint(EndpointName="e")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="e")
    sagemaker.delete_endpoint_config(EndpointConfigName="c")
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        sagemaker.describe_endpoint_config(EndpointConfigName="c")


def test_a_pipeline_makes_a_model_and_its_endpoint_and_another_run_updates_it(client: Client, wait: Any) -> None:
    sagemaker = client("sagemaker")
    steps = [
        {
            "Name": "Model",
            "Type": "Model",
            "Arguments": {"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}},
        },
        {
            "Name": "Config",
            "Type": "EndpointConfig",
            "Arguments": {"ProductionVariants": [variant({"Get": "Steps.Model.ModelName"})]},
        },
        {
            "Name": "Deploy",
            "Type": "Endpoint",
            "Arguments": {"EndpointName": "live", "EndpointConfigName": {"Get": "Steps.Config.EndpointConfigName"}},
        },
        {
            "Name": "Check",
            "Type": "Condition",
            "Arguments": {
                "Conditions": [
                    {
                        "Type": "Equals",
                        "LeftValue": {"Get": "Steps.Deploy.EndpointStatus"},
                        "RightValue": "InService",
                    }
                ],
                "IfSteps": [],
                "ElseSteps": [],
            },
        },
    ]
    definition = json.dumps({"Version": "2020-12-01", "Steps": steps})
    sagemaker.create_pipeline(PipelineName="deploying", RoleArn=ROLE, PipelineDefinition=definition)
    configs = []
    for _ in range(2):
        arn = sagemaker.start_pipeline_execution(PipelineName="deploying")["PipelineExecutionArn"]
        assert wait(arn)["PipelineExecutionStatus"] == "Succeeded"
        listed = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        metadata = {step["StepName"]: step["Metadata"] for step in listed}
        assert metadata["Deploy"]["Endpoint"]["Arn"].endswith(":endpoint/live")
        assert metadata["Check"]["Condition"]["Outcome"] == "True"
        configs.append(metadata["Config"]["EndpointConfig"]["Arn"].rpartition("/")[2])
        assert sagemaker.describe_endpoint(EndpointName="live")["EndpointConfigName"] == configs[-1]
    assert configs[0] != configs[1]


@pytest.mark.parametrize("call", ["invoke_endpoint", "invoke_endpoint_async", "invoke_endpoint_with_response_stream"])
def test_a_model_behind_an_endpoint_is_never_made_up(client: Client, call: str) -> None:
    sagemaker, runtime = client("sagemaker"), client("sagemaker-runtime")
    request: dict[str, Any] = {"InputLocation": "s3://b/k"} if call.endswith("async") else {"Body": b"1,2"}
    with pytest.raises(ClientError, match="Endpoint never-made not found") as refused:
        getattr(runtime, call)(EndpointName="never-made", **request)
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    name = call.replace("_", "-")
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE})
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant(name)])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    with pytest.raises(ClientError, match="is a record only: the local endpoint serves no models"):
        getattr(runtime, call)(EndpointName=name, **request)
