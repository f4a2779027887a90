"""What the engine needs from outside, provided by this endpoint: S3, logs, Lambda code, botocore's shapes."""

from __future__ import annotations

import json
import os
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.local_endpoint import ACCESS_KEY_ID, ACCOUNT_ID, child_environment
from airflow_sm_pipelines.server.http.messages import Request
from airflow_sm_pipelines.server.lambda_functions import find_function

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from airflow_sm_pipelines.engine.jobs import Isolation
    from airflow_sm_pipelines.engine.services import EngineServices
    from airflow_sm_pipelines.server.durable_moto import DurableMoto
    from airflow_sm_pipelines.server.sagemaker_codec import SageMakerCodec


def make_engine_services(
    moto: DurableMoto,
    codec: SageMakerCodec,
    *,
    url: str,
    region: str,
    secret: str,
    cache_dir: Path,
    isolation: Isolation,
    faults_file: Path | None = None,
) -> EngineServices:
    """The engine's services on a running endpoint.

    :param moto: the endpoint's other services, for calls that need no HTTP.
    :param codec: knows SageMaker's shapes.
    :param url: the endpoint's URL, for S3 and for jobs.
    :param region: the endpoint's region.
    :param secret: of the endpoint's own key.
    :param cache_dir: where images' environments are kept.
    :param isolation: how jobs are kept apart on this machine.
    :param faults_file: which faults to inject; it need not exist.
    :raises LocalEndpointError: when the user's table of images, named by ``SM_PIPELINES_IMAGES``, or of stand-ins,
        named by ``SM_PIPELINES_STAND_INS``, cannot be read.
    """
    from airflow_sm_pipelines.engine.jobs import ImageCatalog, ImageError
    from airflow_sm_pipelines.engine.jobs.model_customization import SEED_VARIABLE
    from airflow_sm_pipelines.engine.jobs.stand_in_table import StandIns
    from airflow_sm_pipelines.engine.services import EngineServices

    try:
        images = ImageCatalog.load(env=os.environ)
    except ImageError as error:
        raise LocalEndpointError(str(error)) from error
    return EngineServices(
        region=region,
        account_id=ACCOUNT_ID,
        endpoint_url=url,
        cache_dir=cache_dir,
        s3=LateClient("s3", url=url, region=region, secret=secret),
        write_logs=partial(moto.write_logs, region),
        find_function=lambda name: find_function(name, region),
        environment=aws_environment(url, region, secret),
        images=images,
        isolation=isolation,
        validate_request=codec.find_violations,
        put_events=lambda entries: put_events(moto, region, entries),
        stand_ins=StandIns.load(env=os.environ),
        check_metadata=lambda metadata: find_metadata_fault(codec, metadata),
        check_answer=lambda operation, answer: find_answer_fault(codec, operation, answer),
        send_message=lambda queue_url, body: send_message(moto, region, queue_url, body),
        faults_file=faults_file,
        model_seed=os.environ.get(SEED_VARIABLE) or None,
    )


def put_events(moto: DurableMoto, region: str, entries: Sequence[Mapping[str, Any]]) -> None:
    """Put events on the endpoint's default bus.

    :param moto: the endpoint's other services.
    :param region: the region of the bus.
    :param entries: as PutEvents takes them.
    """
    models = sys.modules.get("moto.events.models")
    backend: Any = models.events_backends[ACCOUNT_ID][region] if models is not None else None
    # Most of the time there is no rule, and then moto has nothing to do with an event.
    if backend is None or not any(bus.rules for bus in backend.event_buses.values()):
        return
    document = {"Entries": [dict(entry) for entry in entries]}
    response = moto.call(Request.of_json("events", region, "AWSEvents.PutEvents", document))
    if not response.is_success:
        raise LocalEndpointError(f"EventBridge refused events: HTTP {response.status} {response.body[:200]!r}")


def find_metadata_fault(codec: SageMakerCodec, metadata: Mapping[str, Any]) -> str | None:
    """What is wrong with a step's metadata by the API's shape; None where nothing is.

    :param codec: knows the shape.
    :param metadata: the metadata.
    """
    return find_answer_fault(codec, "ListPipelineExecutionSteps", {"PipelineExecutionSteps": [{"Metadata": metadata}]})


def find_answer_fault(codec: SageMakerCodec, operation: str, answer: Mapping[str, Any]) -> str | None:
    """What is wrong with an operation's answer by the API's shape; None where nothing is.

    :param codec: knows the shape.
    :param operation: such as ``DescribeAutoMLJob``.
    :param answer: the answer.
    """
    from airflow_sm_pipelines.server.sagemaker_codec import InvalidAnswerError

    try:
        codec.encode(operation, answer)
    except InvalidAnswerError as error:
        return str(error)
    return None


def send_message(moto: DurableMoto, region: str, queue_url: str, body: str) -> str | None:
    """Put a message into a queue of this endpoint.

    :param moto: the endpoint's other services.
    :param region: the region of the queue, where its URL names none.
    :param queue_url: the queue's URL, whose host may be AWS's, or this endpoint's at an earlier port.
    :param body: the message.
    :return: None, or why it could not be sent.
    """
    host = (urlsplit(queue_url).hostname or "").split(".")
    if len(host) > 2 and host[0] == "sqs":
        region = host[1]
    document = {"QueueUrl": queue_url, "MessageBody": body}
    response = moto.call(Request.of_json("sqs", region, "AmazonSQS.SendMessage", document))
    if response.is_success:
        return None
    try:
        return str(json.loads(response.body)["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status}"


def aws_environment(url: str, region: str, secret: str) -> dict[str, str]:
    """The variables, and no others, that make this endpoint AWS for a process.

    :param url: the endpoint's URL.
    :param region: the endpoint's region.
    :param secret: of the endpoint's own key.
    """
    variables = child_environment({}, url, region, secret=secret)
    return {name: value for name, value in variables.items() if not name.startswith(("AIRFLOW_", "SM_PIPELINES_"))}


class LateClient:
    """A boto3 client of the endpoint that is made when it is first used, so that a start need not wait for it.

    Its parameters are those of :func:`make_client`.
    """

    def __init__(self, service: str, *, url: str, region: str, secret: str) -> None:
        self._make = partial(make_client, service, url=url, region=region, secret=secret)
        self._lock = threading.Lock()
        self._client: Any = None

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._make()
        return getattr(self._client, name)


def make_client(service: str, *, url: str, region: str, secret: str) -> Any:
    """A boto3 client of the endpoint that reads none of the user's AWS configuration.

    :param service: such as ``s3``.
    :param url: the endpoint's URL.
    :param region: the region.
    :param secret: of the endpoint's own key.
    """
    import boto3
    import botocore.session
    from botocore.config import Config

    session = botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": (None, None, "/dev/null", None),
            "credentials_file": (None, None, "/dev/null", None),
        }
    )
    return boto3.Session(botocore_session=session).client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=secret,
        # Jobs share the client among their threads; a proxy has no business between this process and itself.
        config=Config(max_pool_connections=32, proxies={}, s3={"addressing_style": "path"}),
    )
