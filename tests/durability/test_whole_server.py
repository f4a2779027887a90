"""The whole server, jobs and queues and all, under kill -9 at random moments: nothing acknowledged is lost.

A sample of what ``make harm`` does; ``SM_PIPELINES_KILLS`` makes the run longer. Which guarantee holds for what is in
docs/engine.md.
"""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.durability.kill_campaign import kill_often
from tests.durability.whole_server import IMAGE, ROLE, WholeServer, list_steps, wait_for
from tests.engine.jobs.test_training import tar_of

if TYPE_CHECKING:
    from pathlib import Path

KILLS = int(os.environ.get("SM_PIPELINES_KILLS", "4"))
SEED = int(os.environ.get("SM_PIPELINES_KILL_SEED", "11"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_whole_server_loses_nothing_acknowledged_by_kill_9_at_random_moments(tmp_path: Path) -> None:
    print(kill_often(tmp_path, kills=KILLS, seed=SEED))


MANY_FILES = """
import pathlib
pathlib.Path(%r).touch(exist_ok=False)
for number in range(400):
    pathlib.Path(f"/opt/ml/processing/out/{number}").write_text(str(number))
"""
"""A program that fails where it runs twice. Its output takes a moment to upload."""


@pytest.mark.slow
def test_a_job_whose_exit_is_on_disk_does_not_run_again_after_kill_9(tmp_path: Path) -> None:
    server = WholeServer(tmp_path)
    server.start()
    try:
        server.client("s3").create_bucket(Bucket="work")
        server.client("sagemaker").create_pipeline(
            PipelineName="p", RoleArn=ROLE, PipelineDefinition=json.dumps(_one_job(MANY_FILES % str(tmp_path / "ran")))
        )
        arn = server.client("sagemaker").start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"]
        wait_for(lambda: any((server.state / "engine" / "jobs").glob("*/end.json")), "the program has ended")
        server.kill()
        server.start()
        wait_for(lambda: _step(server, arn)["StepStatus"] not in {"Starting", "Executing"}, "the step ends")
        step = _step(server, arn)
        assert step["StepStatus"] == "Succeeded", step
        assert step["AttemptCount"] == 1
        pages = server.client("s3").get_paginator("list_objects_v2").paginate(Bucket="work", Prefix="out/")
        assert sum(page["KeyCount"] for page in pages) == 400
    finally:
        server.kill()


ECHO = """
import socket, time

def model_fn(model_dir):
    held = socket.socket(socket.AF_UNIX)
    held.bind(chr(0) + %(folder)r)
    door = socket.socket(socket.AF_UNIX)
    while door.connect_ex(chr(0) + %(folder)r + "/may-load"):
        time.sleep(0.02)
    return held

def transform_fn(model, data, content_type, accept):
    return data, accept
"""
"""A model that loads once somebody listens, and of which one process lives at a time."""


@pytest.mark.slow
def test_endpoints_go_on_after_kill_9(tmp_path: Path) -> None:
    server = WholeServer(tmp_path)
    server.start()
    door = socket.socket(socket.AF_UNIX)
    try:
        server.client("s3").create_bucket(Bucket="work")
        model = tar_of({"code/inference.py": ECHO % {"folder": str(tmp_path)}})
        server.client("s3").put_object(Bucket="work", Key="model.tar.gz", Body=model)
        sagemaker = server.client("sagemaker")
        container = {"Image": IMAGE, "ModelDataUrl": "s3://work/model.tar.gz"}
        sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container)
        variant = {"VariantName": "all", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
        wait_for(lambda: not _is_free(tmp_path), "the model is being loaded")
        server.kill()
        server.start()
        assert _endpoint_status(server) == "Creating"
        door.bind(f"\0{tmp_path}/may-load")
        door.listen()
        for _ in range(2):
            wait_for(lambda: _endpoint_status(server) == "InService", "the endpoint is in service")
            runtime = server.client("sagemaker-runtime")
            answer = runtime.invoke_endpoint(EndpointName="e", Body="1", ContentType="text/csv", Accept="text/csv")
            assert answer["Body"].read() == b"1"
            server.kill()
            wait_for(lambda: _is_free(tmp_path), "the model's process ends with the server")
            server.start()
    finally:
        door.close()
        server.kill()


def _is_free(folder: Path) -> bool:
    """Whether no process holds the model of that folder."""
    with socket.socket(socket.AF_UNIX) as one:
        try:
            one.bind(f"\0{folder}")
        except OSError:
            return False
        return True


def _endpoint_status(server: WholeServer) -> str:
    status: str = server.client("sagemaker").describe_endpoint(EndpointName="e")["EndpointStatus"]
    return status


def _step(server: WholeServer, arn: str) -> dict[str, Any]:
    (step,) = list_steps(server, arn)
    return step


def _one_job(program: str) -> dict[str, Any]:
    output = {"S3Uri": "s3://work/out", "LocalPath": "/opt/ml/processing/out", "S3UploadMode": "EndOfJob"}
    cluster = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
    arguments = {
        "ProcessingResources": {"ClusterConfig": cluster},
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", "-c", program]},
        "RoleArn": ROLE,
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": output}]},
    }
    return {"Version": "2020-12-01", "Steps": [{"Name": "Job", "Type": "Processing", "Arguments": arguments}]}
