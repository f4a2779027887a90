"""The local endpoint as a user has it, a process of its own driven over HTTP; and bare processes to compare it with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.jobs import ImageCatalog
from airflow_sm_pipelines.engine.jobs.local_images import prepare_image
from airflow_sm_pipelines.environments import default_cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROLE = "arn:aws:iam::123456789012:role/Execution"
_SERVE = "import sys; from airflow_sm_pipelines.cli import main; sys.exit(main())"
_POLL_SECONDS = 0.01
# As many jobs as the engine runs at once.
WORKERS = max(4, 2 * (os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class LocalEndpoint:
    """A running endpoint.

    :param start_seconds: from the start of its process to its first line, when it answers.
    """

    url: str
    process_id: int
    start_seconds: float
    client: Any

    def create(self, name: str, steps: list[dict[str, Any]]) -> None:
        """Make a pipeline of these steps."""
        definition = {"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": steps}
        self.client.create_pipeline(PipelineName=name, RoleArn=ROLE, PipelineDefinition=json.dumps(definition))

    def start(self, name: str, *, parallel: int) -> str:
        """Start an execution; its ARN."""
        answer = self.client.start_pipeline_execution(
            PipelineName=name, ParallelismConfiguration={"MaxParallelExecutionSteps": parallel}
        )
        return str(answer["PipelineExecutionArn"])

    def finish(self, arn: str) -> None:
        """Wait for an execution's end, which must be a success."""
        while (status := self._status(arn)) == "Executing":
            time.sleep(_POLL_SECONDS)
        assert status == "Succeeded", status

    def run(self, name: str, *, parallel: int = 1) -> float:
        """Seconds of an execution, from the start call to its end."""
        started = time.perf_counter()
        self.finish(self.start(name, parallel=parallel))
        return time.perf_counter() - started

    def kilobytes(self) -> float:
        """Memory that is its process's own."""
        for line in Path(f"/proc/{self.process_id}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                return float(line.split()[1])
        raise LookupError("the kernel does not say")

    def _status(self, arn: str) -> str:
        return str(self.client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"])


@contextmanager
def local_endpoint(state_dir: Path) -> Iterator[LocalEndpoint]:
    """Run ``sm-pipelines local serve``."""
    command = [sys.executable, "-c", _SERVE, "local", "serve", "--port", "0", "--state-dir", str(state_dir)]
    environment = {**os.environ, "AWS_REGION": "us-east-1"}
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().split(": ")[1].split()[0]
            seconds = time.perf_counter() - started
            yield LocalEndpoint(url, process.pid, seconds, make_client(url))
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


def make_client(url: str) -> Any:
    """A SageMaker client of an endpoint on this machine."""
    import boto3

    return boto3.client(
        "sagemaker",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - no secret: the endpoint is on this machine
    )


def processing_step(name: str, code: str, *, after: str | None = None) -> dict[str, Any]:
    """A Processing step that runs some Python."""
    job = {
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", "-c", code]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
        },
        "RoleArn": ROLE,
    }
    step: dict[str, Any] = {"Name": name, "Type": "Processing", "Arguments": job}
    return {**step, "DependsOn": [after]} if after else step


def image_python() -> str:
    """The Python that stands in for the image."""
    image = prepare_image(
        ImageCatalog(), IMAGE, cache_dir=default_cache_dir(os.environ), log=lambda line: print(line, file=sys.stderr)
    )
    return str(image.interpreter.executable)


def run_processes(python: str, code: str, *, count: int, at_once: int = 1) -> float:
    """Seconds of as many bare processes; when one ends the next one starts."""
    started = time.perf_counter()
    running: dict[int, subprocess.Popen[bytes]] = {}
    left = count
    while left or running:
        while left and len(running) < at_once:
            process = subprocess.Popen([python, "-c", code])
            running[process.pid] = process
            left -= 1
        ended, status = os.waitpid(-1, 0)
        assert status == 0, status
        running.pop(ended).returncode = 0
    return time.perf_counter() - started
