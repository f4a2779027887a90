"""A real S3 (moto over HTTP), a catalog whose images run on this interpreter, and a log that remembers."""

from __future__ import annotations

import shutil
import sys
import threading
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from airflow_sm_pipelines.engine.jobs import (
    ImageCatalog,
    ImageEntry,
    Isolation,
    JobContext,
    JobOutcome,
    JobSpec,
    probe_isolation,
    run_job,
)
from airflow_sm_pipelines.engine.jobs.container import PROGRAMS_DIRECTORY

# The programs of images are run by path; what they share they import from beside them.
sys.path.append(str(PROGRAMS_DIRECTORY))

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BUCKET = "bucket"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/test-image:1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_EC2_METADATA_DISABLED": "true"}


class RecordedLog:
    """Keeps what a job logs, by stream."""

    def __init__(self) -> None:
        self.streams: dict[str, list[str]] = {}

    def __call__(self, stream: str, lines: list[tuple[int, str]]) -> None:
        self.streams.setdefault(stream, []).extend(line for _, line in lines)

    @property
    def lines(self) -> list[str]:
        return [line for lines in self.streams.values() for line in lines]


class Storage:
    """The bucket, with short ways to put and look."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def put(self, key: str, body: str | bytes) -> str:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    def get(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def keys(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]


@pytest.fixture(scope="session")
def endpoint_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def storage(endpoint_url: str) -> Iterator[Storage]:
    client = boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    client.create_bucket(Bucket=BUCKET)
    storage = Storage(client)
    yield storage
    keys = storage.keys()
    for start in range(0, len(keys), 1000):
        batch = [{"Key": key} for key in keys[start : start + 1000]]
        client.delete_objects(Bucket=BUCKET, Delete={"Objects": batch})
    client.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def log() -> RecordedLog:
    return RecordedLog()


@pytest.fixture(scope="session")
def isolation() -> Isolation:
    return probe_isolation()


@pytest.fixture
def context(endpoint_url: str, storage: Storage, log: RecordedLog, isolation: Isolation, tmp_path: Path) -> JobContext:
    """A context whose ``test-image`` runs on the interpreter of the tests, so that no environment must be built."""
    return JobContext(
        endpoint_url=endpoint_url,
        region="us-east-1",
        account_id="123456789012",
        environment=CREDENTIALS,
        s3=storage.client,
        log=log,
        images=ImageCatalog(
            [ImageEntry("test-image", interpreter=sys.executable), ImageEntry("lambda:*", interpreter=sys.executable)]
        ),
        cache_dir=tmp_path / "cache",
        isolation=isolation,
        stop_grace_seconds=2.0,
    )


@pytest.fixture
def run(context: JobContext, tmp_path: Path) -> Callable[..., JobOutcome]:
    """Run a job of a kind and request in this thread."""

    def run(
        kind: Any,
        request: dict[str, Any],
        *,
        context: JobContext = context,
        stop: threading.Event | None = None,
        containers: tuple[dict[str, Any], ...] = (),
        is_offline: bool = False,
    ) -> JobOutcome:
        name = f"{kind.lower()}-job"
        arn = f"arn:aws:sagemaker:us-east-1:123456789012:{kind.lower()}-job/{name}"
        spec = JobSpec(kind, name, arn, request, tmp_path / name, containers, is_offline)
        outcome = run_job(spec, context, stop or threading.Event())
        # As the caller of a job does. Where the engine dies, the directory stays.
        shutil.rmtree(spec.directory, ignore_errors=True)
        return outcome

    return run
