"""A fake SageMaker with one execution, that this process's boto3 talks to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.client import execution_watch as watch
from tests.airflow_fakes import FakeSageMaker, aws_environment, open_fake

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let triggers that look for themselves do so at once."""
    monkeypatch.setattr(watch, "plan_delay", lambda **_: 0.02)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSageMaker]:
    """The fake; its only execution is of pipeline ``p``."""
    one = FakeSageMaker()
    one.add_pipeline("p")
    with open_fake(one) as url:
        for name, value in aws_environment(url).items():
            monkeypatch.setenv(name, value)
        one.op_StartPipelineExecution({"PipelineName": "p", "ClientRequestToken": "t" * 40})
        yield one
