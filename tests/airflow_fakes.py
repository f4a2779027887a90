"""A scriptable SageMaker at the network's edge: a loopback HTTP endpoint whose answers and faults a test writes down.

It holds no semantics of SageMaker beyond idempotent starts; the real local endpoint is tested elsewhere.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

ACCOUNT = "123456789012"
PREFIX = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}"

ROLE = f"arn:aws:iam::{ACCOUNT}:role/Sage"
IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/image:1"

DEFINITION: dict[str, Any] = {
    "Version": "2020-12-01",
    "Metadata": {},
    "Parameters": [
        {"Name": "MaxDepth", "Type": "Integer", "DefaultValue": 3},
        {"Name": "Mode", "Type": "String", "DefaultValue": "fast", "EnumValues": ["fast", "slow"]},
    ],
    "PipelineExperimentConfig": None,
    "Steps": [
        {
            "Name": "Train",
            "Type": "Training",
            "Arguments": {
                "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
                "HyperParameters": {"max_depth": {"Std:Join": {"On": "", "Values": [{"Get": "Parameters.MaxDepth"}]}}},
                "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
                "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30},
                "RoleArn": ROLE,
                "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            },
        },
        {
            "Name": "Evaluate",
            "Type": "Processing",
            "Arguments": {
                "AppSpecification": {"ImageUri": IMAGE},
                "ProcessingResources": {
                    "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30}
                },
                "ProcessingOutputConfig": {
                    "Outputs": [
                        {
                            "OutputName": "evaluation",
                            "S3Output": {
                                "S3Uri": "s3://bucket/out",
                                "LocalPath": "/opt/ml/processing/evaluation",
                                "S3UploadMode": "EndOfJob",
                            },
                        }
                    ]
                },
                "RoleArn": ROLE,
            },
            "DependsOn": ["Train"],
            "PropertyFiles": [
                {"PropertyFileName": "Metrics", "OutputName": "evaluation", "FilePath": "evaluation.json"}
            ],
        },
    ],
}

TRAIN_ARN = f"{PREFIX}:training-job/pipelines-abc-Train"
EVALUATE_ARN = f"{PREFIX}:processing-job/pipelines-abc-Evaluate"
SUCCEEDED_STEPS = [
    {
        "StepName": "Train",
        "StepStatus": "Succeeded",
        "StartTime": 1000.0,
        "EndTime": 1012.5,
        "AttemptCount": 1,
        "Metadata": {"TrainingJob": {"Arn": TRAIN_ARN}},
    },
    {
        "StepName": "Evaluate",
        "StepStatus": "Succeeded",
        "StartTime": 1013.0,
        "EndTime": 1016.0,
        "AttemptCount": 1,
        "Metadata": {"ProcessingJob": {"Arn": EVALUATE_ARN}},
    },
]
FAILED_STEPS = [
    SUCCEEDED_STEPS[0],
    {**SUCCEEDED_STEPS[1], "StepStatus": "Failed", "FailureReason": "AlgorithmError: exit code 3"},
]


@dataclass
class Fault:
    """A refusal of the next calls of an operation.

    :param is_done_first: act, then refuse, as when the answer is lost.
    """

    code: str
    http_status: int = 400
    message: str = "refused by the test"
    times: int = 1
    is_done_first: bool = False


@dataclass
class Execution:
    """One execution: the statuses it shows to successive looks, the last of which stays; a hidden one is in no list."""

    arn: str
    request: dict[str, Any]
    statuses: list[str]
    steps: list[dict[str, Any]]
    failure_reason: str | None = None
    is_hidden: bool = False
    retries: list[str] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)


class FakeSageMaker:
    """What the endpoint knows and has been asked; set its attributes from a test.

    :ivar statuses: what new executions show.
    :ivar statuses_after_retry: what a resumed execution shows.
    :ivar by_pipeline: (statuses, steps, failure reason) of one pipeline's executions, instead of the common ones.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.executions: dict[str, Execution] = {}
        self.tokens: dict[str, tuple[dict[str, Any], str]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.faults: dict[str, list[Fault]] = {}
        self.statuses = ["Executing", "Succeeded"]
        self.statuses_after_retry = ["Executing", "Succeeded"]
        self.steps: list[dict[str, Any]] = SUCCEEDED_STEPS
        self.failure_reason: str | None = None
        self.by_pipeline: dict[str, tuple[list[str], list[dict[str, Any]], str | None]] = {}
        self.objects: dict[str, bytes] = {}
        self.log_lines: list[str] = []
        self.page_size = 100
        self.delay_seconds: dict[str, float] = {}

    # --- set-up and questions of a test --------------------------------------------------------------------------

    def add_pipeline(self, name: str, definition: dict[str, Any] | None = None) -> None:
        """Have a pipeline, with one version."""
        self.op_CreatePipeline(
            {
                "PipelineName": name,
                "PipelineDefinition": json.dumps(definition or DEFINITION),
                "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/first",
            }
        )

    def fail_next(self, operation: str, fault: Fault) -> None:
        """Refuse the next call of an operation."""
        self.faults.setdefault(operation, []).append(fault)

    def count(self, operation: str) -> int:
        """How often an operation was called."""
        return sum(1 for name, _ in self.calls if name == operation)

    def requests(self, operation: str) -> list[dict[str, Any]]:
        """The requests of an operation, in order."""
        return [request for name, request in self.calls if name == operation]

    def executions_of(self, pipeline: str) -> list[Execution]:
        """The executions of a pipeline, in the order they were started."""
        return [one for one in self.executions.values() if one.request["PipelineName"] == pipeline]

    # --- operations ------------------------------------------------------------------------------------------------

    def op_CreatePipeline(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["PipelineName"]
        if name in self.pipelines:
            raise Refusal("ValidationException", f"Pipeline names must be unique within an AWS account. ({name})")
        arn = f"{PREFIX}:pipeline/{name}"
        version = {"definition": self._definition(request), "aliases": []}
        self.pipelines[name] = {**request, "PipelineArn": arn, "versions": [version]}
        return {"PipelineArn": arn}

    def op_UpdatePipeline(self, request: dict[str, Any]) -> dict[str, Any]:
        pipeline = self._pipeline(request["PipelineName"])
        answer = {"PipelineArn": pipeline["PipelineArn"]}
        pipeline.pop("ParallelismConfiguration", None)
        for key in ("RoleArn", "PipelineDescription", "ParallelismConfiguration", "PipelineDisplayName"):
            if key in request:
                pipeline[key] = request[key]
        if "PipelineDefinition" in request or "PipelineDefinitionS3Location" in request:
            pipeline["versions"].append({"definition": self._definition(request), "aliases": []})
            answer["PipelineVersionId"] = len(pipeline["versions"])
        return answer

    def op_DescribePipeline(self, request: dict[str, Any]) -> dict[str, Any]:
        pipeline = self._pipeline(request["PipelineName"])
        version = pipeline["versions"][request.get("PipelineVersionId", 0) - 1]
        if alias := request.get("PipelineVersionAlias"):
            version = next((one for one in pipeline["versions"] if alias in one["aliases"]), None)
            if version is None:
                raise Refusal("ResourceNotFound", f"no version has alias {alias}")
        keys = ("PipelineName", "PipelineArn", "RoleArn", "PipelineDescription", "ParallelismConfiguration")
        return {
            **{key: pipeline[key] for key in keys if key in pipeline},
            "PipelineDefinition": version["definition"],
        }

    def op_ListPipelineVersions(self, request: dict[str, Any]) -> dict[str, Any]:
        pipeline = self._pipeline(request["PipelineName"])
        items = [
            {
                "PipelineArn": pipeline["PipelineArn"],
                "PipelineVersionId": number,
                "PipelineVersionAliases": version["aliases"],
            }
            for number, version in enumerate(pipeline["versions"], 1)
        ]
        return self._page("PipelineVersionSummaries", items, request)

    def op_UpdatePipelineVersion(self, request: dict[str, Any]) -> dict[str, Any]:
        pipeline = self._pipeline(request["PipelineArn"])
        versions, number = pipeline["versions"], request["PipelineVersionId"]
        operations = request.get("PipelineVersionAliasOperations", {})
        versions[number - 1] |= {
            key: request[key] for key in ("PipelineVersionDisplayName", "PipelineVersionDescription") if key in request
        }
        for alias in operations.get("Add", ()):
            if any(alias in version["aliases"] for version in versions):
                raise Refusal("ConflictException", f"alias {alias} is taken")
            versions[number - 1]["aliases"].append(alias)
        for alias in operations.get("Remove", ()):
            versions[number - 1]["aliases"].remove(alias)
        return {"PipelineArn": pipeline["PipelineArn"], "PipelineVersionId": number}

    def op_ListTags(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": self._pipeline(request["ResourceArn"]).get("Tags", [])}

    def op_AddTags(self, request: dict[str, Any]) -> dict[str, Any]:
        pipeline = self._pipeline(request["ResourceArn"])
        pipeline["Tags"] = pipeline.get("Tags", []) + request["Tags"]
        return {"Tags": pipeline["Tags"]}

    def op_StartPipelineExecution(self, request: dict[str, Any]) -> dict[str, Any]:
        name = self._pipeline(request["PipelineName"])["PipelineName"]
        token = request["ClientRequestToken"]
        asked = {key: value for key, value in request.items() if key != "ClientRequestToken"}
        if token in self.tokens:
            first, arn = self.tokens[token]
            if first != asked:
                raise Refusal("ConflictException", "the token was used with another request")
            return {"PipelineExecutionArn": arn}
        arn = f"{PREFIX}:pipeline/{name}/execution/e{len(self.executions):011d}"
        statuses, steps, reason = self.by_pipeline.get(name, (self.statuses, self.steps, self.failure_reason))
        self.executions[arn] = Execution(arn, asked, list(statuses), steps, reason)
        self.tokens[token] = (asked, arn)
        return {"PipelineExecutionArn": arn}

    def op_RetryPipelineExecution(self, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._execution(request)
        if request["ClientRequestToken"] not in execution.retries:
            execution.retries.append(request["ClientRequestToken"])
            execution.statuses = list(self.statuses_after_retry)
            execution.steps = SUCCEEDED_STEPS
        return {"PipelineExecutionArn": execution.arn}

    def op_StopPipelineExecution(self, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._execution(request)
        if execution.statuses[0] != "Executing":
            raise Refusal("ValidationException", "Only pipelines with 'Executing' status can be stopped.")
        execution.stops.append(request["ClientRequestToken"])
        execution.statuses = ["Stopping", "Stopped"]
        return {"PipelineExecutionArn": execution.arn}

    def op_DescribePipelineExecution(self, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._execution(request)
        status = execution.statuses[0]
        if len(execution.statuses) > 1:
            execution.statuses.pop(0)
        answer = {
            "PipelineExecutionArn": execution.arn,
            "PipelineExecutionStatus": status,
            "PipelineVersionId": 1,
        }
        if execution.failure_reason and status == "Failed":
            answer["FailureReason"] = execution.failure_reason
        return answer

    def op_ListPipelineExecutions(self, request: dict[str, Any]) -> dict[str, Any]:
        name = self._pipeline(request["PipelineName"])["PipelineName"]
        items = []
        for number, execution in enumerate(self.executions_of(name)):
            if execution.is_hidden:
                continue
            status = execution.statuses[0]
            if len(execution.statuses) > 1:
                execution.statuses.pop(0)
            item = {"PipelineExecutionArn": execution.arn, "StartTime": 1000.0 + number}
            item["PipelineExecutionStatus"] = status
            if execution.failure_reason and status == "Failed":
                item["PipelineExecutionFailureReason"] = execution.failure_reason
            items.append(item)
        return self._page("PipelineExecutionSummaries", items[::-1], request)

    def op_ListPipelineExecutionSteps(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._page("PipelineExecutionSteps", self._execution(request).steps, request)

    def op_SendPipelineExecutionStepSuccess(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"PipelineExecutionArn": next(iter(self.executions))}

    def op_SendPipelineExecutionStepFailure(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"PipelineExecutionArn": next(iter(self.executions))}

    def op_DescribePipelineDefinitionForExecution(self, request: dict[str, Any]) -> dict[str, Any]:
        name = self._execution(request).request["PipelineName"]
        return {"PipelineDefinition": self.pipelines[name]["versions"][-1]["definition"]}

    def op_DescribeTrainingJob(self, request: dict[str, Any]) -> dict[str, Any]:
        return {
            "TrainingJobName": request["TrainingJobName"],
            "TrainingJobArn": TRAIN_ARN,
            "InputDataConfig": [
                {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://bucket/data/train/"}}}
            ],
            "ModelArtifacts": {"S3ModelArtifacts": "s3://bucket/model.tar.gz"},
            "FinalMetricDataList": [{"MetricName": "validation:rmse", "Value": 4.5, "Timestamp": 1012.0}],
            "TrainingJobStatus": "Completed",
            "CreationTime": 1000.0,
        }

    def op_DescribeProcessingJob(self, request: dict[str, Any]) -> dict[str, Any]:
        output = {
            "OutputName": "evaluation",
            "S3Output": {"S3Uri": "s3://bucket/out/", "LocalPath": "/opt/ml/x", "S3UploadMode": "EndOfJob"},
        }
        return {
            "ProcessingJobName": request["ProcessingJobName"],
            "ProcessingInputs": [
                {"InputName": name, "S3Input": {"S3Uri": uri, "S3DataType": "S3Prefix"}}
                for name, uri in (("code", "s3://bucket/code.py"), ("model", "s3://bucket/model.tar.gz"))
            ],
            "ProcessingOutputConfig": {"Outputs": [output]},
            "ProcessingJobStatus": "Completed",
        }

    def op_DescribeModelPackage(self, request: dict[str, Any]) -> dict[str, Any]:
        container = {"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz"}
        return {
            "ModelPackageArn": request["ModelPackageName"],
            "ModelPackageGroupName": "g",
            "ModelPackageVersion": 3,
            "ModelApprovalStatus": "Approved",
            "InferenceSpecification": {"Containers": [container]},
        }

    def op_DescribeLogStreams(self, request: dict[str, Any]) -> dict[str, Any]:
        name = f"{request['logStreamNamePrefix']}/algo-1-1"
        return {"logStreams": [{"logStreamName": name, "creationTime": 1}] if self.log_lines else []}

    def op_GetLogEvents(self, request: dict[str, Any]) -> dict[str, Any]:
        lines = self.log_lines[-request["limit"] :] if "limit" in request else self.log_lines
        events = [] if request.get("nextToken") else [{"timestamp": 1, "message": line} for line in lines]
        return {"events": events, "nextForwardToken": "f/1"}

    # --- helpers ---------------------------------------------------------------------------------------------------

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """One call: counted, delayed, refused or answered as the test wants."""
        time.sleep(self.delay_seconds.get(operation, 0))
        with self.lock:
            self.calls.append((operation, request))
            fault = self._fault(operation)
            if fault is not None and not fault.is_done_first:
                raise Refusal(fault.code, fault.message, fault.http_status)
            result: dict[str, Any] = getattr(self, f"op_{operation}")(request)
            if fault is not None:
                raise Refusal(fault.code, fault.message, fault.http_status)
            return result

    def _fault(self, operation: str) -> Fault | None:
        waiting = self.faults.get(operation)
        if not waiting:
            return None
        fault = waiting[0]
        fault.times -= 1
        if fault.times <= 0:
            waiting.pop(0)
        return fault

    def _pipeline(self, name: str) -> dict[str, Any]:
        found = self.pipelines.get(name.rpartition("/")[2])
        if found is None:
            raise Refusal("ResourceNotFound", f"Pipeline '{name}' does not exist.")
        return found

    def _execution(self, request: dict[str, Any]) -> Execution:
        found = self.executions.get(request["PipelineExecutionArn"])
        if found is None:
            raise Refusal("ResourceNotFound", "Execution does not exist.")
        return found

    def _definition(self, request: dict[str, Any]) -> str:
        if "PipelineDefinition" in request:
            return str(request["PipelineDefinition"])
        place = request["PipelineDefinitionS3Location"]
        return self.objects[f"{place['Bucket']}/{place['ObjectKey']}"].decode()

    def _page(self, member: str, items: list[dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
        start = int(request.get("NextToken") or 0)
        answer: dict[str, Any] = {member: items[start : start + self.page_size]}
        if start + self.page_size < len(items):
            answer["NextToken"] = str(start + self.page_size)
        return answer


class Refusal(Exception):  # noqa: N818
    """An AWS error answer."""

    def __init__(self, code: str, message: str, http_status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status


@contextmanager
def open_fake(fake: FakeSageMaker) -> Iterator[str]:
    """Serve the fake on a free loopback port; gives the endpoint's URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            try:
                self._send(200, json.dumps(fake.answer(operation, json.loads(body or b"{}"))).encode())
            except Refusal as error:
                answer = json.dumps({"__type": error.code, "message": str(error)}).encode()
                self._send(error.http_status, answer)

        def do_GET(self) -> None:
            key = unquote(urlsplit(self.path).path).lstrip("/")
            if key in fake.objects:
                self._send(200, fake.objects[key])
            else:
                self._send(404, b"<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>", "application/xml")

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "aws-chunked":
                body = body.split(b"\r\n", 1)[1].split(b"\r\n0\r\n")[0]
            fake.objects[unquote(urlsplit(self.path).path).lstrip("/")] = body
            self._send(200, b"")

        def _send(self, status: int, body: bytes, content_type: str = "application/x-amz-json-1.1") -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            if self.command in ("GET", "PUT"):
                self.send_header("ETag", '"0"')
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def aws_environment(url: str) -> dict[str, str]:
    """The variables that send boto3 to the endpoint at ``url``."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
    }


@contextmanager
def fernet_key_of_airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let Airflow have a Fernet key, as after its first start."""
    from airflow.models import crypto
    from cryptography.fernet import Fernet

    def forget() -> None:
        # Airflow 3.1 keeps it in a global.
        if hasattr(crypto.get_fernet, "cache_clear"):
            crypto.get_fernet.cache_clear()
        else:
            crypto._fernet = None

    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    forget()
    yield
    forget()
