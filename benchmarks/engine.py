"""What the local engine adds to a step: a Processing step whose Python does nothing, against that process alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from airflow_sm_pipelines.server import serve
from benchmarks.measure import Row, alternate

STEPS = 20
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/bench-python:1"


def measure(runs: int = 3) -> list[Row]:
    """Milliseconds of one step and of one bare process, one after the other, and all steps at once."""
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.toml"
        images.write_text(f'[[image]]\nmatch = "bench-python"\ninterpreter = "{sys.executable}"\n')
        os.environ["SM_PIPELINES_IMAGES"] = str(images)
        with serve(Path(folder) / "state") as server:
            client = _client(server)
            client.create_pipeline(
                PipelineName="nothing",
                RoleArn="arn:aws:iam::123456789012:role/Execution",
                PipelineDefinition=json.dumps(_definition("pass")),
            )
            nothing, process = alternate(
                runs, lambda: _run(client, "nothing", parallel=1), lambda: _bare("pass", at_once=1)
            )
            wide, processes = alternate(
                runs, lambda: _run(client, "nothing", parallel=STEPS), lambda: _bare("pass", at_once=STEPS)
            )
    return [
        Row("a step that runs `python -c pass`, one by one", nothing["ms"], "the process", process["ms"], "ms", runs),
        Row(f"the same, {STEPS} at once, per step", wide["ms"], "the processes", processes["ms"], "ms", runs),
    ]


def _definition(code: str) -> dict[str, Any]:
    job = {
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", "-c", code]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
        },
        "RoleArn": "arn:aws:iam::123456789012:role/Execution",
    }
    steps = [{"Name": f"Step{number}", "Type": "Processing", "Arguments": job} for number in range(STEPS)]
    return {"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": steps}


def _client(server: Any) -> Any:
    import boto3

    return boto3.client(
        "sagemaker",
        endpoint_url=server.endpoint_url,
        region_name=server.region,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - no secret: the endpoint is on this machine
    )


def _run(client: Any, pipeline: str, *, parallel: int) -> dict[str, float]:
    """Milliseconds per step of one execution, from the start call to its end."""
    started = time.perf_counter()
    arn = client.start_pipeline_execution(
        PipelineName=pipeline, ParallelismConfiguration={"MaxParallelExecutionSteps": parallel}
    )["PipelineExecutionArn"]
    while True:
        status = client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
        if status != "Executing":
            break
        time.sleep(0.02)
    assert status == "Succeeded", status
    return {"ms": (time.perf_counter() - started) * 1000 / STEPS}


def _bare(code: str, *, at_once: int) -> dict[str, float]:
    """Milliseconds per process of as many processes."""
    started = time.perf_counter()
    waiting = STEPS
    while waiting:
        batch = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(min(at_once, waiting))]
        for process in batch:
            process.wait()
        waiting -= len(batch)
    return {"ms": (time.perf_counter() - started) * 1000 / STEPS}
