"""A full disk and damaged files: said in a sentence, to the client or on the terminal, and over when they are over."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.server import RunningServer, serve
from tests.durability.disk_campaign import NoSmallDiskError, fill, fill_often, small_disk
from tests.durability.whole_server import IMAGE, WholeServer, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
CHECK = {"Name": "C", "Type": "Condition", "Arguments": {"Conditions": [], "IfSteps": [], "ElseSteps": []}}
CHECK["Arguments"]["Conditions"] = [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}]  # type: ignore[index]
DEFINITION = json.dumps({"Version": "2020-12-01", "Steps": [CHECK]})
ENGINE, ENDPOINT = "engine/engine.db", "endpoint.sqlite3"


@pytest.fixture(name="small_disk")
def _small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system of 24 MB of its own."""
    with contextlib.ExitStack() as closing:
        try:
            disk = closing.enter_context(small_disk(tmp_path / "disk", megabytes=24))
        except NoSmallDiskError as error:
            pytest.skip(str(error))
        yield disk


@pytest.mark.slow
def test_a_full_disk_is_said_to_the_client_and_work_goes_on_when_there_is_room_again(small_disk: Path) -> None:
    server = WholeServer(small_disk)
    server.start()
    try:
        sagemaker, s3 = server.client("sagemaker"), server.client("s3")
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="kept", Body=b"kept")
        sagemaker.create_pipeline(PipelineName="p", RoleArn=ROLE, PipelineDefinition=DEFINITION)
        ballast = fill(small_disk, but=0)
        with pytest.raises(ClientError, match="No space left on device"):
            s3.put_object(Bucket="bucket", Key="large", Body=b"x" * 3_000_000)
        started: list[str] = []

        def is_refused() -> bool:
            try:
                started.append(sagemaker.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"])
            except ClientError as error:
                return "nothing was changed: database or disk is full" in str(error)
            return False

        # The write-ahead log has some room of its own.
        wait_for(is_refused, "an execution is refused", 60)
        assert sagemaker.describe_pipeline(PipelineName="p")["PipelineStatus"] == "Active"
        ballast.unlink()
        started.append(sagemaker.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"])
        s3.put_object(Bucket="bucket", Key="large", Body=b"y" * 3_000_000)
        wait_for(lambda: all(status(sagemaker, arn) == "Succeeded" for arn in started), "all executions end")
        assert s3.get_object(Bucket="bucket", Key="kept")["Body"].read() == b"kept"
        assert "Traceback" not in server.output()
    finally:
        server.kill()


def status(sagemaker: Any, arn: str) -> str:
    return str(sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"])


#: It does not end when the disk is full, and holds on to what it has written.
FILL = """
import time
file = open("x", "wb", 0)
while True:
    try:
        file.write(bytes(9999))
    except OSError:
        time.sleep(0.01)
"""
FILLER = {
    "Version": "2020-12-01",
    "Steps": [
        {
            "Name": "Fill",
            "Type": "Processing",
            "Arguments": {
                "ProcessingResources": {
                    "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
                },
                "AppSpecification": {
                    "ImageUri": IMAGE,
                    "ContainerEntrypoint": ["python", "-c", FILL],
                },
                "RoleArn": ROLE,
            },
        }
    ],
}


@pytest.mark.slow
def test_a_job_that_fills_the_disk_is_ended_and_its_execution_too(small_disk: Path) -> None:
    server = WholeServer(small_disk)
    server.start()
    try:
        sagemaker = server.client("sagemaker")
        sagemaker.create_pipeline(PipelineName="fill", RoleArn=ROLE, PipelineDefinition=json.dumps(FILLER))
        arn = sagemaker.start_pipeline_execution(PipelineName="fill")["PipelineExecutionArn"]
        wait_for(lambda: status(sagemaker, arn) == "Failed", "the execution ends", 60)
        (step,) = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        assert "of the running jobs this one held the most" in step["FailureReason"].lower()
        assert "Traceback" not in server.output()
    finally:
        server.kill()


@pytest.mark.slow
def test_a_disk_that_is_full_at_random_moments_costs_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """A sample of what ``make harm`` does."""
    try:
        with small_disk(tmp_path / "disk", megabytes=96) as disk:
            print(fill_often(disk, moments=4, seed=3))
    except NoSmallDiskError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_a_disk_that_is_full_at_the_start_is_said_on_the_terminal(small_disk: Path) -> None:
    fill(small_disk, but=8192)
    ended = run_serve(small_disk / "state")
    assert ended.returncode == 2
    assert "sm-pipelines: " in ended.stderr
    assert "full" in ended.stderr or "No space left" in ended.stderr
    assert "Traceback" not in ended.stderr


def run_serve(state: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "airflow_sm_pipelines.cli",
        "local",
        "serve",
        "--port",
        "0",
        "--state-dir",
        str(state),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def client(server: RunningServer, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=server.endpoint_url,
        region_name=server.region,
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with something of everything."""
    folder = tmp_path_factory.mktemp("sound")
    with serve(folder) as server:
        client(server, "s3").create_bucket(Bucket="bucket")
        for number in range(20):
            client(server, "s3").put_object(Bucket="bucket", Key=f"{number}", Body=b"x")
        client(server, "sqs").create_queue(QueueName="queue")
        sagemaker = client(server, "sagemaker")
        for number in range(4):
            sagemaker.create_pipeline(PipelineName=f"p{number}", RoleArn=ROLE, PipelineDefinition=DEFINITION)
            sagemaker.start_pipeline_execution(PipelineName=f"p{number}")
    return folder


def damage(file: Path, kind: str, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    if kind == "cut":
        content = content[: len(content) // 2]
    elif kind == "flipped":
        for _ in range(200):
            content[chance.randrange(len(content))] ^= 0xFF
    elif kind == "zeros":
        start = chance.randrange(len(content) // 4096) * 4096
        content[start : start + 4096] = bytes(4096)
    elif kind == "other":
        content = bytearray(b"no database at all" * 300)
    else:
        content = bytearray()
    file.write_bytes(content)


@pytest.mark.parametrize("kind", ["cut", "flipped", "zeros", "other", "emptied"])
@pytest.mark.parametrize("name", [ENGINE, ENDPOINT], ids=["engine", "endpoint"])
def test_damage_is_told_in_a_sentence_or_does_no_harm(sound: Path, tmp_path: Path, name: str, kind: str) -> None:
    """SQLite keeps no checksums: damage that it cannot see is not refused, but then every call is still answered."""
    state = tmp_path / "state"
    shutil.copytree(sound, state)
    damage(state / name, kind, random.Random(f"{name}{kind}"))
    broken = (state / name).read_bytes()
    said = ""
    try:
        with serve(state) as server:
            for service, call in (("sagemaker", "list_pipelines"), ("s3", "list_buckets"), ("sqs", "list_queues")):
                with contextlib.suppress(ClientError):
                    getattr(client(server, service), call)()
    except LocalEndpointError as error:
        said = str(error)
    if said:
        assert str(state) in said
        assert "directory" in said, "it says what to do"
    if kind in {"other", "emptied"}:
        assert said
        assert (state / name).read_bytes() == broken, "what is damaged is left alone"


@pytest.mark.slow
def test_damage_newer_state_and_a_taken_directory_are_one_block_on_the_terminal(sound: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(sound, state)
    (state / ENGINE).write_bytes(b"no database at all" * 300)
    ended = run_serve(state)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("sm-pipelines: The state file")
    assert "Traceback" not in ended.stderr
    (state / "VERSION").write_text('{"format": 3, "moto": "9.0", "release": "7.1"}\n')
    ended = run_serve(state)
    assert ended.returncode == 2
    assert "has format 3, written by airflow-sm-pipelines 7.1, and this release reads formats 1 and 2" in ended.stderr
    with serve(tmp_path / "taken") as server:
        ended = run_serve(tmp_path / "taken")
    assert ended.returncode == 2
    assert f"in use by another local endpoint at {server.endpoint_url} (process {os.getpid()})" in ended.stderr
