"""A world around the engine for tests: objects in a dictionary, jobs that do what the test says, a clock that ticks."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine import Engine, EngineServices
from airflow_sm_pipelines.engine.jobs import (
    FunctionOutcome,
    FunctionSpec,
    Isolation,
    IsolationMode,
    JobContext,
    JobOutcome,
    JobSpec,
    run_function,
)
from airflow_sm_pipelines.engine.jobs.stand_in_table import StandIns

if TYPE_CHECKING:
    from pathlib import Path

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
DEADLINE_SECONDS = 20.0
_ISOLATION = Isolation(next(iter(IsolationMode)), "none, this is a test")

JobBehaviour = Callable[[JobSpec, JobContext, threading.Event], JobOutcome]
FunctionBehaviour = Callable[[FunctionSpec, Any], FunctionOutcome]


def complete(spec: JobSpec, context: JobContext, stop: threading.Event) -> JobOutcome:
    """A job that ends well at once."""
    return JobOutcome("Completed")


def fail(spec: JobSpec, context: JobContext, stop: threading.Event) -> JobOutcome:
    """A job that fails at once."""
    return JobOutcome("Failed", "AlgorithmError: exit code 1")


def run_until_stopped(spec: JobSpec, context: JobContext, stop: threading.Event) -> JobOutcome:
    """A job that only ends when it is stopped."""
    return JobOutcome("Stopped") if stop.wait(DEADLINE_SECONDS) else JobOutcome("Failed", "nobody stopped it")


@dataclass
class Gate:
    """A job that waits until the test opens the gate; tells when it was entered."""

    entered: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)
    outcome: JobOutcome = field(default_factory=lambda: JobOutcome("Completed"))

    def __call__(self, spec: JobSpec, context: JobContext, stop: threading.Event) -> JobOutcome:
        self.entered.set()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            if stop.is_set():
                return JobOutcome("Stopped")
            if self.opened.wait(0.005):
                return self.outcome
        return JobOutcome("Failed", "the gate was never opened")


@dataclass
class World:
    """What the engine under test sees of the outside, and handles for the test.

    :param behaviours: what the job of a step does, by the step's name; ``complete`` for others.
    """

    directory: Path
    objects: dict[str, bytes] = field(default_factory=dict)
    behaviours: dict[str, JobBehaviour] = field(default_factory=dict)
    functions: dict[str, FunctionBehaviour] = field(default_factory=dict)
    requests: dict[str, Any] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    stand_ins: StandIns = field(default_factory=StandIns)
    logs: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    broken_queues: set[str] = field(default_factory=set)
    active: int = 0
    most_active: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    engine: Engine = field(init=False)

    def open(self) -> Engine:
        """Start an engine on the directory."""
        self.engine = Engine(self.directory / "state", self.services(), max_workers=8)
        self.engine.start()
        return self.engine

    def services(self) -> EngineServices:
        """The services of this world."""
        return EngineServices(
            region="us-east-1",
            account_id="123456789012",
            endpoint_url="http://127.0.0.1:1",
            cache_dir=self.directory / "cache",
            s3=self,
            write_logs=lambda group, stream, lines: self.logs.setdefault((group, stream), []).extend(
                line for _, line in lines
            ),
            find_function=self._find_function,
            isolation=_ISOLATION,
            validate_request=lambda operation, request: self.faults.get(operation),
            run_job=self._run_job,
            run_function=self._run_function,
            send_message=self._send_message,
            stand_ins=self.stand_ins,
            faults_file=self.directory / "faults.toml",
        )

    def _send_message(self, url: str, body: str) -> str | None:
        if url in self.broken_queues:
            return "The specified queue does not exist."
        self.messages.append((url, json.loads(body)))
        return None

    def get_object(self, *, Bucket: str, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's names
        """What boto3's S3 client answers."""
        return {"Body": io.BytesIO(self.objects[f"s3://{Bucket}/{Key}"])}

    def delete_object(self, *, Bucket: str, Key: str, **_: Any) -> None:  # noqa: N803 - boto3's names
        """What boto3's S3 client does."""
        self.objects.pop(f"s3://{Bucket}/{Key}", None)

    def list_objects_v2(self, *, Bucket: str, Prefix: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's names
        """What boto3's S3 client answers, two objects at a time."""
        start = f"s3://{Bucket}/"
        found = [uri.removeprefix(start) for uri in self.objects if uri.startswith(start + Prefix)]
        return {"Contents": [{"Key": key} for key in found[:2]], "IsTruncated": len(found) > 2}

    def put_json(self, uri: str, document: Any) -> None:
        """Keep a JSON document as an S3 object."""
        self.objects[uri] = json.dumps(document).encode()

    def _find_function(self, arn: str) -> FunctionSpec | None:
        name = arn.rpartition(":")[2]
        if name not in self.functions:
            return None
        return FunctionSpec(arn, name, "python3.12", "app.handler", b"", timeout_seconds=900)

    def _run_function(
        self, spec: FunctionSpec, event: Any, context: JobContext, stop: threading.Event
    ) -> FunctionOutcome:
        if spec.name in self.functions:
            return self.functions[spec.name](spec, event)
        return run_function(spec, event, context, stop)

    def _run_job(self, spec: JobSpec, context: JobContext, stop: threading.Event) -> JobOutcome:
        step = "-".join(spec.name.split("-")[2:-1]) if spec.name.startswith("pipelines-") else spec.name
        with self.lock:
            self.requests[step] = spec.request
            self.started.append(step)
            self.active += 1
            self.most_active = max(self.most_active, self.active)
        try:
            return self.behaviours.get(step, complete)(spec, context, stop)
        finally:
            with self.lock:
                self.active -= 1

    def create(self, steps: list[Any], *, name: str = "demo", parameters: list[Any] | None = None, **rest: Any) -> None:
        """Create a pipeline of these steps."""
        self.engine.call(
            "CreatePipeline",
            {
                "PipelineName": name,
                "RoleArn": ROLE,
                "PipelineDefinition": definition_text(steps, parameters=parameters),
                **rest,
            },
        )

    def start(self, name: str = "demo", **request: Any) -> str:
        """Start an execution; its ARN."""
        answer = self.engine.call("StartPipelineExecution", {"PipelineName": name, **request})
        return str(answer["PipelineExecutionArn"])

    def describe(self, arn: str) -> dict[str, Any]:
        """DescribePipelineExecution."""
        return self.engine.call("DescribePipelineExecution", {"PipelineExecutionArn": arn})

    def steps(self, arn: str) -> dict[str, dict[str, Any]]:
        """The steps of an execution by name."""
        answer = self.engine.call("ListPipelineExecutionSteps", {"PipelineExecutionArn": arn})
        return {step["StepName"]: step for step in answer["PipelineExecutionSteps"]}

    def statuses(self, arn: str) -> dict[str, str]:
        """The steps' statuses by name."""
        return {name: step["StepStatus"] for name, step in self.steps(arn).items()}

    def finish(self, arn: str) -> str:
        """Wait for an execution's end; its final status."""
        wait_until(lambda: self.describe(arn)["PipelineExecutionStatus"] not in ("Executing", "Stopping"))
        return str(self.describe(arn)["PipelineExecutionStatus"])

    def run(self, steps: list[Any], *, parameters: list[Any] | None = None, **request: Any) -> tuple[str, str]:
        """Create, start and finish; the ARN and the final status."""
        self.create(steps, parameters=parameters)
        arn = self.start(**request)
        return arn, self.finish(arn)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)


def definition_text(steps: list[Any], *, parameters: list[Any] | None = None, **members: Any) -> str:
    """A pipeline definition as text."""
    return json.dumps({"Version": "2020-12-01", "Parameters": parameters or [], "Steps": steps, **members})


def as_text(value: Any) -> dict[str, Any]:
    """The expression that makes text of a value."""
    return {"Std:Join": {"On": "", "Values": [value]}}


def processing(name: str, *, depends_on: list[Any] | None = None, **members: Any) -> dict[str, Any]:
    """A Processing step with one output, ``out``, at ``s3://bucket/<name>``."""
    arguments = {
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
        "AppSpecification": {"ImageUri": "image", "ContainerEntrypoint": ["python3", "x.py"]},
        "RoleArn": ROLE,
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "out",
                    "S3Output": {
                        "S3Uri": f"s3://bucket/{name}",
                        "LocalPath": "/opt/ml/processing/out",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        **members.pop("arguments", {}),
    }
    step = {"Name": name, "Type": "Processing", "Arguments": arguments, **members}
    return {**step, "DependsOn": depends_on} if depends_on else step


def training(name: str, **arguments: Any) -> dict[str, Any]:
    """A Training step that writes to ``s3://bucket/models``."""
    return {
        "Name": name,
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
            "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            "RoleArn": ROLE,
            **arguments,
        },
    }


def condition(name: str, conditions: list[Any], *, then: list[Any], otherwise: list[Any]) -> dict[str, Any]:
    """A Condition step."""
    return {
        "Name": name,
        "Type": "Condition",
        "Arguments": {"Conditions": conditions, "IfSteps": then, "ElseSteps": otherwise},
    }


def lambda_step(name: str, function: str, event: Any, outputs: list[tuple[str, str]]) -> dict[str, Any]:
    """A Lambda step with typed outputs."""
    return {
        "Name": name,
        "Type": "Lambda",
        "FunctionArn": f"arn:aws:lambda:us-east-1:123456789012:function:{function}",
        "Arguments": event,
        "OutputParameters": [{"OutputName": output, "OutputType": kind} for output, kind in outputs],
    }


def for_each(name: str, items: Any, body: list[Any], *, concurrency: int = 10, **members: Any) -> dict[str, Any]:
    """A ForEach step; ``Selector`` goes to its arguments, other members to the step."""
    selector = {"Selector": members.pop("Selector")} if "Selector" in members else {}
    arguments = {"IterableItems": items, "MaxConcurrency": concurrency, **selector, "ForEachBody": body}
    return {"Name": name, "Type": "ForEach", "Arguments": arguments, **members}


def fail_step(name: str, message: Any) -> dict[str, Any]:
    """A Fail step."""
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}}
