"""Endpoints through unmodified boto3: how they are made and changed, who answers, and the steps that make them."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.contract.conftest import IMAGE, ROLE
from tests.durability.whole_server import wait_for
from tests.engine.jobs.test_training import tar_of

if TYPE_CHECKING:
    from airflow_sm_pipelines.server import RunningServer

Client = Callable[[str], Any]
NOT_SERVED = "382416733822.dkr.ecr.us-east-1.amazonaws.com/knn:1"
TIMES = """
import os

def model_fn(model_dir):
    return float(os.environ["FACTOR"])

def input_fn(data, content_type):
    return [float(item) for item in data.split(",")]

def predict_fn(row, model):
    if min(row) < 0:
        raise ValueError("below nought")
    return [model * item for item in row]

def output_fn(prediction, accept):
    return ",".join(map(str, prediction)), accept
"""


@pytest.fixture(scope="module")
def server(server_with_image: RunningServer) -> RunningServer:
    server_with_image.make_bucket("models")
    s3 = server_with_image.make_client("s3")
    s3.put_object(Bucket="models", Key="times.tar.gz", Body=tar_of({"code/inference.py": TIMES}))
    s3.put_object(Bucket="models", Key="broken.tar.gz", Body=tar_of({"code/inference.py": "import not_there"}))
    return server_with_image


def container(factor: int = 2, *, key: str = "times.tar.gz", **rest: Any) -> dict[str, Any]:
    data = {"ModelDataUrl": f"s3://models/{key}", "Environment": {"FACTOR": str(factor)}}
    return {"Image": IMAGE, **data, **rest}


def configure(sagemaker: Any, name: str, *containers: dict[str, Any]) -> None:
    """A model of these containers, and a configuration of that name."""
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, Containers=[*containers])
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant(name)])


def wait_for_service(sagemaker: Any, name: str) -> dict[str, Any]:
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1})
    described: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=name)
    return described


def read_log(logs: Any, endpoint: str) -> list[str]:
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
        events = logs.filter_log_events(logGroupName=group, logStreamNamePrefix="all/container-1-")["events"]
        return [event["message"] for event in events]
    return []


def variant(model: Any) -> dict[str, Any]:
    return {"VariantName": "all", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}


def test_an_endpoint_lives_and_is_deleted(client: Client) -> None:
    sagemaker = client("sagemaker")
    with pytest.raises(ClientError, match='Could not find model "arn:aws:sagemaker:us-east-1:123456789012:model/m"'):
        sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant("m")])
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container())
    for name in ("c", "d"):
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant("m")])
    arn = sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c", Tags=[{"Key": "team", "Value": "a"}])[
        "EndpointArn"
    ]
    assert sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] == "Creating"
    described = wait_for_service(sagemaker, "e")
    (found,) = described["ProductionVariants"]
    assert found["DeployedImages"] == [{"SpecifiedImage": IMAGE}]
    assert (found["CurrentInstanceCount"], found["CurrentWeight"]) == (2, 1.0)
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "a"}]
    assert sagemaker.update_endpoint(EndpointName="e", EndpointConfigName="d")["EndpointArn"] == arn
    assert sagemaker.describe_endpoint(EndpointName="e")["PendingDeploymentSummary"]["EndpointConfigName"] == "d"
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        sagemaker.update_endpoint(EndpointName="e", EndpointConfigName="c")
    changed = wait_for_service(sagemaker, "e")
    assert changed["EndpointConfigName"] == "d"
    assert "PendingDeploymentSummary" not in changed
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
            "Arguments": {"ExecutionRoleArn": ROLE, "PrimaryContainer": container()},
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
    with pytest.raises(ClientError, match="Endpoint never-made of account 123456789012 not found") as refused:
        getattr(runtime, call)(EndpointName="never-made", **request)
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    name = call.replace("_", "-")
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": NOT_SERVED})
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant(name)])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    with pytest.raises(ClientError, match="is a record only: the local endpoint serves no models of the image"):
        getattr(runtime, call)(EndpointName=name, **request)


def test_an_endpoint_answers_by_its_model_and_says_what_the_model_said(client: Client) -> None:
    sagemaker, runtime = client("sagemaker"), client("sagemaker-runtime")
    configure(sagemaker, "answers", container(2), container(5))
    sagemaker.create_endpoint(EndpointName="answers", EndpointConfigName="answers")
    wait_for_service(sagemaker, "answers")

    def ask(body: str, **rest: Any) -> dict[str, Any]:
        request = {"Body": body, "ContentType": "text/csv", "Accept": "text/csv", **rest}
        answer: dict[str, Any] = runtime.invoke_endpoint(EndpointName="answers", **request)
        return answer

    answer = ask("1,2")
    assert answer["Body"].read() == b"10.0,20.0"
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("text/csv", "all")
    with pytest.raises(ClientError, match=r"Received server error \(500\) from container-1 with message") as failed:
        ask("-1")
    error = failed.value.response
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("ModelError", 424)
    assert (error["OriginalStatusCode"], error["OriginalMessage"]) == (500, "ValueError: below nought")
    with pytest.raises(ClientError, match="Variant other was not found"):
        ask("1", TargetVariant="other")
    with pytest.raises(ClientError, match="TargetModel is not served here"):
        ask("1", TargetModel="m.tar.gz")
    wait_for(lambda: "ValueError: below nought" in read_log(client("logs"), "answers"), "the log has the error")
    sagemaker.delete_endpoint(EndpointName="answers")
    with pytest.raises(ClientError, match="not found"):
        ask("1")


def test_variants_answer_by_their_weights_which_can_be_changed(client: Client) -> None:
    sagemaker, runtime = client("sagemaker"), client("sagemaker-runtime")
    for name, factor in (("one", 1), ("ten", 10)):
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container(factor))
    weights = [
        {**variant(name), "VariantName": name, "InitialVariantWeight": float(name == "one")} for name in ("one", "ten")
    ]
    sagemaker.create_endpoint_config(EndpointConfigName="weighed", ProductionVariants=weights)
    sagemaker.create_endpoint(EndpointName="weighed", EndpointConfigName="weighed")
    wait_for_service(sagemaker, "weighed")

    def ask(**rest: Any) -> str:
        request = {"EndpointName": "weighed", "Body": "1", "ContentType": "text/csv", "Accept": "text/csv", **rest}
        text: str = runtime.invoke_endpoint(**request)["Body"].read().decode()
        return text

    assert {ask() for _ in range(5)} == {"1.0"}
    assert ask(TargetVariant="ten") == "10.0"
    wanted = [{"VariantName": "one", "DesiredWeight": 0.0}, {"VariantName": "ten", "DesiredWeight": 1.0}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName="weighed", DesiredWeightsAndCapacities=wanted)
    assert {ask() for _ in range(5)} == {"10.0"}
    described = wait_for_service(sagemaker, "weighed")["ProductionVariants"]
    assert [one["CurrentWeight"] for one in described] == [0.0, 1.0]


def test_an_endpoint_whose_model_cannot_be_loaded_fails_and_a_change_to_such_a_model_changes_nothing(
    client: Client,
) -> None:
    sagemaker, runtime = client("sagemaker"), client("sagemaker-runtime")
    configure(sagemaker, "good", container())
    configure(sagemaker, "broken", container(key="broken.tar.gz"))
    configure(sagemaker, "gone", container(key="gone.tar.gz"))
    for name, reason in (("broken", "No module named 'not_there'.* ping health check"), ("gone", "gone.tar.gz")):
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        with pytest.raises(WaiterError, match="Failed"):
            wait_for_service(sagemaker, name)
        assert re.search(reason, sagemaker.describe_endpoint(EndpointName=name)["FailureReason"])
    sagemaker.create_endpoint(EndpointName="good", EndpointConfigName="good")
    wait_for_service(sagemaker, "good")
    sagemaker.update_endpoint(EndpointName="good", EndpointConfigName="broken")
    described = wait_for_service(sagemaker, "good")
    assert described["EndpointConfigName"] == "good"
    assert "not_there" in described["FailureReason"]
    answer = runtime.invoke_endpoint(EndpointName="good", Body="3", ContentType="text/csv", Accept="text/csv")
    assert answer["Body"].read() == b"6.0"
