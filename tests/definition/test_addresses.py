"""ARNs and S3 addresses, taken apart."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.definition.arns import parse_arn, parse_execution_arn
from airflow_sm_pipelines.definition.s3_uri import split_s3_uri
from airflow_sm_pipelines.loopback import is_loopback_url


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
    ("uri", "expected"),
    [
        ("s3://bucket/a/b.json", ("bucket", "a/b.json")),
        ("s3://bucket/a/", ("bucket", "a/")),
        ("s3://bucket", ("bucket", "")),
        ("s3:///a", None),
        ("https://bucket/a", None),
        ("", None),
    ],
)
def test_an_s3_address_is_a_bucket_and_a_key(uri: str, expected: tuple[str, str] | None) -> None:
    assert split_s3_uri(uri) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:4566", True),
        ("http://localhost", True),
        ("http://[::1]:80/x", True),
        ("http://localhost.example.com", False),
        ("https://api.sagemaker.us-east-1.amazonaws.com", False),
        ("http://[::1", False),
        (None, False),
    ],
)
def test_a_loopback_address_is_this_machine(url: str | None, expected: bool) -> None:
    assert is_loopback_url(url) is expected
