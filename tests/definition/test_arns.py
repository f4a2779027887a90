"""ARNs, taken apart."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import airflow_sm_pipelines
from airflow_sm_pipelines.definition.arns import (
    execution_id_of,
    parse_arn,
    parse_execution_arn,
    pipeline_arn_of,
    pipeline_name_of,
    resource_name_of,
)
from airflow_sm_pipelines.local_endpoint import make_log_page_url

JOBS = "arn:aws:sagemaker:us-east-1:123456789012"


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        ("arn:aws:sagemaker:us-east-1:123456789012:pipeline/train/execution/abc123", ("train", "abc123")),
        ("arn:aws-cn:sagemaker:cn-north-1:123456789012:pipeline/train", ("train", "")),
        ("arn:aws:sagemaker:us-east-1:123456789012:training-job/train", ("", "")),
        ("train", ("", "")),
    ],
)
def test_an_execution_arn_names_its_pipeline(arn: str, expected: tuple[str, str]) -> None:
    assert parse_execution_arn(arn) == expected


def test_an_arn_has_parts_even_where_some_are_empty() -> None:
    role = parse_arn("arn:aws-us-gov:iam::123456789012:role/path/Sage")
    assert role is not None
    assert (role.partition, role.region, role.account) == ("aws-us-gov", "", "123456789012")
    assert (role.kind, role.name) == ("role", "path/Sage")
    function = parse_arn("arn:aws:lambda:us-east-1:123456789012:function:predict")
    assert function is not None
    assert function.resource == "function:predict"
    assert parse_arn("arn:aws:s3") is None


@pytest.mark.parametrize(
    ("text", "kinds", "name"),
    [
        ("arn:aws:sagemaker:us-east-1:123456789012:training-job/train", (), "train"),
        ("arn:aws:sagemaker:us-east-1:123456789012:model-package/group/3", (), "group/3"),
        ("arn:aws:sagemaker:us-east-1:123456789012:model-package/group/3", ("model-package",), "group/3"),
        (
            "arn:aws:sagemaker:us-east-1:123456789012:model/m",
            ("model-package",),
            "arn:aws:sagemaker:us-east-1:123456789012:model/m",
        ),
        ("arn:aws:lambda:us-east-1:123456789012:function:predict:PROD", (), "predict:PROD"),
        ("arn:aws:sqs:us-east-1:123456789012:queue", (), "arn:aws:sqs:us-east-1:123456789012:queue"),
        ("train", (), "train"),
    ],
)
def test_a_name_or_an_arn_gives_the_name(text: str, kinds: tuple[str, ...], name: str) -> None:
    assert resource_name_of(text, *kinds) == name


def test_a_pipeline_and_an_execution_are_known_by_their_arns() -> None:
    pipeline = "arn:aws-cn:sagemaker:cn-north-1:123456789012:pipeline/train"
    execution = f"{pipeline}/execution/abc123"
    assert [pipeline_name_of(text) for text in ("train", pipeline, execution)] == ["train"] * 3
    assert (execution_id_of(execution), execution_id_of("abc123")) == ("abc123", "abc123")
    assert pipeline_arn_of(execution) == pipeline
    assert str(parse_arn(execution)) == execution


@pytest.mark.parametrize(
    "value", ["train", f"{JOBS}:training-job/train", f"{JOBS}:processing-job/pipelines-a1-Prepare-b2"]
)
def test_the_copy_beside_the_sdk_reads_the_same_names(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It describes jobs for scripts in local mode, and can import nothing of ours."""
    monkeypatch.syspath_prepend(str(Path(airflow_sm_pipelines.__file__).parent / "compiler"))
    try:
        from sdk_side import local_mode  # type: ignore[import-not-found]

        assert local_mode.name_for_arn({"JobName": value, "N": 1}) == {"JobName": resource_name_of(value), "N": 1}
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "sdk_side"]:
            del sys.modules[name]


def test_the_page_of_a_log_is_named_by_what_the_arn_names() -> None:
    """``local_endpoint`` stands below this room, so it has the rule a second time."""
    arn = parse_arn(f"{JOBS}:training-job/train")
    assert arn is not None
    assert make_log_page_url("http://here/_console", str(arn)) == f"http://here/_console/logs/{arn.resource}"
