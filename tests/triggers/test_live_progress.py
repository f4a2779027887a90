"""What a deferred task shows: steps when they are news, each log line once, and nothing where Airflow refuses."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.execution_time.xcom import XCom

from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.runs.page_record import RECORDS_KEY, make_step_records
from airflow_sm_pipelines.triggers import live_progress
from airflow_sm_pipelines.triggers.live_progress import LOG_CURSOR_XCOM, LiveProgress
from tests.airflow_fakes import TRAIN_ARN

if TYPE_CHECKING:
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
    from tests.airflow_fakes import FakeSageMaker

TI: Any = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=2)
REPORT = ExecutionReport("arn", "Executing", steps=(StepReport("Train", "Training", "Executing", job_arn=TRAIN_ARN),))


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[Any, ...], Any]:
    """Airflow's XComs, which a triggerer reaches through its supervisor."""
    found: dict[tuple[Any, ...], Any] = {}

    def set_one(*, key: str, value: Any, dag_id: str, task_id: str, run_id: str, map_index: int) -> None:
        found[dag_id, run_id, task_id, map_index, key] = value

    def get_one(*, key: str, dag_id: str, task_id: str, run_id: str, map_index: int) -> Any:
        return found.get((dag_id, run_id, task_id, map_index, key))

    monkeypatch.setattr(live_progress, "can_triggers_read_xcoms", lambda: True)
    monkeypatch.setattr(XCom, "set", set_one)
    monkeypatch.setattr(XCom, "get_one", get_one)
    return found


@pytest.fixture
def hook(endpoint: tuple[FakeSageMaker, str], fake_is_aws: None) -> SageMakerPipelinesHook:
    """A hook on a fake whose training job has logged two lines."""
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook

    endpoint[0].log_lines = ["epoch 1", "epoch 2"]
    return SageMakerPipelinesHook(aws_conn_id=None)


def view(hook: Any = None, **kwargs: Any) -> LiveProgress:
    options: dict[str, Any] = {"is_pushed": True, "is_streamed": False, **kwargs}
    return LiveProgress(options.pop("ti", TI), lambda: hook, log=logging.getLogger("live"), **options)


def note(one: LiveProgress, *news: bool) -> None:
    async def all_of_them() -> None:
        for is_news in news:
            one.show_soon(REPORT, is_news)
        await one.close()

    asyncio.run(all_of_them())


def test_steps_are_pushed_when_they_are_news(pushed: dict[tuple[Any, ...], Any]) -> None:
    note(view(), False)
    assert pushed == {}
    note(view(), False, True, False)
    assert [step["status"] for step in pushed["d", "r", "t", 2, "steps"]] == ["Executing"]
    assert pushed["d", "r", "t", 2, RECORDS_KEY] == make_step_records(REPORT)
    assert set(pushed) == {("d", "r", "t", 2, key) for key in ("steps", RECORDS_KEY)}


def test_a_step_s_task_keeps_each_try_of_its_step_with_the_last_lines(
    pushed: dict[tuple[Any, ...], Any], hook: Any
) -> None:
    former = {"arn": "arn", "name": "Train", "status": "Failed", "start": "2026-01-01T00:00:00+00:00"}
    pushed["d", "r", "t", 2, RECORDS_KEY] = [former]
    note(view(hook, is_streamed=True, is_pushed=False, is_one_step=True), True)
    first, second = pushed["d", "r", "t", 2, RECORDS_KEY]
    assert first == former
    assert second["status"] == "Executing"
    assert second["log"] == ["[Train algo-1-1] epoch 1", "[Train algo-1-1] epoch 2"]
    assert "steps" not in {key for *_, key in pushed}


def test_another_trigger_reads_on(
    pushed: dict[tuple[Any, ...], Any], hook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="live")
    first = view(hook, is_streamed=True)
    note(first, True)
    assert pushed["d", "r", "t", 2, LOG_CURSOR_XCOM] == first.cursor
    note(view(hook, is_streamed=True), True)  # in another triggerer
    note(view(hook, is_streamed=True, ti=None, cursor=first.cursor), True)  # after the next deferral of `dags test`
    assert [line for line in caplog.messages if line.startswith("[Train")] == [
        "[Train algo-1-1] epoch 1",
        "[Train algo-1-1] epoch 2",
    ]


def test_an_airflow_that_takes_no_xcom_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(**_: Any) -> None:
        raise RuntimeError("SetXCom is not known here")

    monkeypatch.setattr(live_progress, "can_triggers_read_xcoms", lambda: True)
    monkeypatch.setattr(XCom, "set", refuse)
    one = view()
    note(one, True)
    note(one, True)
    (said,) = caplog.messages
    assert said == (
        "Until the task goes on, its steps are in this log only: this Airflow takes no XCom from a trigger "
        "(RuntimeError: SetXCom is not known here)."
    )


def test_an_older_airflow_is_not_called_from_a_trigger(
    pushed: dict[tuple[Any, ...], Any], hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_progress, "can_triggers_read_xcoms", lambda: False)
    note(view(hook, is_streamed=True, is_one_step=True), True)
    assert pushed == {}


def test_a_steps_links_are_there_while_it_runs_and_are_pushed_when_they_change(
    pushed: dict[tuple[Any, ...], Any],
) -> None:
    addresses = [{"queue": "https://q"}, {"queue": "https://q"}, {"queue": "https://r"}]
    one = view(is_pushed=False, is_one_step=True, find_links=lambda _: addresses.pop(0))
    note(one, True)
    assert pushed.pop(("d", "r", "t", 2, "queue")) == "https://q"
    note(one, True)
    assert ("d", "r", "t", 2, "queue") not in pushed
    note(one, True)
    assert pushed["d", "r", "t", 2, "queue"] == "https://r"
