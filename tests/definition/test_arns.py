"""ARNs, taken apart."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.definition.arns import (
    execution_id_of,
    parse_arn,
    parse_execution_arn,
    pipeline_arn_of,
    pipeline_name_of,
    resource_name_of,
)


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
