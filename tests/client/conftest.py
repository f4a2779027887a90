"""A fake SageMaker and a hook that talks to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow_fakes import FakeSageMaker, aws_environment, open_fake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSageMaker]:
    """A fake SageMaker that this process's boto3 talks to."""
    one = FakeSageMaker()
    with open_fake(one) as url:
        for name, value in aws_environment(url).items():
            monkeypatch.setenv(name, value)
        yield one


@pytest.fixture
def hook(fake: FakeSageMaker) -> SageMakerPipelinesHook:
    """A hook without a connection, on the fake, that does not retry."""
    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook

    return SageMakerPipelinesHook(aws_conn_id=None, config={"retries": {"max_attempts": 0}})
