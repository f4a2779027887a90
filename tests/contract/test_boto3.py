"""Unmodified boto3 against the endpoint: the life of a pipeline, its errors, and the services beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.server import RunningServer, serve

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
Client = Callable[[str], Any]
Wait = Callable[[str], dict[str, Any]]


def test_a_pipeline_is_made_run_and_looked_at(client: Client, pipeline: str, wait: Wait) -> None:
    sagemaker = client("sagemaker")
    described = sagemaker.describe_pipeline(PipelineName=pipeline)
    assert described["PipelineArn"] == f"arn:aws:sagemaker:us-east-1:123456789012:pipeline/{pipeline}"
    arn = sagemaker.start_pipeline_execution(PipelineName=pipeline)["PipelineExecutionArn"]
    assert wait(arn)["PipelineExecutionStatus"] == "Succeeded"
    (step,) = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    assert (step["StepName"], step["StepStatus"]) == ("Check", "Succeeded")
    pages = sagemaker.get_paginator("list_pipeline_executions").paginate(PipelineName=pipeline)
    assert [item["PipelineExecutionArn"] for page in pages for item in page["PipelineExecutionSummaries"]] == [arn]


def test_a_failing_execution_says_why(client: Client, pipeline: str, wait: Wait) -> None:
    sagemaker = client("sagemaker")
    arn = sagemaker.start_pipeline_execution(
        PipelineName=pipeline, PipelineParameters=[{"Name": "Limit", "Value": "11"}]
    )["PipelineExecutionArn"]
    assert wait(arn)["PipelineExecutionStatus"] == "Failed"
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    reasons = {step["StepName"]: step.get("FailureReason") for step in steps}
    assert reasons["Stop"] == "over the limit"
    (parameter,) = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)["PipelineParameters"]
    assert parameter == {"Name": "Limit", "Value": "11"}


def test_the_same_token_starts_one_execution(client: Client, pipeline: str) -> None:
    sagemaker = client("sagemaker")
    started = {
        sagemaker.start_pipeline_execution(PipelineName=pipeline, ClientRequestToken="t" * 32)["PipelineExecutionArn"]
        for _ in range(2)
    }
    assert len(started) == 1


def test_what_upsert_relies_on(client: Client, pipeline: str) -> None:
    """Both SDKs create first, look for "already exists" in the refusal, and then update the pipeline and its tags."""
    sagemaker = client("sagemaker")
    definition = sagemaker.describe_pipeline(PipelineName=pipeline)["PipelineDefinition"]
    with pytest.raises(ClientError, match="already exists") as caught:
        sagemaker.create_pipeline(PipelineName=pipeline, RoleArn=ROLE, PipelineDefinition=definition)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    arn = sagemaker.update_pipeline(PipelineName=pipeline, PipelineDescription="new")["PipelineArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "a"}])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "a"}]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []


def test_a_missing_pipeline_is_the_clients_own_exception(client: Client) -> None:
    sagemaker = client("sagemaker")
    with pytest.raises(sagemaker.exceptions.ResourceNotFound):
        sagemaker.describe_pipeline(PipelineName="missing")


def test_a_finished_execution_cannot_be_stopped_and_says_so_in_words_airflow_knows(
    client: Client, pipeline: str, wait: Wait
) -> None:
    arn = client("sagemaker").start_pipeline_execution(PipelineName=pipeline)["PipelineExecutionArn"]
    wait(arn)
    with pytest.raises(ClientError, match="Only pipelines with 'Executing' status can be stopped"):
        client("sagemaker").stop_pipeline_execution(PipelineExecutionArn=arn)


def test_every_listing_of_the_engine_answers_in_the_models_shapes(client: Client, server: RunningServer) -> None:
    """The server validates answers: one that does not fit would be an InternalFailure."""
    sagemaker = client("sagemaker")
    model = sagemaker.meta.service_model
    listings = [
        name
        for name in server.engine.operations
        # The model does not say so, but the service wants an ARN for this one.
        if name.startswith("List")
        and name != "ListPipelineExecutionSteps"
        and not model.operation_model(name).input_shape.required_members
    ]
    assert len(listings) >= 3
    for name in listings:
        assert getattr(sagemaker, xform_name(name))()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_definitions_come_from_s3(client: Client, wait: Wait) -> None:
    s3, sagemaker = client("s3"), client("sagemaker")
    s3.create_bucket(Bucket="definitions")
    document = {"Version": "2020-12-01", "Steps": [{"Name": "No", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}]}
    s3.put_object(Bucket="definitions", Key="p.json", Body=json.dumps(document))
    sagemaker.create_pipeline(
        PipelineName="from-s3",
        RoleArn=ROLE,
        PipelineDefinitionS3Location={"Bucket": "definitions", "ObjectKey": "p.json"},
    )
    assert json.loads(sagemaker.describe_pipeline(PipelineName="from-s3")["PipelineDefinition"]) == document
    arn = sagemaker.start_pipeline_execution(PipelineName="from-s3")["PipelineExecutionArn"]
    assert wait(arn)["PipelineExecutionStatus"] == "Failed"


def test_the_engines_log_lines_are_in_cloudwatch_logs(client: Client, server: RunningServer) -> None:
    write = server.engine._context.services.write_logs  # the engine's own way to its logs
    write("/aws/sagemaker/ProcessingJobs", "job/algo-1-1", [(1735689600000, "hello"), (1735689600001, "\ud800")])
    events = client("logs").get_log_events(
        logGroupName="/aws/sagemaker/ProcessingJobs", logStreamName="job/algo-1-1", startFromHead=True
    )["events"]
    assert [event["message"] for event in events] == ["hello", "?"]


def test_the_engine_finds_lambda_functions_by_name_and_arn(client: Client, server: RunningServer) -> None:
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): return event")
    arn = client("lambda").create_function(
        FunctionName="f",
        Runtime="python3.11",
        Role=ROLE,
        Handler="index.handler",
        Code={"ZipFile": buffer.getvalue()},
        Timeout=7,
        Environment={"Variables": {"A": "b"}},
    )["FunctionArn"]
    find = server.engine._context.services.find_function
    for name in ("f", arn):
        function = find(name)
        assert function is not None
        assert (function.name, function.handler, function.timeout_seconds) == ("f", "index.handler", 7)
        assert function.environment == {"A": "b"}
        assert function.code_zip == buffer.getvalue()
    assert find("missing") is None
    assert find("arn:aws:lambda:nowhere-1:123456789012:function:missing") is None


def test_one_process_runs_one_endpoint(server: RunningServer, tmp_path: Any) -> None:
    with pytest.raises(LocalEndpointError, match="runs a local endpoint already"):
        serve(tmp_path)


def test_a_child_of_the_server_sees_nothing_but_the_endpoint(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    environment = server.environment()
    assert environment["AWS_ENDPOINT_URL"] == server.endpoint_url
    assert "AWS_PROFILE" not in environment
