"""S3 addresses, taken apart."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.definition.s3_uri import split_s3_uri


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
