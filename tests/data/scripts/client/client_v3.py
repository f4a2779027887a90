"""A user's program on SDK v3: deploys, changes, starts, follows and deletes a pipeline. Prints what it saw as JSON."""

import json
import sys

import boto3
from sagemaker.core.workflow.conditions import ConditionGreaterThan
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import ParameterInteger
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import ConditionStep, FailStep, ParallelismConfiguration, Pipeline

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"


def build(session, message):
    value = ParameterInteger("Value", default_value=1)
    fail = FailStep("TooMuch", error_message=Join(" ", [message, value]))
    check = ConditionStep("Check", conditions=[ConditionGreaterThan(value, 10)], if_steps=[fail])
    return Pipeline("client-v3", parameters=[value], steps=[check], sagemaker_session=session)


def follow(execution):
    try:
        execution.wait(delay=1, max_attempts=60)
    except Exception as error:
        print(f"wait ended with {type(error).__name__}", file=sys.stderr)
    steps = {step["StepName"]: [step["StepStatus"], step.get("FailureReason")] for step in execution.list_steps()}
    return execution.describe()["PipelineExecutionStatus"], steps


session = PipelineSession(boto_session=boto3.Session(), default_bucket="client-bucket")
first = build(session, "too much:")
created = first.create(ROLE, description="first", tags=[{"Key": "team", "Value": "ml"}])
second = build(session, "far too much:")
second.upsert(ROLE, description="second", tags=[{"Key": "stage", "Value": "test"}])
described = second.describe()
tags = session.sagemaker_client.list_tags(ResourceArn=described["PipelineArn"])["Tags"]
passed = follow(second.start())
failed = follow(second.start(parameters={"Value": 11}, parallelism_config=ParallelismConfiguration(2)))
executions = [summary["PipelineExecutionStatus"] for summary in second.list_executions()["PipelineExecutionSummaries"]]
second.delete()

print(
    json.dumps(
        {
            "arn": created["PipelineArn"],
            "description": described["PipelineDescription"],
            "definition_is_ours": json.loads(described["PipelineDefinition"]) == json.loads(second.definition()),
            "tags": {tag["Key"]: tag["Value"] for tag in tags},
            "passed": passed,
            "failed": failed,
            "executions": executions,
            "left": [found["PipelineName"] for found in session.sagemaker_client.list_pipelines()["PipelineSummaries"]],
        }
    )
)
