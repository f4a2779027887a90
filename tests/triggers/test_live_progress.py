"""What a deferred task shows: steps when they are news, each log line once, and nothing where Airflow refuses."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.execution_time.xcom import XCom

from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.triggers.live_progress import CURSOR_KEY, LiveView
from tests.airflow_fakes import TRAIN_ARN, FakeSageMaker, aws_environment, open_fake

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    monkeypatch.setattr(XCom, "set", set_one)
    monkeypatch.setattr(XCom, "get_one", get_one)
    return found


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A hook on a fake whose training job has logged two lines."""
    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook

    fake = FakeSageMaker()
    fake.log_lines = ["epoch 1", "epoch 2"]
    with open_fake(fake) as url:
        for name, value in aws_environment(url).items():
            monkeypatch.setenv(name, value)
        yield SageMakerPipelinesHook(aws_conn_id=None)


def view(hook: Any = None, **kwargs: Any) -> LiveView:
    options: dict[str, Any] = {"is_pushed": True, "is_streamed": False, **kwargs}
    return LiveView(options.pop("ti", TI), lambda: hook, log=logging.getLogger("live"), **options)


def note(one: LiveView, *news: bool) -> None:
    async def all_of_them() -> None:
        for is_news in news:
            one.note(REPORT, is_news)
        await one.close()

    asyncio.run(all_of_them())


def test_steps_are_pushed_when_they_are_news(pushed: dict[tuple[Any, ...], Any]) -> None:
    note(view(), False)
    assert pushed == {}
    note(view(), False, True, False)
    assert [step["status"] for step in pushed["d", "r", "t", 2, "steps"]] == ["Executing"]


def test_another_trigger_reads_on(
    pushed: dict[tuple[Any, ...], Any], hook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="live")
    first = view(hook, is_streamed=True)
    note(first, True)
    assert pushed["d", "r", "t", 2, CURSOR_KEY] == first.cursor
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

    monkeypatch.setattr(XCom, "set", refuse)
    one = view()
    note(one, True)
    note(one, True)
    (said,) = caplog.messages
    assert said == (
        "Until the task goes on, its steps are in this log only: this Airflow takes no XCom from a trigger "
        "(RuntimeError: SetXCom is not known here)."
    )
