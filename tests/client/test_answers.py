"""Every call through every kind of broken answer: none is a success, and none raises an error of Python's own."""

from __future__ import annotations

import inspect
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_sm_pipelines.client.answers import UNREADABLE_ANSWER
from airflow_sm_pipelines.client.callbacks import (
    CallbackMessage,
    delete_callback,
    receive_callback,
    send_failure,
    send_success,
)
from airflow_sm_pipelines.client.calls import SageMakerCalls
from airflow_sm_pipelines.client.session_calls import SessionCalls
from airflow_sm_pipelines.client.status_events import delete_messages, find_queue_url, put_back, receive_messages
from airflow_sm_pipelines.exceptions import PipelineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIPELINE = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p"
EXECUTION = f"{PIPELINE}/execution/e00000000001"
TOKEN = "t" * 40
QUEUE = "http://127.0.0.1/123456789012/q"
STARTED = {"PipelineExecutionArn": EXECUTION}
SUMMARY = {"PipelineExecutionArn": EXECUTION, "PipelineExecutionStatus": "Succeeded"}
STEP = {"StepName": "Train", "StepStatus": "Succeeded", "StartTime": 1.0, "Metadata": {"Model": {"Arn": "arn:x"}}}
MESSAGE = {"Body": json.dumps({"token": "t", "pipelineExecutionArn": EXECUTION}), "ReceiptHandle": "r"}
CHANGED = {"Successful": [{"Id": "0"}], "Failed": []}

ANSWERS: dict[str, dict[str, Any]] = {
    "DescribePipeline": {"PipelineArn": PIPELINE, "PipelineDefinition": "{}", "PipelineName": "p"},
    "ListPipelineVersions": {
        "PipelineVersionSummaries": [{"PipelineVersionId": 1, "PipelineVersionAliases": ["prod"], "CreationTime": 1.0}]
    },
    "CreatePipeline": {"PipelineArn": PIPELINE},
    "UpdatePipeline": {"PipelineArn": PIPELINE, "PipelineVersionId": 2},
    "UpdatePipelineVersion": {"PipelineArn": PIPELINE, "PipelineVersionId": 1},
    "ListPipelines": {"PipelineSummaries": [{"PipelineName": "p", "PipelineArn": PIPELINE}]},
    "ListPipelineExecutions": {"PipelineExecutionSummaries": [SUMMARY]},
    "DeletePipeline": {"PipelineArn": PIPELINE},
    "ListTags": {"Tags": [{"Key": "team", "Value": "risk"}]},
    "AddTags": {"Tags": [{"Key": "team", "Value": "risk"}]},
    "DescribePipelineExecution": SUMMARY,
    "ListPipelineExecutionSteps": {"PipelineExecutionSteps": [STEP]},
    "ListPipelineParametersForExecution": {"PipelineParameters": [{"Name": "Depth", "Value": "4"}]},
    "StartPipelineExecution": STARTED,
    "RetryPipelineExecution": STARTED,
    "StopPipelineExecution": STARTED,
    "DescribePipelineDefinitionForExecution": {"PipelineDefinition": "{}"},
    "DescribeTrainingJob": {"TrainingJobName": "j", "TrainingJobStatus": "Completed"},
    "ListTrainingJobsForHyperParameterTuningJob": {"TrainingJobSummaries": [{"TrainingJobName": "j"}]},
    "SendPipelineExecutionStepSuccess": STARTED,
    "SendPipelineExecutionStepFailure": STARTED,
    "DescribeLogStreams": {"logStreams": [{"logStreamName": "j/algo-1"}]},
    "GetLogEvents": {"events": [{"timestamp": 1, "message": "hello"}]},
    "GetQueueUrl": {"QueueUrl": QUEUE},
    "ReceiveMessage": {"Messages": [MESSAGE]},
    "DeleteMessageBatch": CHANGED,
    "ChangeMessageVisibilityBatch": CHANGED,
}

METHODS: dict[str, Callable[[SageMakerCalls], Any]] = {
    "describe_pipeline": lambda calls: calls.describe_pipeline("p"),
    "list_versions": lambda calls: calls.list_versions("p"),
    "create_pipeline": lambda calls: calls.create_pipeline("p", RoleArn=f"arn:aws:iam::{'1' * 12}:role/r"),
    "update_pipeline": lambda calls: calls.update_pipeline("p"),
    "update_version_aliases": lambda calls: calls.update_version_aliases(PIPELINE, 1, add=["prod"]),
    "update_version_labels": lambda calls: calls.update_version_labels(PIPELINE, 1, display_name="n", description="d"),
    "list_pipelines": lambda calls: calls.list_pipelines(),
    "list_executions": lambda calls: list(calls.list_executions("p")),
    "delete_pipeline": lambda calls: calls.delete_pipeline("p", token=TOKEN),
    "list_tags": lambda calls: calls.list_tags(PIPELINE),
    "add_tags": lambda calls: calls.add_tags(PIPELINE, {"team": "risk"}),
    "describe_execution": lambda calls: calls.describe_execution(EXECUTION),
    "describe_execution_times": lambda calls: calls.describe_execution_times(EXECUTION),
    "describe_execution_start": lambda calls: calls.describe_execution_start(EXECUTION),
    "describe_execution_steps": lambda calls: calls.describe_execution_steps(EXECUTION),
    "list_execution_parameters": lambda calls: calls.list_execution_parameters(EXECUTION),
    "iter_step_answers": lambda calls: list(calls.iter_step_answers(EXECUTION)),
    "start_execution": lambda calls: calls.start_execution({"PipelineName": "p"}, token=TOKEN),
    "retry_execution": lambda calls: calls.retry_execution(EXECUTION, token=TOKEN),
    "stop_execution": lambda calls: calls.stop_execution(EXECUTION, token=TOKEN),
    "list_executions_page": lambda calls: calls.list_executions_page(PipelineName="p"),
    "describe_report": lambda calls: calls.describe_report(EXECUTION),
    "describe_execution_definition": lambda calls: calls.describe_execution_definition(EXECUTION),
    "describe_resource": lambda calls: calls.describe_resource("describe_training_job", "TrainingJobName", "j"),
    "list_tuned_jobs": lambda calls: calls.list_tuned_jobs("j"),
    "read_s3_text": lambda calls: calls.read_s3_text("s3://bucket/key"),
    "write_s3_text": lambda calls: calls.write_s3_text("s3://bucket/key", "text"),
    "read_log_tail": lambda calls: calls.read_log_tail("/aws/sagemaker/TrainingJobs", "j", max_lines=5),
}
FUNCTIONS: dict[str, Callable[[SageMakerCalls], Any]] = {
    "account_id": lambda calls: calls.account_id,
    "send_success": lambda calls: send_success(calls, TOKEN, {"a": 1}),
    "send_failure": lambda calls: send_failure(calls, TOKEN, "no"),
    "receive_callback": lambda calls: receive_callback(calls, QUEUE, execution_arn=None),
    "delete_callback": lambda calls: delete_callback(calls, QUEUE, CallbackMessage("t", EXECUTION, None, "r")),
    "find_queue_url": lambda calls: find_queue_url(calls, "q"),
    "receive_messages": lambda calls: receive_messages(calls, QUEUE, wait_seconds=0),
    "delete_messages": lambda calls: delete_messages(calls, QUEUE, ["r"]),
    "put_back": lambda calls: put_back(calls, QUEUE, ["r"]),
}
NO_CALLS = {"client_of", "child_environment", "ask", "knows_aliases", "require_aliases"}
EMPTY_IS_NONE = {"receive_callback", "receive_messages"}
"""A queue without messages answers without the member, so that only a broken text can be told from it."""


def wrong(value: Any) -> Any:
    """A value of another JSON type."""
    return 5 if isinstance(value, (str, dict)) else "x"


FAULTS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "no members": lambda answer: b"{}",
    "member missing": lambda answer: json.dumps(dict(list(answer.items())[1:])).encode(),
    "member null": lambda answer: json.dumps(dict.fromkeys(answer)).encode(),
    "wrong type": lambda answer: json.dumps({key: wrong(value) for key, value in answer.items()}).encode(),
    "wrong entries": lambda answer: json.dumps(
        {key: [7] if isinstance(value, list) else wrong(value) for key, value in answer.items()}
    ).encode(),
    "entries without members": lambda answer: json.dumps(
        {key: [{}] if isinstance(value, list) else "" for key, value in answer.items()}
    ).encode(),
    "log-in page": lambda answer: b"<html>Please log in</html>",
    "half of it": lambda answer: json.dumps(answer).encode()[:-3],
    "nothing": lambda answer: b"",
    "null": lambda answer: b"null",
    "a list": lambda answer: b"[]",
    "a text": lambda answer: b'"ok"',
}


class Answers:
    """What the endpoint answers; a fault changes each answer."""

    fault: str | None = None
    asked = 0

    def body(self, operation: str) -> bytes:
        self.asked += 1
        answer = ANSWERS[operation]
        return json.dumps(answer).encode() if self.fault is None else FAULTS[self.fault](answer)


@pytest.fixture(scope="module")
def answers() -> Iterator[tuple[Answers, str]]:
    """The endpoint and its URL."""
    told = Answers()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            if operation:
                return self._send(told.body(operation), {"Content-Type": "application/x-amz-json-1.1"})
            whole = b"<R><GetCallerIdentityResult><Account>123456789012</Account></GetCallerIdentityResult></R>"
            return self._send(whole if told.fault is None else FAULTS[told.fault]({}), {"Content-Type": "text/xml"})

        def do_GET(self) -> None:
            self._send(b"text", {"ETag": '"1"'} if told.fault is None else {})

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._send(b"", {"ETag": '"1"'} if told.fault is None else {})

        def _send(self, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield told, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def shared_calls(answers: tuple[Answers, str]) -> SageMakerCalls:
    """Calls that ask once."""
    calls = SessionCalls(boto3.Session("local", "local", region_name="us-east-1"), endpoint_url=answers[1])
    calls.answer_pauses = ()
    return calls


@pytest.fixture
def calls(answers: tuple[Answers, str], shared_calls: SageMakerCalls) -> Iterator[SageMakerCalls]:
    """The calls, on an endpoint without a fault."""
    answers[0].fault = None
    shared_calls.__dict__.pop("account_id", None)
    yield shared_calls
    answers[0].fault = None


def test_the_table_below_has_every_call() -> None:
    public = {name for name, _ in inspect.getmembers(SageMakerCalls, inspect.isfunction) if not name.startswith("_")}
    assert public - NO_CALLS == set(METHODS)


@pytest.mark.parametrize("name", [*METHODS, *FUNCTIONS])
def test_a_whole_answer_is_taken(calls: SageMakerCalls, name: str) -> None:
    {**METHODS, **FUNCTIONS}[name](calls)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", [*METHODS, *FUNCTIONS])
def test_a_broken_answer_is_an_error_of_ours(
    answers: tuple[Answers, str], calls: SageMakerCalls, name: str, fault: str
) -> None:
    answers[0].fault = fault
    call = {**METHODS, **FUNCTIONS}[name]
    if name in EMPTY_IS_NONE and fault in ("no members", "member missing", "member null"):
        assert not call(calls)
        return
    with pytest.raises(PipelineUnavailableError) as caught:
        call(calls)
    assert caught.value.code == UNREADABLE_ANSWER
    assert not caught.value.is_final


def test_a_read_is_asked_again_and_a_write_that_must_not_be_repeated_is_not(
    answers: tuple[Answers, str], calls: SageMakerCalls
) -> None:
    told = answers[0]
    calls.answer_pauses = (0.0, 0.0)
    try:
        for name, asked in (("describe_pipeline", 3), ("list_versions", 3), ("update_pipeline", 1), ("add_tags", 3)):
            told.fault, told.asked = "log-in page", 0
            with pytest.raises(PipelineUnavailableError):
                METHODS[name](calls)
            assert told.asked == asked, name
    finally:
        calls.answer_pauses = ()
