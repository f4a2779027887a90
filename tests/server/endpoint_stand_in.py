"""The endpoint around a stand-in engine: what the server's own tests run, in this process or by path in a child."""

from __future__ import annotations

import contextlib
import functools
import sys
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from airflow_sm_pipelines.local_endpoint import ACCESS_KEY_ID
from airflow_sm_pipelines.server.local_server import open_moto_endpoint
from airflow_sm_pipelines.server.sagemaker_codec import SageMakerCodec
from airflow_sm_pipelines.server.sagemaker_service import SageMakerService
from airflow_sm_pipelines.server.state_directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_sm_pipelines.server.durable_moto import DurableMoto
    from airflow_sm_pipelines.server.http.peers import PeerRule
    from airflow_sm_pipelines.server.request_router import RequestRouter

PIPELINE_ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/stand-in"


class RefusedError(Exception):
    """A refusal of the stand-in, shaped as the engine's own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class StandInEngine:
    """Answers a few operations with what a test put in, and remembers what it was asked."""

    answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def operations(self) -> frozenset[str]:
        return frozenset(self.answers)

    def owns(self, arn: str) -> bool:
        return ":pipeline/" in arn

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((operation, request))
        return self.answers[operation](request)


@dataclass
class Endpoint:
    """A running endpoint, its engine, and clients of it."""

    url: str
    port: int
    engine: StandInEngine
    moto: DurableMoto
    router: RequestRouter
    secret: str

    def client(self, service: str, region: str = "us-east-1", **arguments: Any) -> Any:
        key = {"aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": self.secret}
        return _session().client(service, endpoint_url=self.url, region_name=region, **{**key, **arguments})


@functools.cache
def _session() -> boto3.Session:
    # One for all tests: what a session loads takes longer than most calls.
    return boto3.Session()


@contextlib.contextmanager
def open_endpoint(
    state_dir: Path, *, host_names: tuple[str, ...] = (), peers: PeerRule | None = None
) -> Iterator[Endpoint]:
    """The endpoint on a state directory, until the block ends."""
    engine = StandInEngine(
        {
            "CreatePipeline": lambda _: {"PipelineArn": PIPELINE_ARN},
            "ListPipelineExecutionSteps": lambda _: {
                "PipelineExecutionSteps": [{"StepName": "a", "StartTime": datetime(2026, 1, 2, tzinfo=timezone.utc)}]
            },
            "DescribePipeline": lambda _: {"PipelineName": "stand-in"},
            "ListTags": lambda _: {"Tags": [{"Key": "owner", "Value": "engine"}]},
        }
    )
    with contextlib.ExitStack() as closing:
        directory = StateDirectory(state_dir)
        closing.callback(directory.release)
        moto, router, listener = open_moto_endpoint(
            closing, directory, address=("127.0.0.1", 0), host_names=host_names, peers=peers
        )
        directory.mark_used()
        service = SageMakerService(engine, SageMakerCodec(), refusals=RefusedError, fallback=moto.call)
        router.attach(sagemaker=service.call, console=moto.call, functions=moto.call)
        listener.start()
        url = f"http://127.0.0.1:{listener.port}"
        directory.announce(url)
        yield Endpoint(url, listener.port, engine, moto, router, directory.secret)


if __name__ == "__main__":
    with open_endpoint(Path(sys.argv[1])):
        # Until the parent kills this process, or closes its end.
        sys.stdin.read()
