"""ARNs, taken apart."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.definition.arns import parse_arn, parse_execution_arn


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
