"""Delivers events to the targets of EventBridge that moto does not serve: functions, topics and pipelines.

Such an event first goes into a queue of this endpoint, with the request that put it, so it is as durable as that
request. A thread takes the messages from there, one after another, and deletes each after its target has taken it. A
target gets each event at least once, and after ``kill -9`` perhaps twice.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.arns import parse_arn
from airflow_sm_pipelines.local_endpoint import ACCOUNT_ID
from airflow_sm_pipelines.server.http.messages import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_sm_pipelines.server.http.messages import Response

_log = logging.getLogger(__name__)

QUEUE = "sm-pipelines-events-to-deliver"
QUEUE_URL = f"http://127.0.0.1/{ACCOUNT_ID}/{QUEUE}"
_ATTEMPTS = 3
_PAUSE_SECONDS = 1.0

_has_messages = threading.Event()
"""moto, and with it the queue, belongs to the process."""


def is_delivered_here(arn: str) -> bool:
    """Whether a target is a Lambda function, an SNS topic or a SageMaker pipeline."""
    found = parse_arn(arn)
    if found is None:
        return False
    return found.service == "sns" or (found.service, found.kind) in {("lambda", "function"), ("sagemaker", "pipeline")}


def make_queue(call_moto: Callable[[Request], Response], region: str) -> None:
    """Make the queue of a region, unless it is there.

    :param call_moto: answers for SQS, durably.
    """
    if region not in set(_find_regions()):
        document = {"QueueName": QUEUE, "Attributes": {"VisibilityTimeout": "0", "MessageRetentionPeriod": "1209600"}}
        call_moto(Request.of_json("sqs", region, "AmazonSQS.CreateQueue", document))


def queue_event(region: str, target: Mapping[str, Any], event: Mapping[str, Any], given: Any) -> None:
    """Put an event into the queue, while moto answers the request that put it.

    :param target: of the rule, as PutTargets takes it.
    :param event: whole.
    :param given: what the target gets of it.
    """
    from moto.sqs.models import sqs_backends

    body = json.dumps({"target": target, "event": event, "given": given})
    sqs_backends[ACCOUNT_ID][region].send_message(queue_name=QUEUE, message_body=body)
    _has_messages.set()


class EventDeliveries:
    """The thread that delivers.

    :param call_moto: answers for SQS, durably.
    :param run_function: runs a Lambda function, given its ARN and the event.
    :param make_client: a boto3 client of the endpoint, by service and region.
    """

    def __init__(
        self,
        call_moto: Callable[[Request], Response],
        run_function: Callable[[str, Any], None],
        make_client: Callable[[str, str], Any],
    ) -> None:
        self._call_moto = call_moto
        self._run_function = run_function
        self._make_client = make_client
        self._clients: dict[tuple[str, str], Any] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sm-event-targets", daemon=True)

    def start(self) -> None:
        """Start the thread. It delivers first what an earlier endpoint did not."""
        _has_messages.set()
        self._thread.start()

    def stop(self) -> None:
        """Take no further message. What is under way goes on until :meth:`join`."""
        self._closing.set()
        _has_messages.set()

    def join(self) -> None:
        """Wait for the delivery that is under way."""
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            _has_messages.wait()
            _has_messages.clear()
            try:
                for region in _find_regions():
                    while not self._closing.is_set() and (message := self._receive(region)) is not None:
                        if self._deliver(json.loads(message["Body"])):
                            self._call(region, "DeleteMessage", {"ReceiptHandle": message["ReceiptHandle"]})
            except Exception:  # noqa: BLE001 - a full disk, for example: the messages stay in the queue
                _log.exception("Events could not be delivered yet")
                if not self._closing.wait(_PAUSE_SECONDS):
                    _has_messages.set()

    def _receive(self, region: str) -> dict[str, Any] | None:
        messages = self._call(region, "ReceiveMessage", {"MaxNumberOfMessages": 1}).get("Messages")
        return dict(messages[0]) if messages else None

    def _call(self, region: str, operation: str, members: dict[str, Any]) -> dict[str, Any]:
        document = {"QueueUrl": QUEUE_URL, **members}
        response = self._call_moto(Request.of_json("sqs", region, f"AmazonSQS.{operation}", document))
        if not response.is_success:
            raise OSError(f"{operation} on {QUEUE}: HTTP {response.status} {response.body[:200]!r}")
        return dict(json.loads(response.body or b"{}"))

    def _deliver(self, message: dict[str, Any]) -> bool:
        """Give the event to its target; False if the endpoint is closing meanwhile."""
        arn = message["target"]["Arn"]
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._give(message)
            except Exception as error:  # noqa: BLE001 - a target may fail in any way, and others wait
                if self._closing.is_set():
                    return False
                if attempt == _ATTEMPTS or isinstance(error, LookupError):
                    _log.warning("EventBridge gave up on %s: %s: %s", arn, type(error).__name__, error)
                elif self._closing.wait(_PAUSE_SECONDS):
                    return False
            else:
                break
        return True

    def _give(self, message: dict[str, Any]) -> None:
        target, given = message["target"], message["given"]
        arn = parse_arn(target["Arn"])
        assert arn is not None  # noqa: S101 - is_delivered_here has read it
        if arn.service == "lambda":
            self._run_function(target["Arn"], given)
        elif arn.service == "sns":
            text = given if isinstance(given, str) else json.dumps(given)
            self._client("sns", arn.region).publish(TopicArn=target["Arn"], Message=text)
        else:
            self._client("sagemaker", arn.region).start_pipeline_execution(
                PipelineName=target["Arn"],
                PipelineParameters=list(_read_parameters(target, message["event"])),
                ClientRequestToken=_make_token(message),
            )

    def _client(self, service: str, region: str) -> Any:
        if (service, region) not in self._clients:
            self._clients[service, region] = self._make_client(service, region)
        return self._clients[service, region]


def _find_regions() -> Iterator[str]:
    """The regions that have the queue."""
    models = sys.modules.get("moto.sqs.models")
    if models is not None:
        backends = models.sqs_backends[ACCOUNT_ID]
        yield from [region for region in list(backends) if QUEUE in backends[region].queues]


def _read_parameters(target: Mapping[str, Any], event: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """The parameters of a pipeline, with the values that a path such as ``$.detail.name`` has in the event."""
    from jsonpath_ng.ext.parser import parse

    for one in (target.get("SageMakerPipelineParameters") or {}).get("PipelineParameterList") or []:
        value = one["Value"]
        if value.startswith("$."):
            found = [match.value for match in parse(value).find(event)]
            if not found:
                raise LookupError(f"the event has no {value}, which is the value of parameter {one['Name']}")
            value = found[0] if isinstance(found[0], str) else json.dumps(found[0])
        yield {"Name": one["Name"], "Value": value}


def _make_token(message: Mapping[str, Any]) -> str:
    """A token of the event and the target: an event that comes twice starts one execution."""
    text = json.dumps([message["event"].get("id"), message["target"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
