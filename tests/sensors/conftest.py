"""A fake SageMaker with one execution, that this process's boto3 talks to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.client import execution_watch as watch
from tests.airflow_fakes import DEFINITION
from tests.airflow_fixtures import endpoint, fake_is_aws, url  # noqa: F401

if TYPE_CHECKING:
    from tests.airflow_fakes import FakeSageMaker


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let triggers that look for themselves do so at once."""
    monkeypatch.setattr(watch, "plan_delay", lambda **_: 0.02)


@pytest.fixture
def fake(endpoint: tuple[FakeSageMaker, str], fake_is_aws: None) -> FakeSageMaker:  # noqa: F811
    """The fake; its only execution is of pipeline ``p``, which has the steps Train, Evaluate and Register."""
    one = endpoint[0]
    steps = [*DEFINITION["Steps"], {**DEFINITION["Steps"][1], "Name": "Register", "DependsOn": ["Evaluate"]}]
    one.add_pipeline("p", {**DEFINITION, "Steps": steps})
    one.op_StartPipelineExecution({"PipelineName": "p", "ClientRequestToken": "t" * 40})
    return one
