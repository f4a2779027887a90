"""What a task shows of its execution: for people, for the page, and each XCom once."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sm_pipelines.airflow_task import run_progress
from airflow_sm_pipelines.airflow_task.run_progress import ARN_KEY, STEPS_KEY, RunProgress
from airflow_sm_pipelines.airflow_task.task_state_store import LOG_CURSOR_KEY, SUBMISSION_KEY
from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.definition.shape import make_shape
from airflow_sm_pipelines.exceptions import PipelineAccessError
from airflow_sm_pipelines.runs.page_record import (
    EXECUTION_KEY,
    GRAPH_KEY,
    INSTANCES_KEY,
    RECORDS_KEY,
    make_graph_record,
    make_step_records,
)
from airflow_sm_pipelines.runs.results import summarize_steps
from airflow_sm_pipelines.runs.submission import TaskIdentity, make_submission
from tests.airflow_fakes import DEFINITION
from tests.airflow_objects import FakeTaskInstance, FakeTaskStateStore, make_context

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e1"
JOB = "arn:aws:sagemaker:us-east-1:123456789012:training-job/t"
START, END = "2026-01-01T00:00:00+00:00", "2026-01-01T00:01:00+00:00"
IDENTITY = TaskIdentity(
    dag_id="d", run_id="r", task_id="t", map_index=-1, run_start="", max_tries=0, clear_number=0, try_number=1
)
TIMES = {"start_time": START, "end_time": END}
TRAIN = StepReport("Train", "Training", "Failed", job_arn=JOB, failure_reason="no", **TIMES)
REPORT = ExecutionReport(ARN, "Failed", failure_reason="A step failed", pipeline_version_id=4, steps=(TRAIN,))
REQUEST = {"PipelineName": "p", "PipelineParameters": [{"Name": "Rows", "Value": "1"}]}
log = logging.getLogger("task")


class Shown(RunProgress):
    """A progress whose calls are the test's."""

    def __init__(self, calls: Any = None, **arguments: Any) -> None:
        self.ti = arguments.pop("ti", None) or FakeTaskInstance()
        self.store = arguments.pop("store", None) or FakeTaskStateStore()
        if calls is None:
            calls = SimpleNamespace(describe_execution_definition=lambda arn: DEFINITION if arn == ARN else {})
        choices = {"is_pushed": True, "is_streamed": False, "log": log, **arguments}
        super().__init__(make_context(self.ti, store=self.store), calls, **choices)


@pytest.fixture
def page(xcoms: dict[tuple[Any, ...], Any]) -> Any:
    """The plain XComs of the task by key."""
    return lambda: {key[-1]: value for key, value in xcoms.items() if key[:-1] == ("d", "r", "t", -1)}


def test_the_page_knows_an_execution_from_its_start_to_its_end(page: Any) -> None:
    one = Shown(
        store=FakeTaskStateStore({SUBMISSION_KEY: make_submission(IDENTITY, number=1, request=REQUEST).to_json()})
    )
    one.begin(ARN)
    assert one.ti.pushed == {ARN_KEY: ARN}
    started = {"arn": ARN, "pipeline": "p", "status": "Executing", "reason": None, "parameters": {"Rows": "1"}}
    graph = make_graph_record(make_shape(parse_definition(DEFINITION)))
    instances = {"Train": [["Training", "ml.m5.large", 1]], "Evaluate": [["Processing", "ml.m5.large", 1]]}
    assert page() == {EXECUTION_KEY: started, GRAPH_KEY: graph, INSTANCES_KEY: instances}
    one.show(REPORT, False)
    assert STEPS_KEY not in page()
    one.show(REPORT, True)
    assert page()[STEPS_KEY] == summarize_steps(REPORT)
    assert page()[RECORDS_KEY] == make_step_records(REPORT)
    one.finish(REPORT)
    ended = {**started, "status": "Failed", "reason": "A step failed", "version": 4, "start": START, "end": END}
    assert page()[EXECUTION_KEY] == ended
    assert one.keep_outputs(REPORT, {"rmse": 2}) == {"rmse": 2}
    assert page()[EXECUTION_KEY] == {**ended, "outputs": {"rmse": 2}}


def test_a_later_process_of_the_task_keeps_the_end_with_its_parameters(page: Any) -> None:
    submission = make_submission(IDENTITY, number=1, request={"PipelineName": "p"}).to_json()
    Shown(store=FakeTaskStateStore({SUBMISSION_KEY: submission}), is_later=True).finish(REPORT)
    assert page()[EXECUTION_KEY]["parameters"] == {}
    assert page()[RECORDS_KEY] == make_step_records(REPORT)
    Shown().finish(REPORT)
    assert "parameters" not in page()[EXECUTION_KEY]


def test_the_page_has_the_last_lines_of_failed_steps(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    tails = {"Train": ("/aws/sagemaker/TrainingJobs", ["last line"])}

    def read(calls: Any, steps: Any, *, max_lines: int, warn: Any) -> Any:
        asked.append((steps, max_lines, warn))
        return tails if max_lines else {}

    monkeypatch.setattr(run_progress, "read_log_tails", read)
    one = Shown()
    assert one.read_log_tails(REPORT, max_lines=0) == {}
    assert page() == {}
    assert one.read_log_tails(REPORT, max_lines=7) == tails
    assert asked == [((TRAIN,), 0, log.warning), ((TRAIN,), 7, log.warning)]
    assert [record["log"] for record in page()[RECORDS_KEY]] == [["last line"]]
    one.show(REPORT, True)
    assert [record["log"] for record in page()[RECORDS_KEY]] == [["last line"]]


def test_without_xcoms_the_page_keeps_nothing(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_progress, "read_log_tails", lambda *_, **__: {"Train": ("g", ["line"])})
    one = Shown(is_pushed=False)
    one.begin(ARN)
    one.show(REPORT, True)
    one.finish(REPORT)
    one.keep_outputs(REPORT, {"rmse": 2})
    assert one.read_log_tails(REPORT, max_lines=1) == {"Train": ("g", ["line"])}
    assert (page(), one.ti.pushed) == ({}, {})


def test_a_page_that_cannot_be_kept_or_drawn_fails_no_task(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> Any:
        raise PipelineAccessError("no", code="AccessDeniedException")

    for calls in (
        SimpleNamespace(describe_execution_definition=refuse),
        SimpleNamespace(describe_execution_definition=lambda _: "no definition"),
    ):
        Shown(calls).begin(ARN)
        assert set(page()) == {EXECUTION_KEY}

    def fail(*_: Any) -> None:
        raise RuntimeError("no database")

    monkeypatch.setattr(run_progress, "set_plain_xcom", fail)
    Shown().finish(REPORT)


def test_each_xcom_is_pushed_once_in_an_attempt(page: Any) -> None:
    pushes: list[tuple[str, Any]] = []

    class Instance(FakeTaskInstance):
        def xcom_push(self, key: str, value: Any) -> None:
            pushes.append((key, value))

    def pushed_by(known: dict[str, Any], *, is_later: bool) -> list[str]:
        pushes.clear()
        one = Shown(ti=Instance(map_index=3, pushed=known), is_later=is_later)
        one.push({ARN_KEY: ARN, "status": "Executing"})
        one.push({ARN_KEY: ARN, "status": "Failed", "other": 1})
        return [key for key, _ in pushes]

    known = {ARN_KEY: ARN, "status": "Executing"}
    assert pushed_by({}, is_later=True) == [ARN_KEY, "status", "other"]
    assert pushes == [(ARN_KEY, ARN), ("status", "Executing"), ("other", 1)]
    assert pushed_by(known, is_later=True) == ["status", "other"]
    assert pushed_by(known, is_later=False) == [ARN_KEY, "status", "other"]
    assert pushed_by({ARN_KEY: f"{ARN}2"}, is_later=True) == [ARN_KEY, "status", "other"]


def test_logs_go_on_where_the_event_or_else_an_earlier_attempt_has_left_them(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Stream:
        def __init__(self, calls: Any, **arguments: Any) -> None:
            made.append(arguments)
            self.cursor, self.reads, self.has_read = {"now": 1}, [], True

        def read(self, report: ExecutionReport, *, is_last: bool = False) -> bool:
            self.reads.append((report, is_last))
            return self.has_read

    monkeypatch.setattr(run_progress, "JobLogStream", Stream)
    kept = {LOG_CURSOR_KEY: {"kept": 1}}
    for cursor, expected in (({"given": 1}, {"given": 1}), (None, {"kept": 1})):
        one = Shown(is_streamed=True, cursor=cursor, store=FakeTaskStateStore(dict(kept)), is_pushed=False)
        assert made[-1] == {"write": log.info, "warn": log.warning, "cursor": expected}
        assert one.cursor == {"now": 1}
        stream: Any = one._stream
        stream.has_read = False
        one.show(REPORT, True)
        assert one.store.values == kept
        stream.has_read = True
        one.show(REPORT, False)
        assert one.store.values == {LOG_CURSOR_KEY: {"now": 1}}
        one.store.values.clear()
        one.finish(REPORT)
        assert stream.reads == [(REPORT, False), (REPORT, False), (REPORT, True)]
        assert one.store.values == {LOG_CURSOR_KEY: {"now": 1}}
    quiet = Shown(is_pushed=False)
    quiet.show(REPORT, True)
    quiet.finish(REPORT)
    assert (quiet.cursor, quiet.store.values) == (None, {})
