"""`sm-pipelines local serve` as a process that is killed and started again, and a client that remembers its answers."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from airflow_sm_pipelines.server.state_directory import read_announcement
from tests.airflow_runs import write_image_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/tests-python:1"
BUCKET = "work"
CODE = "/opt/ml/processing/input/code"
#: What each job runs. A name in the machine's table of abstract sockets is free again when its process is gone: a
#: second process of the same job, at the same time, fails.
JOB = """
import json, os, socket, sys, time
name = json.load(open("/opt/ml/config/processingjobconfig.json"))["ProcessingJobName"]
held = socket.socket(socket.AF_UNIX)
held.bind(chr(0) + name)
time.sleep(0.4)
os.makedirs("/opt/ml/processing/out", exist_ok=True)
open("/opt/ml/processing/out/result.txt", "w").write(name)
"""


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen in {seconds} s: {what}"
        threading.Event().wait(0.02)


@dataclass
class WholeServer:
    """The server's process on one state directory.

    :param folder: for its state, the table of images and its output; its name marks its processes.
    :param options: of `local serve`.
    """

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    clients: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.state = self.folder / "state"
        self.state.mkdir(parents=True, exist_ok=True)
        self.images = write_image_table(self.folder, "tests-python")
        (self.state / "faults.toml").write_text('[[fault]]\nstep = "Flaky"\nexception = "SageMaker.CAPACITY_ERROR"\n')

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.launch()
        wait_for(self.is_announced, f"the server starts: {self.output()[-800:]}", 300)
        self.clients.clear()

    def launch(self) -> None:
        """Start it, and do not wait."""
        environment = {**os.environ, "SM_PIPELINES_IMAGES": str(self.images)}
        command = [sys.executable, "-m", "airflow_sm_pipelines.cli", "local", "serve", "--port", "0", "--state-dir"]
        with (self.folder / "output.txt").open("ab") as output:
            self.process = subprocess.Popen(
                [*command, str(self.state), *self.options],
                stdout=output,
                stderr=output,
                env=environment,
                stdin=subprocess.DEVNULL,
            )

    def kill(self) -> None:
        """SIGKILL, at once."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def output(self) -> str:
        """What it wrote to its terminal, over all its lives."""
        path = self.folder / "output.txt"
        return path.read_text(errors="replace") if path.exists() else ""

    def client(self, service: str) -> Any:
        """A client of the present life that does not repeat a call: what is acknowledged is acknowledged."""
        if service not in self.clients:
            self.clients[service] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name="us-east-1",
                aws_access_key_id="a",
                aws_secret_access_key="b",
                config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30),
            )
        return self.clients[service]

    def job_processes(self) -> list[int]:
        """Processes that run jobs of this server."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (self.process is None or int(entry.name) != self.process.pid):
                with contextlib.suppress(OSError):
                    if str(self.folder).encode() in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
        return found

    def is_announced(self) -> bool:
        """Whether this process has said where it answers."""
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended: {self.output()[-2000:]}"
        found = read_announcement(self.state)
        if found is None or found["pid"] != str(self.process.pid):
            return False
        self.url = found["url"]
        return True


@dataclass
class Remembered:
    """What the server acknowledged."""

    executions: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    answered: dict[str, str] = field(default_factory=dict)
    ended_steps: dict[tuple[str, str], Any] = field(default_factory=dict)


def prepare(server: WholeServer) -> None:
    """The world before the first kill: bucket, queues, function, rule, pipeline."""
    server.client("s3").create_bucket(Bucket=BUCKET)
    server.client("s3").put_object(Bucket=BUCKET, Key="code/job.py", Body=JOB.encode())
    sqs = server.client("sqs")
    asks = sqs.create_queue(QueueName="asks", Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
    sqs.create_queue(QueueName="events")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", "def handler(event, context):\n    return {'doubled': 2 * event['n']}\n")
    server.client("lambda").create_function(
        FunctionName="double", Runtime="python3.11", Role=ROLE, Handler="index.handler", Timeout=60,
        Code={"ZipFile": buffer.getvalue()},
    )  # fmt: skip
    events = server.client("events")
    events.put_rule(Name="all", EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
    events.put_targets(Rule="all", Targets=[{"Id": "1", "Arn": "arn:aws:sqs:us-east-1:123456789012:events"}])
    server.client("sagemaker").create_pipeline(
        PipelineName="work", RoleArn=ROLE, PipelineDefinition=json.dumps(_definition(asks, str(server.folder)))
    )


STEPS = ["Prepare", "Flaky", "Double", "Each", "Turn-0", "Turn-1", "Ask", "Register"]


def _definition(queue_url: str, mark: str) -> dict[str, Any]:
    code = {"S3Uri": f"s3://{BUCKET}/code", "LocalPath": CODE, "S3DataType": "S3Prefix", "S3InputMode": "File"}

    def job(name: str, **members: Any) -> dict[str, Any]:
        output = {
            "S3Uri": f"s3://{BUCKET}/out/{name}",
            "LocalPath": "/opt/ml/processing/out",
            "S3UploadMode": "EndOfJob",
        }
        arguments = {
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
            },
            "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", f"{CODE}/job.py", mark]},
            "ProcessingInputs": [{"InputName": "code", "S3Input": code}],
            "RoleArn": ROLE,
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": output}]},
        }
        return {"Name": name, "Type": "Processing", "Arguments": arguments, **members}

    flaky = job(
        "Flaky",
        DependsOn=["Prepare"],
        RetryPolicies=[
            {"ExceptionType": ["SageMaker.CAPACITY_ERROR"], "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 20}
        ],
    )
    return {
        "Version": "2020-12-01",
        "Steps": [
            job("Prepare"),
            flaky,
            {
                "Name": "Double",
                "Type": "Lambda",
                "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:double",
                "Arguments": {"n": 21},
                "OutputParameters": [{"OutputName": "doubled", "OutputType": "Integer"}],
            },
            {
                "Name": "Each",
                "Type": "ForEach",
                "Arguments": {"IterableItems": ["x", "y"], "MaxConcurrency": 2, "ForEachBody": [job("Turn")]},
            },
            {
                "Name": "Ask",
                "Type": "Callback",
                "SqsQueueUrl": queue_url,
                "OutputParameters": [{"OutputName": "answer", "OutputType": "String"}],
                "Arguments": {"doubled": {"Get": "Steps.Double.OutputParameters['doubled']"}},
            },
            {
                "Name": "Register",
                "Type": "RegisterModel",
                "DependsOn": ["Flaky", "Each", "Ask"],
                "Arguments": {"ModelPackageGroupName": "models"},
            },
        ],
    }


class User(threading.Thread):
    """Uses the server until it dies, or until it is told to stop, and remembers what was acknowledged.

    :param wanted: how many executions it starts in this life.
    """

    def __init__(self, server: WholeServer, remembered: Remembered, *, life: int, wanted: int) -> None:
        super().__init__(daemon=True)
        self.server, self.remembered, self.life, self.wanted = server, remembered, life, wanted
        self.stop = threading.Event()
        self.faults: list[BaseException] = []
        self.rounds = 0

    def run(self) -> None:
        number = 0
        try:
            while not self.stop.is_set():
                if number < self.wanted:
                    self._start(number)
                    number += 1
                self._write(number)
                answer_callbacks(self.server, self.remembered)
                self._note_ended_steps()
                self.rounds += 1
        except (BotoCoreError, ConnectionError):
            # The server is dead.
            return
        except BaseException as fault:
            self.faults.append(fault)

    def _start(self, number: int) -> None:
        token = f"life-{self.life:03d}-execution-{number:015d}"
        answer = self.server.client("sagemaker").start_pipeline_execution(PipelineName="work", ClientRequestToken=token)
        self.remembered.executions[token] = answer["PipelineExecutionArn"]

    def _write(self, number: int) -> None:
        key, body = f"{self.life}/{number}-{len(self.remembered.objects)}", os.urandom(2000)
        self.server.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
        self.remembered.objects[key] = body

    def _note_ended_steps(self) -> None:
        for arn in list(self.remembered.executions.values())[-3:]:
            for step in list_steps(self.server, arn):
                if step["StepStatus"] == "Succeeded":
                    self.remembered.ended_steps[arn, step["StepName"]] = step["EndTime"]


def answer_callbacks(server: WholeServer, remembered: Remembered) -> None:
    """Answer what waits in the queue; a message that comes twice is answered once."""
    sqs = server.client("sqs")
    url = sqs.get_queue_url(QueueName="asks")["QueueUrl"]
    for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        body = json.loads(message["Body"])
        assert body["arguments"] == {"doubled": 42}
        token = body["token"]
        try:
            server.client("sagemaker").send_pipeline_execution_step_success(
                CallbackToken=token, OutputParameters=[{"Name": "answer", "Value": token}]
            )
        except ClientError as error:
            # Answered in an earlier life, before the message could be deleted, or sent twice.
            if error.response["Error"]["Code"] not in {"ValidationException", "ResourceNotFound"}:
                raise
        remembered.answered[token] = body["pipelineExecutionArn"]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def list_steps(server: WholeServer, arn: str) -> list[dict[str, Any]]:
    """All steps of an execution."""
    found: list[dict[str, Any]] = server.client("sagemaker").list_pipeline_execution_steps(
        PipelineExecutionArn=arn, MaxResults=100
    )["PipelineExecutionSteps"]
    return found


def finish_all(server: WholeServer, remembered: Remembered) -> None:
    """Wait for every acknowledged execution to end, answering callbacks."""
    sagemaker = server.client("sagemaker")
    left = set(remembered.executions.values())

    def are_ended() -> bool:
        answer_callbacks(server, remembered)
        for arn in list(left):
            status = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
            if status != "Executing":
                left.discard(arn)
        return not left

    wait_for(are_ended, f"{len(left)} executions end", seconds=600)


def iter_events(server: WholeServer) -> Iterator[dict[str, Any]]:
    """Every event in the queue."""
    sqs = server.client("sqs")
    url = sqs.get_queue_url(QueueName="events")["QueueUrl"]
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            yield json.loads(message["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def list_packages(server: WholeServer) -> list[str]:
    """The registered model packages."""
    pages = server.client("sagemaker").get_paginator("list_model_packages").paginate(ModelPackageGroupName="models")
    return [package["ModelPackageArn"] for page in pages for package in page["ModelPackageSummaryList"]]
