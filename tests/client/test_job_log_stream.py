"""Jobs' logs as they are written: each line once, whoever reads on, on a real CloudWatch Logs stand-in (moto)."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from airflow_sm_pipelines.client import job_log_stream as log_stream
from airflow_sm_pipelines.client.job_log_stream import JobLogStream, merge_cursors
from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP = "/aws/sagemaker/TrainingJobs"
LONG_AGO, NOW = "2020-01-01T00:00:00+00:00", "2999-01-01T00:00:00+00:00"


def report(status: str = "Executing", *, ended: str | None = None, **more: Any) -> ExecutionReport:
    step = StepReport(
        "Train", "Training", status, end_time=ended, job_arn="arn:aws:sagemaker:r:1:training-job/t", **more
    )
    return ExecutionReport("arn:aws:sagemaker:r:1:pipeline/p/execution/e", "Executing", steps=(step,))


class Logs:
    """A log group of one job with two instances."""

    def __init__(self) -> None:
        self.client = boto3.client("logs", region_name="us-east-1")
        self.hook: Any = SimpleNamespace(client_of=lambda service: self.client)
        self.start = int(time.time() * 1000) - 60_000  # the service takes no events of long ago

    def open(self) -> None:
        self.client.create_log_group(logGroupName=GROUP)
        for number in (1, 2):
            self.client.create_log_stream(logGroupName=GROUP, logStreamName=f"t/algo-{number}")
        self.client.create_log_stream(logGroupName=GROUP, logStreamName="t-other/algo-1")
        self.write("not mine", at=1, stream="t-other/algo-1")

    def write(self, *lines: str, at: int, stream: str = "t/algo-1") -> None:
        events = [{"timestamp": self.start + at, "message": line} for line in lines]
        self.client.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Logs]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    with mock_aws():
        yield Logs()


def reader(logs: Logs, lines: list[str], warnings: list[str], cursor: Any = None) -> JobLogStream:
    return JobLogStream(logs.hook, write=lines.append, warn=warnings.append, cursor=cursor)


def test_each_line_comes_once_whoever_goes_on(logs: Logs) -> None:
    lines: list[str] = []
    warnings: list[str] = []
    first = reader(logs, lines, warnings)
    assert not first.read(report())  # no job has logged yet, so there is not even a group
    logs.open()
    logs.write("one", "two", at=5)
    logs.write("other", at=6, stream="t/algo-2")
    assert first.read(report())
    assert not first.read(report())
    logs.write("three of the same moment", at=5)
    logs.write("four", at=9)
    next_one = reader(logs, lines, warnings, cursor=json.loads(json.dumps(first.cursor)))
    assert next_one.read(report())
    assert lines == [
        "[Train algo-1] one",
        "[Train algo-1] two",
        "[Train algo-2] other",
        "[Train algo-1] three of the same moment",
        "[Train algo-1] four",
    ]
    assert not warnings


def test_a_job_that_has_settled_is_not_asked_again(logs: Logs) -> None:
    lines: list[str] = []
    logs.open()
    logs.write("one", at=5)
    stream = reader(logs, lines, [])
    stream.read(report("Succeeded", ended=NOW))
    stream.read(report("Succeeded", ended=NOW))
    logs.write("late", at=6)
    stream.read(report("Succeeded", ended=LONG_AGO))
    stream.read(report("Succeeded", ended=LONG_AGO))
    assert lines == ["[Train algo-1] one", "[Train algo-1] late"]
    assert stream.cursor == {"places": {}, "finished": ["t"]}
    logs.client = None  # nothing is called any more
    assert not stream.read(report("Succeeded", ended=LONG_AGO))
    assert not reader(logs, lines, []).read(report("Succeeded", cached_from="arn"))


def test_a_long_log_comes_page_by_page(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_stream, "MAX_PAGES_PER_LOOK", 2)
    logs.open()
    for number in range(6):
        logs.write(*(f"{number}-{item}" for item in range(5000)), at=number)
    lines: list[str] = []
    stream = reader(logs, lines, [])
    looks = 0
    while stream.read(report()):
        looks += 1
    assert len(lines) == 30_000
    assert len(set(lines)) == 30_000
    assert looks >= 2


def test_throttling_puts_off_and_refusal_ends(logs: Logs) -> None:
    logs.open()
    logs.write("one", at=5)
    codes = ["ThrottlingException"]

    class Refusing:
        meta = logs.client.meta

        def describe_log_streams(self, **request: Any) -> Any:
            if codes:
                raise ClientError({"Error": {"Code": codes[0], "Message": "no"}}, "DescribeLogStreams")
            return logs.client.describe_log_streams(**request)

        def get_log_events(self, **request: Any) -> Any:
            return logs.client.get_log_events(**request)

    hook: Any = SimpleNamespace(client_of=lambda service: Refusing())
    lines: list[str] = []
    warnings: list[str] = []
    stream = JobLogStream(hook, write=lines.append, warn=warnings.append)
    assert not stream.read(report())
    codes.clear()
    assert not stream.read(report())  # it is not yet time
    assert stream.read(report(), is_last=True)
    assert lines == ["[Train algo-1] one"]
    codes.append("AccessDeniedException")
    stream.read(report(), is_last=True)
    codes.clear()
    logs.write("two", at=6)
    assert not stream.read(report(), is_last=True)
    assert len(warnings) == 2
    assert warnings[1].startswith("The jobs' logs are not shown here, since they cannot be read: ")


def test_of_two_readers_the_one_who_read_further_counts() -> None:
    first = {"places": {"a/algo-1": [5, 2], "b/algo-1": [9, 1]}, "finished": []}
    second = {"places": {"a/algo-1": [5, 3], "c/algo-1": [1, 1]}, "finished": ["b"]}
    merged = {"places": {"a/algo-1": [5, 3], "c/algo-1": [1, 1]}, "finished": ["b"]}
    assert merge_cursors(first, second) == merge_cursors(second, first) == merged
    assert merge_cursors(None, first) == first
