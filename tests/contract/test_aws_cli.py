"""The unmodified AWS CLI, in an environment of its own, against the endpoint: answers, loops, and exit codes."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.environments import ensure_environment
from airflow_sm_pipelines.server.engine_services import aws_environment
from tests.contract.conftest import ROLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_sm_pipelines.server import RunningServer

#: Exit codes of version 1: 255 is an error of the service, 2 a command that it does not understand.
SERVICE_ERROR, USAGE_ERROR = 255, 2


class Cli:
    """Runs ``aws``.

    :param server: what it is pointed to, by the variables a user would export.
    """

    def __init__(self, program: Path, server: RunningServer) -> None:
        self.program = program
        self.environment = {
            **aws_environment(server.endpoint_url, server.region, server.secret),
            "PATH": "/usr/bin:/bin",
        }

    def __call__(self, *words: str, code: int = 0) -> Any:
        if words[0] == "sqs":
            # Version 1 does not heed AWS_ENDPOINT_URL for SQS (awscli/customizations/overridesslcommonname.py).
            words = ("--endpoint-url", self.environment["AWS_ENDPOINT_URL"], *words)
        ended = subprocess.run(
            [str(self.program), str(self.program.with_name("aws")), *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == code, ended.stderr
        if code:
            return ended.stderr
        return json.loads(ended.stdout) if ended.stdout.strip().startswith("{") else ended.stdout

    def wait(self, arn: str, *statuses: str) -> dict[str, Any]:
        """Describe an execution again and again until it has one of the statuses."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            found: dict[str, Any] = self("sagemaker", "describe-pipeline-execution", "--pipeline-execution-arn", arn)
            if found["PipelineExecutionStatus"] in statuses:
                return found
            threading.Event().wait(0.1)
        raise AssertionError(f"{arn} is {found['PipelineExecutionStatus']}, not one of {statuses}")


@pytest.fixture(scope="module")
def aws(server: RunningServer) -> Cli:
    return Cli(ensure_environment(["awscli>=1.44,<2"]), server)


@pytest.mark.slow
def test_the_cli_makes_runs_stops_retries_and_deletes_a_pipeline(aws: Cli, tmp_path: Path) -> None:
    aws("s3", "mb", "s3://cli")
    queue = aws("sqs", "create-queue", "--queue-name", "asks")["QueueUrl"]
    ask = {"Name": "Ask", "Type": "Callback", "SqsQueueUrl": queue, "OutputParameters": [], "Arguments": {"a": 1}}
    (tmp_path / "definition.json").write_text(json.dumps({"Version": "2020-12-01", "Steps": [ask]}))
    aws("s3", "cp", "--quiet", str(tmp_path / "definition.json"), "s3://cli/definition.json")
    aws("s3", "cp", "--quiet", "s3://cli/definition.json", str(tmp_path / "copy.json"))
    assert (tmp_path / "copy.json").read_text() == (tmp_path / "definition.json").read_text()

    name = ("--pipeline-name", "from-cli")
    made = aws("sagemaker", "create-pipeline", *name, "--role-arn", ROLE, "--pipeline-definition-s3-location",
               "Bucket=cli,ObjectKey=definition.json")  # fmt: skip
    assert made["PipelineArn"].endswith(":pipeline/from-cli")
    assert aws("sagemaker", "describe-pipeline", *name)["PipelineStatus"] == "Active"
    arn = aws("sagemaker", "start-pipeline-execution", *name)["PipelineExecutionArn"]
    execution = ("--pipeline-execution-arn", arn)
    (message,) = aws("sqs", "receive-message", "--queue-url", queue, "--wait-time-seconds", "20")["Messages"]
    token = json.loads(message["Body"])["token"]
    (step,) = aws("sagemaker", "list-pipeline-execution-steps", *execution)["PipelineExecutionSteps"]
    assert (step["StepName"], step["StepStatus"]) == ("Ask", "Executing")

    aws("sagemaker", "stop-pipeline-execution", *execution)
    aws("sagemaker", "send-pipeline-execution-step-success", "--callback-token", token)
    aws.wait(arn, "Stopped")
    refusal = aws("sagemaker", "stop-pipeline-execution", *execution, code=SERVICE_ERROR)
    assert "(ValidationException)" in refusal
    assert "Only pipelines with 'Executing' status can be stopped" in refusal

    aws("sagemaker", "retry-pipeline-execution", *execution)
    second = None
    while second in (None, token):
        found = aws("sqs", "receive-message", "--queue-url", queue, "--wait-time-seconds", "20")["Messages"]
        for body in (json.loads(item["Body"]) for item in found):
            second = body["token"] if body["status"] == "Executing" else second
    aws("sagemaker", "send-pipeline-execution-step-failure", "--callback-token", second, "--failure-reason", "no")
    assert aws.wait(arn, "Failed")["FailureReason"].startswith("Step failure")
    aws("sagemaker", "delete-pipeline", *name)
    missing = aws("sagemaker", "describe-pipeline", *name, code=SERVICE_ERROR)
    assert "(ResourceNotFound) when calling the DescribePipeline operation" in missing
    aws("sagemaker", "describe-pipeline", code=USAGE_ERROR)


@pytest.mark.slow
def test_the_cli_follows_pagination_by_itself(aws: Cli, client: Callable[[str], Any]) -> None:
    for number in range(3):
        client("sagemaker").create_pipeline(
            PipelineName=f"page-{number}", RoleArn=ROLE, PipelineDefinition='{"Version": "2020-12-01", "Steps": []}'
        )
    found = aws("sagemaker", "list-pipelines", "--pipeline-name-prefix", "page", "--page-size", "1")
    assert [item["PipelineName"] for item in found["PipelineSummaries"]] == ["page-2", "page-1", "page-0"]
