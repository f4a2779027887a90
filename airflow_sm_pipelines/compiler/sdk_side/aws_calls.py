"""Keeps AWS calls at the given endpoint, records uploads, and refuses what would start work."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
from typing import Any

from .faults import StartedJobError

_UPLOADS = ("PutObject", "CompleteMultipartUpload", "CopyObject")
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
    "StartPipelineExecution",
)
_METADATA_HOSTS = ("169.254.169.254", "169.254.170.2", "fd00:ec2::254")
_TELEMETRY_HOSTS = ("sm-pysdk-t-", "dev-exp-t-")
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


class AwsCalls:
    """Watches botocore in this process: keeps clients at the configured endpoint, records uploads, refuses jobs."""

    def __init__(self, *, refuses_jobs: bool = True) -> None:
        self.uploads: list[dict[str, str]] = []
        session = importlib.import_module("botocore.session").Session
        client = importlib.import_module("botocore.client").BaseClient
        create_client, call = session.create_client, client._make_api_call

        @functools.wraps(create_client)
        def create_client_here(botocore_session: Any, service_name: str, *args: Any, **kwargs: Any) -> Any:
            if _configured_endpoint(service_name) and _is_aws_url(kwargs.get("endpoint_url")):
                # The SDKs name STS's public address, which would pass AWS_ENDPOINT_URL by.
                kwargs["endpoint_url"] = None
            return create_client(botocore_session, service_name, *args, **kwargs)

        @functools.wraps(call)
        def record(api_client: Any, operation: str, arguments: dict[str, Any]) -> Any:
            service = api_client.meta.service_model.service_name
            if refuses_jobs and service == "sagemaker" and operation in _JOB_STARTS:
                raise StartedJobError(
                    "started_job",
                    f"The script called sagemaker:{operation} while the pipeline was being built. Jobs are started by "
                    "the pipeline's execution: build the steps with the PipelineSession that is passed as "
                    "`sagemaker_session`.",
                )
            result = call(api_client, operation, arguments)
            if service == "s3" and operation in _UPLOADS:
                uri = f"s3://{arguments['Bucket']}/{arguments['Key']}"
                self.uploads.append({"uri": uri, "etag": str(result.get("ETag", ""))})
            return result

        session.create_client = create_client_here
        client._make_api_call = record


def _configured_endpoint(service: str) -> str | None:
    specific = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}")
    return specific or os.environ.get("AWS_ENDPOINT_URL")


def _is_aws_url(url: str | None) -> bool:
    return url is not None and _is_aws_host(url.split("://")[-1].split("/")[0].split(":")[0])


def _is_aws_host(host: str) -> bool:
    return host in _METADATA_HOSTS or host.endswith(_aws_domains())


@functools.lru_cache(maxsize=1)
def _aws_domains() -> tuple[str, ...]:
    """Give the domains of every AWS partition, as botocore's endpoint data has them."""
    endpoints = importlib.import_module("botocore.session").get_session().get_data("endpoints")
    found = set()
    for partition in endpoints["partitions"]:
        variants = partition.get("defaults", {}).get("variants", ())
        found |= {place["dnsSuffix"] for place in (partition, *variants) if "dnsSuffix" in place}
    return tuple(f".{domain}" for domain in sorted(found))


def is_loopback() -> bool:
    """Say whether AWS is an endpoint of this machine."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    return endpoint.split("://")[-1].split("/")[0].rsplit(":", 1)[0].strip("[]") in _LOOPBACK_HOSTS


def guard_network() -> None:
    """Refuse every connection to the SDK's telemetry and, where AWS is a loopback endpoint, to the real AWS."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    is_local = is_loopback()
    with contextlib.suppress(ImportError):  # without botocore there is no SDK, which is said later
        _aws_domains()  # not from within the hook below
    if is_local:
        # Nothing on loopback comes back after a pause of seconds.
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
