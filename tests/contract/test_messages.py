"""What the endpoint sends to queues, seen by unmodified boto3: a Callback step's messages, and EventBridge's events."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
Client = Callable[[str], Any]
Wait = Callable[[str], dict[str, Any]]


def receive(sqs: Any, url: str, count: int) -> list[dict[str, Any]]:
    """That many messages, in the order they were sent."""
    found: list[tuple[int, dict[str, Any]]] = []
    deadline = time.monotonic() + 20
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {len(found)} of {count} messages came"
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageSystemAttributeNames=["SentTimestamp"]
        )
        for message in answer.get("Messages", []):
            found.append((int(message["Attributes"]["SentTimestamp"]), json.loads(message["Body"])))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [body for _, body in found]


def create(sagemaker: Any, name: str, queue_url: str) -> str:
    """Start an execution of a pipeline that asks a queue and then decides."""
    ask = {
        "Name": "Ask",
        "Type": "Callback",
        "SqsQueueUrl": queue_url,
        "OutputParameters": [{"OutputName": "score", "OutputType": "Float"}],
        "Arguments": {"who": "you"},
    }
    score = {"Get": "Steps.Ask.OutputParameters['score']"}
    check = {
        "Name": "Check",
        "Type": "Condition",
        "Arguments": {
            "Conditions": [{"Type": "GreaterThan", "LeftValue": score, "RightValue": 0.5}],
            "IfSteps": [],
            "ElseSteps": [],
        },
    }
    definition = {"Version": "2020-12-01", "Steps": [ask, check]}
    sagemaker.create_pipeline(PipelineName=name, RoleArn=ROLE, PipelineDefinition=json.dumps(definition))
    return str(sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"])


def test_a_worker_on_the_queue_ends_the_step(client: Client, wait: Wait) -> None:
    sagemaker, sqs = client("sagemaker"), client("sqs")
    url = sqs.create_queue(QueueName="approvals")["QueueUrl"]
    arn = create(sagemaker, "approved", url)
    (message,) = receive(sqs, url, 1)
    assert message == {
        "token": message["token"],
        "pipelineExecutionArn": arn,
        "arguments": {"who": "you"},
        "status": "Executing",
    }
    sagemaker.send_pipeline_execution_step_success(
        CallbackToken=message["token"], OutputParameters=[{"Name": "score", "Value": "0.75"}]
    )
    assert wait(arn)["PipelineExecutionStatus"] == "Succeeded"
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    found = {step["StepName"]: step["Metadata"] for step in steps}
    assert found["Check"] == {"Condition": {"Outcome": "True"}}
    assert found["Ask"]["Callback"]["OutputParameters"] == [{"Name": "score", "Value": "0.75"}]


def test_a_queue_by_the_url_that_aws_would_give_it_is_the_one_here(client: Client, wait: Wait) -> None:
    sagemaker, sqs = client("sagemaker"), client("sqs")
    url = sqs.create_queue(QueueName="by-url")["QueueUrl"]
    arn = create(sagemaker, "by-url", "https://sqs.us-east-1.amazonaws.com/123456789012/by-url")
    (message,) = receive(sqs, url, 1)
    sagemaker.send_pipeline_execution_step_failure(CallbackToken=message["token"], FailureReason="no")
    assert wait(arn)["PipelineExecutionStatus"] == "Failed"


def test_a_queue_that_is_not_there_fails_the_step_with_the_queues_error(client: Client, wait: Wait) -> None:
    sagemaker = client("sagemaker")
    arn = create(sagemaker, "no-queue", "http://127.0.0.1/123456789012/never-made")
    assert wait(arn)["PipelineExecutionStatus"] == "Failed"
    (step,) = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    assert "does not exist" in step["FailureReason"]


def listen(client: Client, name: str, kind: str) -> str:
    """A queue that gets the events of a kind; its URL."""
    sqs, events = client("sqs"), client("events")
    url = str(sqs.create_queue(QueueName=name)["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.sagemaker"], "detail-type": [kind]}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])
    return url


def test_a_rule_gets_the_changes_of_an_execution(client: Client, pipeline: str, wait: Wait) -> None:
    url = listen(client, "executions", "SageMaker Model Building Pipeline Execution Status Change")
    sagemaker = client("sagemaker")
    arn = sagemaker.start_pipeline_execution(PipelineName=pipeline, PipelineExecutionDisplayName="mine")[
        "PipelineExecutionArn"
    ]
    wait(arn)
    first, last = receive(client("sqs"), url, 2)
    assert first["detail"]["currentPipelineExecutionStatus"] == "Executing"
    assert "previousPipelineExecutionStatus" not in first["detail"]
    pipeline_arn = arn.partition("/execution/")[0]
    assert (last["source"], last["region"], last["account"]) == ("aws.sagemaker", "us-east-1", "123456789012")
    assert time.strptime(last["time"], "%Y-%m-%dT%H:%M:%SZ")
    assert last["resources"] == [pipeline_arn, arn]
    detail = last["detail"]
    for member in ("executionStartTime", "executionEndTime"):
        assert time.strptime(detail.pop(member), "%Y-%m-%dT%H:%M:%SZ")
    assert detail == {
        "pipelineExecutionDisplayName": "mine",
        "currentPipelineExecutionStatus": "Succeeded",
        "previousPipelineExecutionStatus": "Executing",
        "pipelineArn": pipeline_arn,
        "pipelineExecutionArn": arn,
    }


def test_a_target_that_is_gone_keeps_nothing_from_the_others(client: Client, pipeline: str, wait: Wait) -> None:
    sqs, events, sagemaker = client("sqs"), client("events"), client("sagemaker")
    kind = "SageMaker Model Building Pipeline Execution Status Change"
    for name in ("a-gone", "kept", "z-gone"):
        url = listen(client, name, kind)
        if name == "kept":
            kept = url
        else:
            sqs.delete_queue(QueueUrl=url)
    (target,) = events.list_targets_by_rule(Rule="a-gone")["Targets"]
    events.put_targets(Rule="kept", Targets=[{"Id": "0", "Arn": target["Arn"]}])
    for _ in range(2):
        wait(sagemaker.start_pipeline_execution(PipelineName=pipeline)["PipelineExecutionArn"])
    messages = receive(sqs, kept, 4)
    assert len({message["id"] for message in messages}) == 4
    time.sleep(1.5)  # the publisher repeats what failed after a second
    assert "Messages" not in sqs.receive_message(QueueUrl=kept)
    for name in ("a-gone", "kept", "z-gone"):
        events.remove_targets(Rule=name, Ids=["0", "1"])


@pytest.mark.parametrize(
    "arn", ["states:us-east-1:123456789012:stateMachine:m", "ecs:us-east-1:123456789012:cluster/c"]
)
def test_a_target_that_cannot_be_served_is_refused(client: Client, arn: str) -> None:
    events = client("events")
    events.put_rule(Name="refused", EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
    with pytest.raises(ClientError, match=f"cannot send events to arn:aws:{arn}: it serves SQS queues, SNS"):
        events.put_targets(Rule="refused", Targets=[{"Id": "1", "Arn": f"arn:aws:{arn}"}])
    assert events.list_targets_by_rule(Rule="refused")["Targets"] == []


def test_a_schedule_that_would_start_something_is_refused(client: Client) -> None:
    scheduler = client("scheduler")
    schedule = {
        "Name": "nightly",
        "ScheduleExpression": "rate(1 day)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/demo", "RoleArn": ROLE},
    }
    with pytest.raises(ClientError, match="starts nothing by the clock"):
        scheduler.create_schedule(**schedule)
    scheduler.create_schedule(**schedule, State="DISABLED")
    scheduler.delete_schedule(Name="nightly")
    events = client("events")
    with pytest.raises(ClientError, match="starts nothing by the clock"):
        events.put_rule(Name="nightly", ScheduleExpression="rate(1 day)")
    events.put_rule(Name="nightly", ScheduleExpression="rate(1 day)", State="DISABLED")
    events.delete_rule(Name="nightly")


def test_a_target_gets_its_own_input_or_a_part_of_the_event(client: Client) -> None:
    sqs, events = client("sqs"), client("events")
    url = listen(client, "inputs", "Mine")
    (target,) = events.list_targets_by_rule(Rule="inputs")["Targets"]
    events.put_rule(Name="inputs", EventPattern=json.dumps({"source": ["mine"]}))
    other = {"Id": "2", "Arn": target["Arn"], "InputPath": "$.detail"}
    events.put_targets(Rule="inputs", Targets=[{**target, "Input": '{"own": 1}'}, other])
    events.put_events(Entries=[{"Source": "mine", "DetailType": "Mine", "Detail": '{"part": 2}'}])
    assert receive(sqs, url, 2) == [{"own": 1}, {"part": 2}]
    transformer = {"InputPathsMap": {"n": "$.detail.part"}, "InputTemplate": '"part <n> at this time"'}
    events.put_targets(Rule="inputs", Targets=[{**target, "InputTransformer": transformer}, other])
    events.put_events(Entries=[{"Source": "mine", "DetailType": "Mine", "Detail": '{"part": 2}'}])
    assert receive(sqs, url, 2) == ["part 2 at this time", {"part": 2}]


ECHO = """
import boto3, json

def handler(event, context):
    boto3.client("sqs").send_message(QueueUrl=event["queue"], MessageBody=json.dumps(event))
    return {}
"""


def test_functions_topics_and_pipelines_get_events(client: Client, pipeline: str, wait: Wait) -> None:
    sqs, events, sns, sagemaker = client("sqs"), client("events"), client("sns"), client("sagemaker")
    url = str(sqs.create_queue(QueueName="told")["QueueUrl"])
    queue_arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name="told")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn, Attributes={"RawMessageDelivery": "true"})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("echo.py", ECHO)
    function = client("lambda").create_function(
        FunctionName="echo-event",
        Runtime="python3.12",
        Role=ROLE,
        Handler="echo.handler",
        Code={"ZipFile": archive.getvalue()},
    )["FunctionArn"]
    pipeline_arn = sagemaker.describe_pipeline(PipelineName=pipeline)["PipelineArn"]
    limit = {"PipelineParameterList": [{"Name": "Limit", "Value": "$.detail.limit"}]}
    events.put_rule(Name="told", EventPattern=json.dumps({"source": ["mine"]}))
    events.put_targets(
        Rule="told",
        Targets=[
            {"Id": "gone", "Arn": function.replace("echo-event", "gone")},
            {"Id": "function", "Arn": function, "InputPath": "$.detail"},
            {"Id": "topic", "Arn": topic},
            {"Id": "pipeline", "Arn": pipeline_arn, "RoleArn": ROLE, "SageMakerPipelineParameters": limit},
        ],
    )
    before = {one["PipelineExecutionArn"] for one in list_executions(sagemaker, pipeline)}
    events.put_events(
        Entries=[{"Source": "mine", "DetailType": "Mine", "Detail": json.dumps({"queue": url, "limit": 3})}]
    )
    by_function, by_topic = receive(sqs, url, 2)
    assert by_function == {"queue": url, "limit": 3}
    assert (by_topic["detail-type"], by_topic["detail"]) == ("Mine", {"queue": url, "limit": 3})
    assert time.strptime(by_topic["time"], "%Y-%m-%dT%H:%M:%SZ")
    deadline = time.monotonic() + 20
    while not (started := {one["PipelineExecutionArn"] for one in list_executions(sagemaker, pipeline)} - before):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (execution,) = started
    wait(execution)
    parameters = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=execution)["PipelineParameters"]
    assert {"Name": "Limit", "Value": "3"} in parameters
    events.remove_targets(Rule="told", Ids=["gone", "function", "topic", "pipeline"])


def list_executions(sagemaker: Any, pipeline: str) -> list[dict[str, Any]]:
    return list(sagemaker.list_pipeline_executions(PipelineName=pipeline)["PipelineExecutionSummaries"])


def test_a_rule_gets_the_changes_of_steps(client: Client, pipeline: str, wait: Wait) -> None:
    url = listen(client, "steps", "SageMaker Model Building Pipeline Execution Step Status Change")
    sagemaker = client("sagemaker")
    limit = [{"Name": "Limit", "Value": "11"}]
    arn = sagemaker.start_pipeline_execution(PipelineName=pipeline, PipelineParameters=limit)["PipelineExecutionArn"]
    wait(arn)
    details = [message["detail"] for message in receive(client("sqs"), url, 4)]
    assert [
        (detail["stepName"], detail.get("previousStepStatus"), detail["currentStepStatus"]) for detail in details
    ] == [
        ("Check", None, "Starting"),
        ("Check", "Starting", "Succeeded"),
        ("Stop", None, "Starting"),
        ("Stop", "Starting", "Failed"),
    ]
    assert details[1]["metadata"] == {"condition": {"outcome": "True"}}
    assert (details[3]["stepType"], details[3]["failureReason"]) == ("Fail", "over the limit")
    assert details[3]["pipelineExecutionArn"] == arn
    assert details[3]["stepEndTime"] >= details[3]["stepStartTime"]
    client("events").remove_targets(Rule="steps", Ids=["1"])


def test_an_execution_makes_the_experiment_and_the_trial_it_names(client: Client, wait: Wait) -> None:
    sagemaker = client("sagemaker")
    definition = {
        "Version": "2020-12-01",
        "PipelineExperimentConfig": {
            "ExperimentName": {"Get": "Execution.PipelineName"},
            "TrialName": {"Get": "Execution.PipelineExecutionId"},
        },
        "Steps": [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "enough"}}],
    }
    sagemaker.create_pipeline(PipelineName="tried", RoleArn=ROLE, PipelineDefinition=json.dumps(definition))
    arns = [sagemaker.start_pipeline_execution(PipelineName="tried")["PipelineExecutionArn"] for _ in range(2)]
    for arn in arns:
        wait(arn)
    names = {arn.rpartition("/")[2] for arn in arns}
    deadline = time.monotonic() + 20
    found: set[str] = set()
    while found != names:
        assert time.monotonic() < deadline, f"found only the trials {found}"
        answer = sagemaker.list_trials(ExperimentName="tried")
        found = {trial["TrialName"] for trial in answer["TrialSummaries"]}


def test_a_rule_gets_the_states_of_jobs_and_the_approval_of_a_model_package(client: Client) -> None:
    jobs = listen(client, "jobs", "SageMaker Processing Job State Change")
    packages = listen(client, "packages", "SageMaker Model Package State Change")
    sagemaker = client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="told")
    arn = sagemaker.create_model_package(ModelPackageGroupName="told", ModelApprovalStatus="PendingManualApproval")[
        "ModelPackageArn"
    ]
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    first, last = receive(client("sqs"), packages, 2)
    assert (last["source"], last["resources"]) == ("aws.sagemaker", [arn])
    assert [one["detail"]["ModelApprovalStatus"] for one in (first, last)] == ["PendingManualApproval", "Approved"]
    detail = last["detail"]
    assert (detail["ModelPackageGroupName"], detail["ModelPackageVersion"]) == ("told", 1)
    assert isinstance(detail["CreationTime"], int)

    cluster = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
    sagemaker.create_processing_job(
        ProcessingJobName="told",
        RoleArn=ROLE,
        AppSpecification={"ImageUri": "nobody/knows:1", "ContainerEntrypoint": ["true"]},
        ProcessingResources={"ClusterConfig": cluster},
    )
    details = [message["detail"] for message in receive(client("sqs"), jobs, 2)]
    assert [(one["ProcessingJobName"], one["ProcessingJobStatus"]) for one in details] == [
        ("told", "InProgress"),
        ("told", "Failed"),
    ]
    assert "No local environment stands in for the image" in details[1]["FailureReason"]
