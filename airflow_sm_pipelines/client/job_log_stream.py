"""Reads the log lines of an execution's jobs while they are written, each line once.

A cursor of plain JSON says what was read. Another reader (a trigger in another triggerer, the task after its deferral,
the next attempt) takes the cursor and goes on from there.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.answers import ask, ask_pages
from airflow_sm_pipelines.client.job_logs import resolve_log_location
from airflow_sm_pipelines.client.wait_policy import plan_backoff
from airflow_sm_pipelines.exceptions import PipelineApiError, PipelineNotFoundError, PipelineUnavailableError
from airflow_sm_pipelines.printable_text import clean_log_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport

MAX_PAGES_PER_LOOK = 20
"""Pages of events, each up to 10,000 events or 1 MB, that one look reads; the next look reads on."""

SETTLE_TIME = timedelta(seconds=60)
"""How long after a job's end its last events may still appear: CloudWatch needs seconds to show them."""


class JobLogStream:
    """Reads the CloudWatch log events of the jobs of one execution.

    :param calls: the connection to read through.
    :param write: told each line, as ``[Train algo-1-1700000000] epoch 3 ...``.
    :param warn: told once why a log cannot be read.
    :param cursor: another stream's :attr:`cursor`, to go on from.
    """

    def __init__(
        self,
        calls: SageMakerCalls,
        *,
        write: Callable[[str], None],
        warn: Callable[[str], None],
        cursor: Mapping[str, Any] | None = None,
    ) -> None:
        self._calls = calls
        self._write = write
        self._warn = warn
        known = cursor or {}
        # By stream: the time of the last event, and how many events of that time were read.
        self._places: dict[str, list[int]] = {key: list(value) for key, value in known.get("places", {}).items()}
        self._finished: set[str] = set(known.get("finished", ()))
        self._refusals = 0
        self._not_before = 0.0
        self._is_refused = False

    @property
    def cursor(self) -> dict[str, Any]:
        """What has been read so far, as JSON."""
        return {"places": dict(self._places), "finished": sorted(self._finished)}

    def read(self, report: ExecutionReport, *, is_last: bool = False) -> bool:
        """Write what is new in the logs of jobs that run, or have ended since the last look.

        A log that cannot be read never ends the wait. After throttling the next look comes later; after any other
        refusal no more is read.

        :param is_last: read to the end, even after a refusal.
        :return: whether anything was new.
        """
        if self._is_refused or (time.monotonic() < self._not_before and not is_last):
            return False
        before = self.cursor
        pages = [10 * MAX_PAGES_PER_LOOK if is_last else MAX_PAGES_PER_LOOK]
        try:
            for step in report.steps:
                location = None if step.cached_from else resolve_log_location(step.job_arn)
                if location is not None and location[1] and location[1] not in self._finished:
                    self._read_job(step, *location, pages)
        except PipelineUnavailableError as error:
            self._refusals += 1
            delay = plan_backoff(failures=self._refusals, waiter_delay=30)
            self._not_before = time.monotonic() + delay
            if self._refusals == 1:
                self._warn(f"The jobs' logs could not be read, and are tried again in {delay:.0f} s: {error}")
        except PipelineApiError as error:
            self._is_refused = True
            self._warn(f"The jobs' logs are not shown here, since they cannot be read: {error}")
        else:
            self._refusals = 0
        return self.cursor != before

    def _read_job(self, step: StepReport, group: str, job: str, pages: list[int]) -> None:
        has_new = False
        for stream in self._list_streams(group, f"{job}/"):
            for line in self._read_stream(group, stream, pages):
                has_new = True
                self._write(clean_log_text(f"[{step.name} {stream.rpartition('/')[2]}] {line}"))
        if not has_new and pages[0] > 0 and _has_settled(step):
            self._finished.add(job)
            self._places = {key: place for key, place in self._places.items() if not key.startswith(f"{job}/")}

    def _list_streams(self, group: str, prefix: str) -> list[str]:
        try:
            return list_log_streams(self._calls.client_of("logs"), group, prefix)
        except PipelineNotFoundError:  # no job of this kind has logged yet
            return []

    def _read_stream(self, group: str, stream: str, pages: list[int]) -> Iterator[str]:
        last, count = self._places.get(stream, [0, 0])
        skip, token = count, None
        logs = self._calls.client_of("logs")
        while pages[0] > 0:
            pages[0] -= 1
            events, following = read_log_events(logs, group, stream, start_ms=last, token=token)
            for moment, message in events:
                if moment == last and skip > 0:
                    skip -= 1
                    continue
                known_moment, known_count = self._places.get(stream, [0, 0])
                self._places[stream] = [moment, known_count + 1 if moment == known_moment else 1]
                yield message
            if not events or following == token:
                return
            token = following


def merge_cursors(*cursors: Mapping[str, Any] | None) -> dict[str, Any]:
    """One cursor for what several readers have read."""
    places: dict[str, list[int]] = {}
    finished: set[str] = set()
    for cursor in cursors:
        for stream, place in (cursor or {}).get("places", {}).items():
            places[stream] = max(list(place), places.get(stream, [0, 0]))
        finished |= set((cursor or {}).get("finished", ()))
    left = {stream: place for stream, place in places.items() if stream.partition("/")[0] not in finished}
    return {"places": left, "finished": sorted(finished)}


def list_log_streams(logs: Any, group: str, prefix: str) -> list[str]:
    """The names of the CloudWatch log streams that begin so.

    :param logs: a boto3 client of CloudWatch Logs.
    """
    streams = ask_pages(
        logs,
        "describe_log_streams",
        f"{group}/{prefix}",
        member="logStreams",
        each=("logStreamName",),
        token_name="nextToken",  # noqa: S106 (the member's name)
        logGroupName=group,
        logStreamNamePrefix=prefix,
    )
    return [stream["logStreamName"] for stream in streams]


def read_log_events(
    logs: Any, group: str, stream: str, *, start_ms: int = 0, token: str | None = None
) -> tuple[list[tuple[int, str]], str | None]:
    """One page of a log stream, oldest first: events as (milliseconds, message), and the next page's token.

    :param logs: a boto3 client of CloudWatch Logs.
    :param start_ms: no events before.
    :param token: the token that came with the page before; the last page gives the same one again.
    """
    request: dict[str, Any] = {"logGroupName": group, "logStreamName": stream, "startFromHead": True}
    request |= {"startTime": start_ms} if start_ms else {}
    request |= {"nextToken": token} if token else {}
    answer = ask(
        logs,
        "get_log_events",
        f"{group}/{stream}",
        required=("events",),
        entries={"events": ("timestamp",)},
        **request,
    )
    events = [(int(event["timestamp"]), str(event.get("message") or "").rstrip()) for event in answer["events"]]
    return events, answer.get("nextForwardToken")


def _has_settled(step: StepReport) -> bool:
    ended = step.end_time if step.is_terminal else None
    return ended is not None and datetime.now(timezone.utc) - datetime.fromisoformat(ended) > SETTLE_TIME
