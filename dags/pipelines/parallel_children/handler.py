"""The Lambda function: starts a child pipeline for each item."""

import hashlib
import json

import boto3
from step_values import dump_value, load_value


def start_children(event, context):
    """Start one execution for each item; give how many there are, and their ARNs.

    The token makes an execution once, even if the function is called twice for one parent.
    """
    client = boto3.client("sagemaker")
    started = []
    for number, item in enumerate(load_value(event["items"])):
        answer = client.start_pipeline_execution(
            PipelineName=event["child"],
            PipelineParameters=[{"Name": "Items", "Value": json.dumps([item])}],
            ClientRequestToken=hashlib.sha256(f"{event['parent']}/{number}".encode()).hexdigest(),
        )
        started.append(answer["PipelineExecutionArn"])
    return {"count": len(started), "executions": dump_value(started, s3_uri=f"{event['place']}/executions.json")}
