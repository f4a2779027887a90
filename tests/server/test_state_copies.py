"""A copy of a state directory holds all that was kept, and becomes a directory only if it is whole."""

from __future__ import annotations

import io
import json
import sqlite3
import stat
import tarfile
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.server import RunningServer, serve
from airflow_sm_pipelines.server.state_copies import restore_copy, write_copy
from tests.durability.whole_server import wait_for

if TYPE_CHECKING:
    from pathlib import Path

ROLE = "arn:aws:iam::123456789012:role/Any"


def client(server: RunningServer, service: str) -> Any:
    key = {"aws_access_key_id": "local", "aws_secret_access_key": server.secret}
    return boto3.client(service, endpoint_url=server.endpoint_url, region_name="us-east-1", **key)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A copy of a state with a bucket, a queue and an execution that waits for an answer; the execution's ARN."""
    folder = tmp_path_factory.mktemp("copied")
    with serve(folder / "state") as server:
        client(server, "s3").create_bucket(Bucket="bucket")
        client(server, "s3").put_object(Bucket="bucket", Key="key", Body=b"body")
        url = client(server, "sqs").create_queue(QueueName="asks")["QueueUrl"]
        ask = {"Name": "Ask", "Type": "Callback", "SqsQueueUrl": url, "OutputParameters": [], "Arguments": {}}
        sagemaker = client(server, "sagemaker")
        definition = json.dumps({"Version": "2020-12-01", "Steps": [ask]})
        sagemaker.create_pipeline(PipelineName="p", RoleArn=ROLE, PipelineDefinition=definition)
        arn = sagemaker.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"]

        def is_asked() -> bool:
            steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
            return bool(steps and steps[0].get("Metadata"))

        wait_for(is_asked, "the step asks")
        with pytest.raises(LocalEndpointError, match="is in use by another local endpoint at"):
            write_copy(folder / "state", folder / "early.tar.gz")
    write_copy(folder / "state", folder / "copy.tar.gz")
    return folder / "copy.tar.gz", arn


def test_what_was_kept_goes_on_in_another_directory(copied: tuple[Path, str], tmp_path: Path) -> None:
    archive, arn = copied
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    restore_copy(archive, tmp_path / "state")
    assert (tmp_path / "state" / "secret").read_text() != (archive.parent / "state" / "secret").read_text()
    with serve(tmp_path / "state") as server:
        assert client(server, "s3").get_object(Bucket="bucket", Key="key")["Body"].read() == b"body"
        sqs, sagemaker = client(server, "sqs"), client(server, "sagemaker")
        url = sqs.get_queue_url(QueueName="asks")["QueueUrl"]
        (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
        token = json.loads(message["Body"])["token"]
        sagemaker.send_pipeline_execution_step_success(CallbackToken=token)

        def has_succeeded() -> bool:
            status = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
            return bool(status == "Succeeded")

        wait_for(has_succeeded, "the execution ends")
    with pytest.raises(LocalEndpointError, match="has been used"):
        restore_copy(archive, tmp_path / "state")
    with pytest.raises(LocalEndpointError, match="is there already"):
        write_copy(tmp_path / "state", archive)


def rewrite(archive: Path, target: Path, *, drop: str = "", add: str = "", damage: str = "") -> None:
    with tarfile.open(archive) as source, tarfile.open(target, "w:gz") as tar:
        for member in source:
            file = source.extractfile(member)
            assert file is not None
            content = file.read()
            if member.name == damage:
                content = content[:1024] + b"x" * 4096 + content[5120:]
            if member.name != drop:
                tar.addfile(member, io.BytesIO(content))
        if add:
            tar.addfile(tarfile.TarInfo(add), io.BytesIO(b""))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"add": "moto.checkpoint"}, "it holds moto.checkpoint"),
        ({"add": "engine/jobs/x"}, "it holds engine/jobs/x"),
        ({"add": "../x"}, "points outside"),
        ({"drop": "engine/engine.db"}, "it lacks engine/engine.db"),
        ({"damage": "engine/engine.db"}, "engine.db cannot be"),
    ],
    ids=["a pickle", "a job", "outside", "not whole", "damaged"],
)
def test_another_archive_changes_nothing(
    copied: tuple[Path, str], tmp_path: Path, change: dict[str, str], message: str
) -> None:
    rewrite(copied[0], tmp_path / "other.tar.gz", **change)
    with pytest.raises(LocalEndpointError, match=message):
        restore_copy(tmp_path / "other.tar.gz", tmp_path / "state")
    assert {file.name for file in (tmp_path / "state").iterdir()} == {"lock", "secret"}


def test_a_cut_archive_and_a_state_that_has_lost_changes_are_refused(copied: tuple[Path, str], tmp_path: Path) -> None:
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(copied[0].read_bytes()[:-2000])
    with pytest.raises(LocalEndpointError, match="cannot be unpacked"):
        restore_copy(cut, tmp_path / "state")
    restore_copy(copied[0], tmp_path / "state")
    count = tmp_path / "state" / "endpoint.sqlite3.commits"
    number, boot = count.read_text().split()
    count.write_text(f"{int(number) + 1:020d} {boot}\n")
    with pytest.raises(LocalEndpointError, match="lacks the newest 1"):
        write_copy(tmp_path / "state", tmp_path / "copy.tar.gz")
    with sqlite3.connect(tmp_path / "state" / "endpoint.sqlite3") as connection:
        assert connection.execute("SELECT count(*) FROM buckets").fetchone()[0]
