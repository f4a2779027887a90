"""A report that was just read is handed out again, for two seconds."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sm_pipelines.triggers import final_reports
from airflow_sm_pipelines.triggers.final_reports import FinalReports


class Calls:
    """An API whose answers are numbered."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def describe_report(self, arn: str) -> Any:
        self.asked.append(arn)
        return SimpleNamespace(arn=arn, number=len(self.asked))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(final_reports.time, "monotonic", lambda: now[0])
    return now


def test_a_report_is_read_again_when_it_is_two_seconds_old(clock: list[float]) -> None:
    reports, calls = FinalReports(), Calls()
    for now, number in ((100.0, 1), (101.9, 1), (102.0, 2), (103.9, 2), (104.0, 3)):
        clock[0] = now
        assert reports.read(calls, "a").number == number  # type: ignore[arg-type]
    assert reports.read(calls, "b").arn == "b"  # type: ignore[arg-type]
    assert calls.asked == ["a", "a", "a", "b"]


def test_reports_are_forgotten_after_a_minute(clock: list[float]) -> None:
    reports, calls = FinalReports(), Calls()
    reports.read(calls, "a")  # type: ignore[arg-type]
    for now, known in ((160.0, {"a", "b"}), (160.1, {"b"})):
        clock[0] = now
        reports._reports.pop("b", None)
        reports.read(calls, "b")  # type: ignore[arg-type]
        assert set(reports._reports) == set(reports._reading) == known


def test_whoever_asks_while_another_reads_gets_its_answer() -> None:
    reports, calls = FinalReports(), Calls()
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Calls):
        def describe_report(self, arn: str) -> Any:
            begun.set()
            go_on.wait(10)
            return calls.describe_report(arn)

    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(reports.read(Slow(), "a"))) for _ in range(3)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go_on.set()
    for thread in threads:
        thread.join()
    assert calls.asked == ["a"]
    assert len({id(one) for one in found}) == 1
