"""The endpoint over HTTP, with unmodified boto3 and bare requests: who is answered, by whom, and with which errors."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.server.endpoint_stand_in import PIPELINE_ARN, Endpoint, RefusedError, open_endpoint

if TYPE_CHECKING:
    from pathlib import Path

from airflow_sm_pipelines.server.http.messages import make_authorization

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
JSON_HEADERS = {"Content-Type": "application/x-amz-json-1.1"}


def ask(
    endpoint: Endpoint, method: str = "GET", path: str = "/", body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=20)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def sagemaker(endpoint: Endpoint, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
    signed = {"Authorization": make_authorization("us-east-1", "sagemaker"), "X-Amz-Target": f"SageMaker.{operation}"}
    status, answer = ask(endpoint, "POST", "/", body, {**JSON_HEADERS, **signed})
    return status, json.loads(answer)


def test_the_engine_answers_for_pipelines(endpoint: Endpoint) -> None:
    client = endpoint.client("sagemaker")
    answer = client.create_pipeline(PipelineName="a", RoleArn=ROLE, PipelineDefinition="{}")
    assert answer["PipelineArn"] == PIPELINE_ARN
    assert answer["ResponseMetadata"]["RequestId"]
    operation, request = endpoint.engine.calls[-1]
    assert operation == "CreatePipeline"
    assert request["PipelineName"] == "a"
    (step,) = client.list_pipeline_execution_steps(PipelineExecutionArn=PIPELINE_ARN + "/execution/abcdefghijkl")[
        "PipelineExecutionSteps"
    ]
    assert step["StartTime"].isoformat() == "2026-01-02T00:00:00+00:00"


def test_moto_answers_for_sagemaker_operations_the_engine_lacks(endpoint: Endpoint) -> None:
    assert endpoint.client("sagemaker").list_endpoint_configs()["EndpointConfigs"] == []


def test_the_engines_refusals_are_the_clients_typed_exceptions(endpoint: Endpoint) -> None:
    def refuse(request: dict[str, Any]) -> dict[str, Any]:
        raise RefusedError("ResourceNotFound", "Pipeline 'x' does not exist.")

    endpoint.engine.answers["DescribePipeline"] = refuse
    client = endpoint.client("sagemaker")
    with pytest.raises(client.exceptions.ResourceNotFound, match="'x' does not exist"):
        client.describe_pipeline(PipelineName="x")


def test_a_fault_of_the_engine_is_an_internal_failure_with_its_reason(endpoint: Endpoint) -> None:
    endpoint.engine.answers["DescribePipeline"] = lambda _: {"PipelineStatus": "Imaginary"}
    status, answer = sagemaker(endpoint, "DescribePipeline", b'{"PipelineName": "x"}')
    assert (status, answer["__type"]) == (500, "InternalFailure")
    assert "Imaginary" in answer["message"]
    endpoint.engine.answers["DescribePipeline"] = lambda _: {}["missing"]
    status, answer = sagemaker(endpoint, "DescribePipeline", b'{"PipelineName": "x"}')
    assert (status, answer["__type"]) == (500, "InternalFailure")
    assert "KeyError" in answer["message"]


def test_a_request_that_does_not_fit_the_model_never_reaches_the_engine(endpoint: Endpoint) -> None:
    status, answer = sagemaker(endpoint, "DescribePipeline", b'{"PipelineName": 1}')
    assert (status, answer["__type"]) == (400, "SerializationException")
    status, answer = sagemaker(endpoint, "DescribePipeline", b"{}")
    assert (status, answer["__type"]) == (400, "ValidationException")
    assert endpoint.engine.calls == []


def test_tags_go_to_whoever_has_the_resource(endpoint: Endpoint) -> None:
    client = endpoint.client("sagemaker")
    assert client.list_tags(ResourceArn=PIPELINE_ARN)["Tags"] == [{"Key": "owner", "Value": "engine"}]
    client.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "image"})
    arn = client.create_endpoint_config(
        EndpointConfigName="c",
        ProductionVariants=[
            {"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.t2.medium"}
        ],
        Tags=[{"Key": "owner", "Value": "moto"}],
    )["EndpointConfigArn"]
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "owner", "Value": "moto"}]


def test_the_tags_of_nothing_are_not_found(endpoint: Endpoint) -> None:
    client = endpoint.client("sagemaker")
    with pytest.raises(client.exceptions.ResourceNotFound, match="endpoint/nope"):
        client.list_tags(ResourceArn="arn:aws:sagemaker:us-east-1:123456789012:endpoint/nope")


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("sagemaker", "list_projects", {}),
        ("iam", "get_context_keys_for_principal_policy", {"PolicySourceArn": ROLE}),
        ("lambda", "get_runtime_management_config", {"FunctionName": "f"}),
        ("braket", "get_device", {"deviceArn": "arn:aws:braket:us-east-1::device/x"}),
        ("logs", "list_anomalies", {}),
    ],
)
def test_what_nobody_has_is_one_typed_error_that_says_so(
    endpoint: Endpoint, service: str, operation: str, arguments: dict[str, str]
) -> None:
    with pytest.raises(ClientError, match="The local endpoint does not have") as caught:
        getattr(endpoint.client(service), operation)(**arguments)
    assert caught.value.response["Error"]["Code"] == "UnknownOperationException"
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        ("describe_project", {"ProjectName": "x"}, "ValidationException"),
        ("describe_image", {"ImageName": "x"}, "ResourceNotFound"),
        ("list_image_versions", {"ImageName": "x"}, "ResourceNotFound"),
        ("describe_feature_group", {"FeatureGroupName": "x"}, "ResourceNotFound"),
        ("describe_user_profile", {"DomainId": "d-1", "UserProfileName": "x"}, "ResourceNotFound"),
    ],
)
def test_a_describe_call_for_what_is_not_there_is_answered_as_the_api_model_has_it(
    endpoint: Endpoint, operation: str, arguments: dict[str, str], code: str
) -> None:
    with pytest.raises(ClientError, match=r"'(d-1/)?x' does not exist") as caught:
        getattr(endpoint.client("sagemaker"), operation)(**arguments)
    assert caught.value.response["Error"]["Code"] == code


def test_an_operation_sagemaker_does_not_know_is_refused(endpoint: Endpoint) -> None:
    status, answer = sagemaker(endpoint, "MakeCoffee", b"{}")
    assert (status, answer["__type"]) == (400, "UnknownOperationException")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "169.254.169.254"])
def test_a_foreign_host_is_refused(endpoint: Endpoint, host: str) -> None:
    status, answer = ask(endpoint, headers={"Host": host})
    assert status == 403
    assert b"does not answer to the host name" in answer


def test_a_page_of_another_site_is_refused(endpoint: Endpoint) -> None:
    assert ask(endpoint, headers={"Origin": "https://evil.example"})[0] == 403
    assert ask(endpoint, "OPTIONS", headers={"Origin": "https://evil.example"})[0] == 403
    assert ask(endpoint, headers={"Origin": "http://localhost:8080"})[0] == 403, "another program of this machine"
    assert ask(endpoint, headers={"Origin": f"http://127.0.0.1:{endpoint.port}"})[0] == 200
    image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert ask(endpoint, "GET", "/?Action=CreateUser&Version=2010-05-08&UserName=x", headers=image)[0] == 403


@pytest.mark.parametrize(
    "path", ["/?Action=CreateUser&Version=2010-05-08&UserName=x", "/iam_us-east-1/?Action=ListUsers"]
)
def test_an_address_alone_calls_no_api(endpoint: Endpoint, path: str) -> None:
    assert ask(endpoint, "GET", path)[0] == 403
    assert endpoint.client("iam").list_users()["Users"] == []


def test_an_object_is_no_page_of_the_endpoint(endpoint: Endpoint) -> None:
    s3 = endpoint.client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="page.html", Body=b"<script>1</script>", ContentType="text/html")
    headers = s3.get_object(Bucket="bucket", Key="page.html")["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-security-policy"] == "sandbox"
    assert headers["x-content-type-options"] == "nosniff"


def test_motos_own_api_cannot_wipe_the_state(endpoint: Endpoint) -> None:
    endpoint.client("s3").create_bucket(Bucket="kept")
    assert ask(endpoint, "POST", "/moto-api/reset")[0] == 403
    assert [bucket["Name"] for bucket in endpoint.client("s3").list_buckets()["Buckets"]] == ["kept"]


def test_buckets_are_found_by_virtual_host_names(endpoint: Endpoint) -> None:
    endpoint.client("s3").create_bucket(Bucket="my.bucket")
    host = {"Host": f"my.bucket.localhost:{endpoint.port}"}
    signed = {**host, "Authorization": make_authorization("us-east-1", "s3")}
    assert ask(endpoint, "PUT", "/folder/a%20b", b"body", signed)[0] == 200
    assert ask(endpoint, "GET", "/folder/a%20b", headers=signed) == (200, b"body")
    assert endpoint.client("s3").get_object(Bucket="my.bucket", Key="folder/a b")["Body"].read() == b"body"


def test_a_container_answers_to_the_names_it_was_given(tmp_path: Path) -> None:
    with open_endpoint(tmp_path / "state", host_names=("local-endpoint",)) as endpoint:
        assert ask(endpoint, headers={"Host": f"local-endpoint:{endpoint.port}"})[0] == 200
        assert ask(endpoint, headers={"Host": "other"})[0] == 403


def test_sts_names_the_local_account(endpoint: Endpoint) -> None:
    assert endpoint.client("sts").get_caller_identity()["Account"] == "123456789012"


def test_two_clients_of_two_regions_see_the_same_pipelines(endpoint: Endpoint) -> None:
    assert endpoint.client("sagemaker", "eu-west-1").describe_pipeline(PipelineName="x")["PipelineName"] == "stand-in"
