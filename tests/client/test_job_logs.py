"""Where a job's log is: the client and the engine, which may not import each other, name the same groups."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.client.job_logs import resolve_log_location
from airflow_sm_pipelines.engine.rules.job_documents import JOB_KINDS, JobKind

PREFIX = "arn:aws:sagemaker:us-east-1:123456789012"


@pytest.mark.parametrize("kind", JOB_KINDS.values(), ids=lambda kind: kind.name)
def test_the_log_of_a_job_is_where_the_engine_writes_it(kind: JobKind) -> None:
    expected = (kind.log_group, "train") if kind.log_group else None
    assert resolve_log_location(f"{PREFIX}:{kind.resource}/train") == expected


@pytest.mark.parametrize("qualifier", ["", ":PROD"])
def test_the_log_of_a_function_is_that_of_all_its_versions(qualifier: str) -> None:
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:predict{qualifier}"
    assert resolve_log_location(arn) == ("/aws/lambda/predict", "")


@pytest.mark.parametrize("arn", [None, "", "train", f"{PREFIX}:model/m"])
def test_what_has_no_log_has_none(arn: str | None) -> None:
    assert resolve_log_location(arn) is None
