"""State that another version wrote: its format, or another moto. Migrated whole, or refused and left alone."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import tarfile
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.server import RunningServer, serve
from tests.server.endpoint_stand_in import open_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT_1 = Path(__file__).parent.parent / "data" / "state" / "format-1.tar.gz"
"""Written with moto 5.2.5 by the last commit that knew format 1 only. It holds a role, a queue with a message, a
function, a rule, logs, an object, an unfinished upload, and a pipeline with one execution that failed and one
that waits for a callback."""


def clients(url: str) -> Callable[[str], Any]:
    session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
    return lambda service: session.client(service, endpoint_url=url)


def moto_facts(client: Callable[[str], Any]) -> dict[str, Any]:
    s3, logs, sqs = client("s3"), client("logs"), client("sqs")
    url = sqs.get_queue_url(QueueName="callbacks")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    found = s3.get_object(Bucket="bucket", Key="folder/key")
    events = logs.get_log_events(logGroupName="/mine", logStreamName="s")["events"]
    return {
        "role": client("iam").get_role(RoleName="Mine")["Role"]["RoleId"],
        "function": client("lambda").get_function(FunctionName="f")["Configuration"]["Handler"],
        "targets": [item["Id"] for item in client("events").list_targets_by_rule(Rule="rule")["Targets"]],
        "queue": (attributes["VisibilityTimeout"], int(attributes["ApproximateNumberOfMessages"])),
        "logs": [event["message"] for event in events],
        "object": (found["Body"].read(), found["Metadata"], found["TagCount"]),
        "uploads": [item["Key"] for item in s3.list_multipart_uploads(Bucket="bucket")["Uploads"]],
    }


EXPECTED = {
    "function": "index.handler",
    "targets": ["1"],
    "logs": ["a line"],
    "object": (b"body", {"a": "b"}, 1),
    "uploads": ["big"],
}


@pytest.fixture
def format_1(tmp_path: Path) -> Path:
    """A state directory of format 1."""
    with tarfile.open(FORMAT_1) as archive:
        archive.extractall(tmp_path / "state")  # noqa: S202 - our own file; Python below 3.11.4 knows no filter
    return tmp_path / "state"


@pytest.fixture
def state(format_1: Path) -> Path:
    """A state directory of the current format, whose moto is an old one."""
    with open_endpoint(format_1):
        pass
    said = json.loads((format_1 / "VERSION").read_text())
    (format_1 / "VERSION").write_text(json.dumps({**said, "moto": "4.9.9"}))
    return format_1


def contents(state: Path) -> dict[str, Any]:
    """Everything that a start must not change when it refuses: files, and the rows of moto's database."""
    found: dict[str, Any] = {
        str(file.relative_to(state)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in state.rglob("*")
        if file.is_file() and "endpoint.sqlite3" not in file.name and file.name not in {"secret", "server.json"}
    }
    connection = sqlite3.connect(state / "endpoint.sqlite3")
    found["rows"] = list(connection.iterdump())
    connection.close()
    return found


def change(state: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(state / "endpoint.sqlite3")
    with connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


def wait_for(server: RunningServer, arn: str) -> str:
    sagemaker = clients(server.endpoint_url)("sagemaker")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
        if status != "Executing":
            return str(status)
        threading.Event().wait(0.05)
    raise AssertionError(f"{arn} did not end")


def test_state_of_format_1_is_migrated_and_its_execution_goes_on(format_1: Path) -> None:
    with serve(format_1) as server:
        client = clients(server.endpoint_url)
        facts = moto_facts(client)
        assert facts.items() >= EXPECTED.items()
        assert facts["queue"] == ("7", 2), "a message of a client, and one of the step that waits"
        sagemaker = client("sagemaker")
        listed = sagemaker.list_pipeline_executions(PipelineName="p", SortOrder="Ascending")
        statuses = {
            item["PipelineExecutionArn"]: item["PipelineExecutionStatus"]
            for item in listed["PipelineExecutionSummaries"]
        }
        assert sorted(statuses.values()) == ["Executing", "Failed"]
        (waiting,) = [arn for arn, status in statuses.items() if status == "Executing"]
        steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=waiting)["PipelineExecutionSteps"]
        (callback,) = [step["Metadata"]["Callback"] for step in steps if "Callback" in step["Metadata"]]
        sagemaker.send_pipeline_execution_step_success(
            CallbackToken=callback["CallbackToken"], OutputParameters=[{"Name": "answer", "Value": "42"}]
        )
        assert wait_for(server, waiting) == "Succeeded"
    said = json.loads((format_1 / "VERSION").read_text())
    assert (said["format"], said["moto"]) == (2, version("moto"))
    with serve(format_1) as server:
        assert moto_facts(clients(server.endpoint_url)) == facts


def test_state_of_another_moto_that_this_one_restores_is_taken_over(state: Path) -> None:
    with open_endpoint(state) as endpoint:
        assert moto_facts(endpoint.client).items() >= EXPECTED.items()
    assert json.loads((state / "VERSION").read_text())["moto"] == version("moto")


FAULTS = {
    # What a request of the journal may meet in a moto that has become stricter.
    "request": ("UPDATE requests SET body = ? WHERE operation = 'sqs:CreateQueue'", b'{"QueueName": "not a name"}'),
    "bucket": ("UPDATE buckets SET environ = replace(environ, '/bucket', '/B') WHERE name = ?", "bucket"),
    # What an attribute of moto's classes may become: unknown.
    "object": ("UPDATE objects SET record = replace(record, '_etag', '_hash') WHERE key = ?", "folder/key"),
    "part": ("UPDATE parts SET record = replace(record, '_etag', '_hash') WHERE number = ?", 1),
    "message": (
        "UPDATE messages SET record = replace(record, 'visible_at', 'seen_at') WHERE record LIKE ?",
        "%waiting%",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_state_that_another_moto_cannot_restore_is_refused_and_left_alone(state: Path, fault: str) -> None:
    change(state, *FAULTS[fault])
    before = contents(state)
    for _ in range(2):
        with pytest.raises(LocalEndpointError, match=r"moto 4\.9\.9 wrote the state in .*: install moto==4\.9\.9, or"):
            serve(state)
        assert contents(state) == before


def test_state_of_format_1_that_cannot_be_restored_asks_for_the_version_that_wrote_it(format_1: Path) -> None:
    change(format_1, *FAULTS["request"])
    before = contents(format_1)
    with pytest.raises(
        LocalEndpointError, match=r"\(sqs:CreateQueue: HTTP 400 .*: install the version that wrote it, or"
    ):
        serve(format_1)
    assert contents(format_1) == before


def test_what_the_same_moto_cannot_restore_is_told_and_stays_on_disk(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_endpoint(state):
        pass
    change(state, *FAULTS["bucket"])
    before = contents(state)
    with caplog.at_level(logging.WARNING), open_endpoint(state) as endpoint:
        assert endpoint.client("s3").list_buckets()["Buckets"] == []
        assert endpoint.client("iam").get_role(RoleName="Mine")
    assert "s3:bucket of 'bucket': HTTP 4" in caplog.text
    assert contents(state) == before, "the bodies of its objects too"
