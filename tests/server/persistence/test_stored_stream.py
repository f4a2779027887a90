"""A stream in the database answers as moto's own does, which holds its events in memory."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.server.persistence import EndpointDatabase, LogEvents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REGION = "us-east-1"
CHANCE = random.Random(11)
# Jobs' lines come in the order of their times, clients' may not, and several have one time.
EVENTS = [
    (CHANCE.randrange(1000, 1060), f"line {number} {'ERROR' if number % 7 == 0 else 'ok'}") for number in range(90)
]


@pytest.fixture
def streams(tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    """A stream of the database, and one of moto with the same events."""
    from moto.logs.models import LogEvent, LogGroup, LogStream, logs_backends

    backend = logs_backends["123456789012"][REGION]
    backend.groups["g"] = group = LogGroup("123456789012", REGION, "g")
    database = EndpointDatabase(tmp_path / "endpoint.sqlite3")
    stored = LogEvents(database)
    stored.write(REGION, "g", "s", EVENTS[:50])
    stored.load()
    stored.write(REGION, "g", "s", EVENTS[50:])
    theirs = LogStream(group, "s")
    theirs.events = [LogEvent(1, {"timestamp": time, "message": text}) for time, text in EVENTS]
    yield group.streams["s"], theirs
    backend.groups.clear()
    database.close()


def page(stream: Any, **given: Any) -> tuple[list[tuple[int, str]], str, str]:
    names = ("start_time", "end_time", "limit", "next_token", "start_from_head")
    events, backward, forward = stream.get_log_events(*(given.get(name) for name in names))
    return [(event["timestamp"], event["message"]) for event in events], backward, forward


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("limit", [None, 1, 7, 90, 200])
@pytest.mark.parametrize("times", [(None, None), (1010, None), (None, 1040), (1010, 1040), (2000, None)])
def test_pages_are_motos(streams: tuple[Any, Any], head: bool, limit: int | None, times: tuple[Any, Any]) -> None:
    ours, theirs = streams
    given = {"start_time": times[0], "end_time": times[1], "limit": limit, "start_from_head": head}
    found, expected = page(ours, **given), page(theirs, **given)
    assert found[0] == expected[0]
    assert found == expected or not found[0], "where there is nothing yet, moto's tokens depend on how it was asked"
    for token in found[1:]:
        assert page(ours, **given, next_token=token)[0] == page(theirs, **given, next_token=token)[0]


def test_all_pages_together_are_all_events(streams: tuple[Any, Any]) -> None:
    found: list[tuple[int, str]] = []
    token = None
    while True:
        events, _, following = page(streams[0], limit=13, start_from_head=True, next_token=token)
        if not events:
            break
        found, token = found + events, following
    assert found == sorted(EVENTS, key=lambda event: event[0])
    assert [(event.timestamp, event.message) for event in streams[0].events] == EVENTS


def test_a_filter_and_a_description_are_motos(streams: tuple[Any, Any]) -> None:
    ours, theirs = streams
    for pattern in ("ERROR", "", '"line 3"'):
        found, expected = (
            [(event["timestamp"], event["message"], event["logStreamName"]) for event in one]
            for one in (stream.filter_log_events(1005, None, pattern) for stream in streams)
        )
        assert found == expected
    described = ours.to_describe_dict()
    assert described["firstEventTimestamp"] == min(time for time, _ in EVENTS)
    assert described["lastEventTimestamp"] == max(time for time, _ in EVENTS)
    assert described["arn"] == theirs.arn
    assert ours.stored_bytes == sum(len(text) for _, text in EVENTS)
