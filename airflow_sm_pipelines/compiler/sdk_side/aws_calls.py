"""Watches the AWS calls of a build.

They stay at the given endpoint; what would change SageMaker or put an object into S3 is held back, and every read is
noted in a form that can be asked again.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .build_errors import StartedJobError
from .questions import decode, digest_of, encode, error_code, is_read, part_of
from .sagemaker_answers import SageMakerAnswers

if TYPE_CHECKING:
    from .held_uploads import HeldUploads

_JOB_STARTS = (
    "CreateProcessingJob",
    "CreateTrainingJob",
    "CreateTransformJob",
    "CreateHyperParameterTuningJob",
    "CreateAutoMLJob",
    "CreateAutoMLJobV2",
    "CreateCompilationJob",
    "CreateEndpoint",
    "CreateInferenceRecommendationsJob",
    "CreateOptimizationJob",
)
_METADATA_HOSTS = ("169.254.169.254", "169.254.170.2", "fd00:ec2::254")
_TELEMETRY_HOSTS = ("sm-pysdk-t-", "dev-exp-t-")
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
# What a build makes there and relies on, and how it is looked up before the build's result is used again.
_LOOKUPS = {
    ("lambda", "CreateFunction"): ("GetFunctionConfiguration", {"FunctionName": "FunctionName"}),
    ("lambda", "UpdateFunctionCode"): ("GetFunctionConfiguration", {"FunctionName": "FunctionName"}),
    ("lambda", "UpdateFunctionConfiguration"): ("GetFunctionConfiguration", {"FunctionName": "FunctionName"}),
    ("s3", "CreateBucket"): ("HeadBucket", {"Bucket": "Bucket"}),
}
_NO_CHANGE = {
    "sts": ("AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"),
    "s3": ("PutObject", "CopyObject", "PutBucketEncryption", "PutPublicAccessBlock", "PutBucketVersioning"),
    "lambda": ("Invoke",),
}


class AwsCalls:
    """Watches botocore in this process.

    :ivar questions: the reads, in a form that can be asked again.
    :ivar writes: what the build changed in AWS beside the uploads, by service, operation and name.
    :ivar unrepeatable: why the build cannot be known to be unchanged, one reason for each such call.
    """

    def __init__(self, *, refuses_jobs: bool = True) -> None:
        self.questions: list[dict[str, Any]] = []
        self.writes: list[str] = []
        self.unrepeatable: list[str] = []
        self.answers: SageMakerAnswers | None = None
        self._held: HeldUploads | None = None
        self._lookups: list[tuple[Any, dict[str, Any]]] = []
        self._asked: list[tuple[Any, dict[str, Any]]] = []
        self._written: set[str] = set()
        session = importlib.import_module("botocore.session").Session
        client = importlib.import_module("botocore.client").BaseClient
        create_client, self.call = session.create_client, client._make_api_call

        @functools.wraps(create_client)
        def create_client_here(botocore_session: Any, service_name: str, *args: Any, **kwargs: Any) -> Any:
            if _configured_endpoint(service_name) and _is_aws_url(kwargs.get("endpoint_url")):
                # The SDKs name STS's public address, which would pass AWS_ENDPOINT_URL by.
                kwargs["endpoint_url"] = None
            return create_client(botocore_session, service_name, *args, **kwargs)

        @functools.wraps(self.call)
        def watch(api_client: Any, operation: str, arguments: dict[str, Any]) -> Any:
            service = api_client.meta.service_model.service_name
            if refuses_jobs and service == "sagemaker" and operation in _JOB_STARTS:
                raise StartedJobError(
                    "started_job",
                    f"The script called sagemaker:{operation} while the pipeline was being built. Jobs are started by "
                    "the pipeline's execution: build the steps with the PipelineSession that is passed as "
                    "`sagemaker_session`.",
                )
            if self._held is None:
                return self.call(api_client, operation, arguments)
            return self._watched(api_client, service, operation, arguments)

        session.create_client = create_client_here
        client._make_api_call = watch

    def hold(self, held: HeldUploads, *, account: str) -> None:
        """From now on, keep uploads here, answer what would change SageMaker, and note what is read."""
        self._held = held
        self.answers = SageMakerAnswers(account=account)
        # One thread, so that a call is made below the code that wants it; nothing is sent meanwhile.
        with contextlib.suppress(ImportError, AttributeError):
            transfer: Any = importlib.import_module("boto3.s3.transfer")
            make = transfer.create_transfer_manager

            @functools.wraps(make)
            def make_in_this_thread(client: Any, config: Any, *args: Any, **options: Any) -> Any:
                config.use_threads = False
                return make(client, config, *args, **options)

            transfer.create_transfer_manager = make_in_this_thread

    def look_up(self) -> None:
        """Ask for what the build made, and ask again what it asked of a service before it made something there."""
        asked_before = [(client, question) for client, question in self._asked if question["service"] in self._written]
        self.questions = [question for question in self.questions if question["service"] not in self._written]
        for client, question in [*asked_before, *self._lookups]:
            with contextlib.suppress(importlib.import_module("botocore.exceptions").ClientError):  # an answer, too
                part: dict[str, str] = {name: question[name] for name in ("part", "bucket") if name in question}
                self._note(client, question["service"], question["operation"], decode(question["arguments"]), part)

    def _watched(self, client: Any, service: str, operation: str, arguments: dict[str, Any]) -> Any:
        assert self._held is not None and self.answers is not None  # noqa: S101, PT018 - set by hold
        if service == "s3":
            answer = self._held.answer(client, operation, arguments, self.call)
            if answer is not None:
                return answer
        if service == "sagemaker":
            if not is_read(operation):
                return self.answers.answer_write(client, operation, arguments)
            answer = self.answers.answer_read(client, operation, arguments)
            if answer is not None:
                return answer
        if is_read(operation):
            return self._note(client, service, operation, arguments)
        result = self.call(client, operation, arguments)
        if operation not in _NO_CHANGE.get(service, ()):
            self._note_write(client, service, operation, arguments)
        return result

    def _note(
        self,
        client: Any,
        service: str,
        operation: str,
        arguments: dict[str, Any],
        part: dict[str, str] | None = None,
    ) -> Any:
        """Ask, and keep the question; `part` says what of the answer counts."""
        try:
            asked = encode(arguments)
        except TypeError as error:
            self.unrepeatable.append(f"{service}:{operation}: {error}")
            return self.call(client, operation, arguments)
        question = {"service": service, "operation": operation, "arguments": asked, "region": client.meta.region_name}
        if part is None and (bucket := _only_bucket_asked_for(service, operation)) is not None:
            part = {"part": "bucket", "bucket": bucket}
        question |= part or {}
        self._asked.append((client, question))
        if _credentials_of(client) not in (None, os.environ.get("AWS_ACCESS_KEY_ID")):
            self.unrepeatable.append(
                f"{service}:{operation} was called with credentials that the script has got itself"
            )
        try:
            result = self.call(client, operation, arguments)
        except Exception as error:
            code = error_code(error)
            if code is not None:
                self._keep(question | {"digest": f"error {code}"})
            raise
        try:
            digest = digest_of(part_of(question, result))
        except TypeError:
            self.unrepeatable.append(f"{service}:{operation} answers with a stream")
        else:
            self._keep(question | {"digest": digest})
        return result

    def _keep(self, question: dict[str, Any]) -> None:
        if question not in self.questions:
            self.questions.append(question)

    def _note_write(self, client: Any, service: str, operation: str, arguments: dict[str, Any]) -> None:
        name = next(
            (value for key, value in arguments.items() if key.endswith(("Name", "Bucket")) and isinstance(value, str)),
            "",
        )
        self.writes.append(f"{service}:{operation}{f' {name}' if name else ''}")
        self._written.add(service)
        if lookup := _LOOKUPS.get((service, operation)):
            read, members = lookup
            asked = {key: encode(arguments[member]) for key, member in members.items()}
            question = {"service": service, "operation": read, "arguments": asked}
            if (client, question) not in self._lookups:
                self._lookups.append((client, question))
        else:
            self.unrepeatable.append(f"{service}:{operation} changes something that is not looked up")


def _only_bucket_asked_for(service: str, operation: str) -> str | None:
    """Give the bucket that boto3 lists all buckets for, to learn of one whether it is there."""
    if (service, operation) != ("s3", "ListBuckets"):
        return None
    frame: Any = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name == "bucket_load":
            name = getattr(frame.f_locals.get("self"), "name", None)
            return name if isinstance(name, str) else None
        frame = frame.f_back
    return None


def _credentials_of(client: Any) -> str | None:
    credentials = getattr(getattr(client, "_request_signer", None), "_credentials", None)
    return getattr(credentials, "access_key", None)


def _configured_endpoint(service: str) -> str | None:
    specific = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}")
    return specific or os.environ.get("AWS_ENDPOINT_URL")


def _is_aws_url(url: str | None) -> bool:
    return url is not None and _is_aws_host(urlsplit(url).hostname or "")


def _is_aws_host(host: str) -> bool:
    return host in _METADATA_HOSTS or host.endswith(_aws_domains())


@functools.lru_cache(maxsize=1)
def _aws_domains() -> tuple[str, ...]:
    """The domains of every AWS partition, from botocore's endpoint data."""
    endpoints = importlib.import_module("botocore.session").get_session().get_data("endpoints")
    found = set()
    for partition in endpoints["partitions"]:
        variants = partition.get("defaults", {}).get("variants", ())
        found |= {place["dnsSuffix"] for place in (partition, *variants) if "dnsSuffix" in place}
    return tuple(f".{domain}" for domain in sorted(found))


def is_loopback() -> bool:
    """Whether AWS is an endpoint on this machine; the same rule as ``airflow_sm_pipelines.loopback``."""
    return urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).hostname in _LOOPBACK_HOSTS


def guard_network() -> None:
    """Refuse connections to the SDK's telemetry and, if AWS is an endpoint on this machine, to the real AWS."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    is_local = is_loopback()
    with contextlib.suppress(ImportError):  # without botocore there is no SDK, and load_sdk() says so
        _aws_domains()  # now, because the hook below must not import anything
    if is_local:
        # A local endpoint that does not answer will not answer a few seconds later either.
        os.environ.setdefault("AWS_MAX_ATTEMPTS", "2")

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.getaddrinfo":
            host = arguments[0]
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            host = arguments[1][0]
        else:
            return
        host = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        if host.startswith(_TELEMETRY_HOSTS):
            reason = "no telemetry is sent"
        elif is_local and _is_aws_host(host):
            reason = f"AWS is {endpoint} here"
        else:
            return
        print(f"Refused a connection to {host}: {reason}.", file=sys.stderr)
        raise ConnectionRefusedError(f"{host} is not called: {reason}.")

    sys.addaudithook(refuse)
