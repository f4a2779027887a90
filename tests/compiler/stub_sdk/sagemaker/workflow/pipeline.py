"""The SDK's Pipeline, as far as a compile goes."""

import json
import time

import boto3


def list_to_request(steps):
    return [step.to_request() if hasattr(step, "to_request") else step for step in steps]


def interpolate(requests, **maps):
    return requests


def _map_callback_outputs(steps):
    return {}


_map_lambda_outputs = _map_callback_outputs


class Pipeline:
    def __init__(self, name, steps=(), sagemaker_session=None):
        self.name = name
        self.steps = list(steps)
        self.sagemaker_session = sagemaker_session

    def definition(self):
        return json.dumps({"Version": "2020-12-01", "Parameters": [], "Steps": list_to_request(self.steps)})

    def upsert(self, role_arn=None, description=None, tags=None):
        given = {"PipelineDescription": description, "Tags": tags}
        return self._client().create_pipeline(
            PipelineName=self.name,
            PipelineDefinition=self.definition(),
            ClientRequestToken="x" * 32,
            RoleArn=role_arn,
            **{name: value for name, value in given.items() if value},
        )

    def start(self):
        answer = self._client().start_pipeline_execution(PipelineName=self.name, ClientRequestToken="x" * 32)
        return Execution(self._client(), answer["PipelineExecutionArn"])

    def _client(self):
        return boto3.client("sagemaker")


class Execution:
    def __init__(self, client, arn):
        self.client = client
        self.arn = arn

    def describe(self):
        return self.client.describe_pipeline_execution(PipelineExecutionArn=self.arn)

    def list_steps(self):
        answer = self.client.list_pipeline_execution_steps(PipelineExecutionArn=self.arn)
        return answer["PipelineExecutionSteps"]

    def wait(self):
        while self.describe()["PipelineExecutionStatus"] == "Executing":
            time.sleep(30)
