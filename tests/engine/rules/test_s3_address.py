"""Addresses of S3: what is one, what its parts are, and how they are joined."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.engine.rules.s3_address import S3Location, join_s3_uri, parse_s3_uri


@pytest.mark.parametrize(
    ("uri", "bucket", "key"),
    [
        ("s3://bucket/a/b.json", "bucket", "a/b.json"),
        ("s3://bucket/a?b#c", "bucket", "a?b#c"),
        ("s3://bucket/", "bucket", ""),
        ("s3://bucket", "bucket", ""),
        ("https://bucket.s3.eu-west-1.amazonaws.com/a/b", "bucket", "a/b"),
        ("https://s3-eu-west-1.amazonaws.com/bucket/a/b", "bucket", "a/b"),
        ("https://s3.cn-north-1.amazonaws.com.cn/bucket/a", "bucket", "a"),
    ],
)
def test_an_address_has_a_bucket_and_a_key(uri: str, bucket: str, key: str) -> None:
    assert parse_s3_uri(uri) == S3Location(bucket, key)


@pytest.mark.parametrize("uri", ["", "bucket/key", "s3:///key", "file:///tmp/x", "https://example.com/a", None, 5])
def test_anything_else_is_refused(uri: Any) -> None:
    with pytest.raises(ValueError, match="is not an S3 address such as s3://bucket/prefix"):
        parse_s3_uri(uri)


def test_a_location_is_written_as_it_was_read() -> None:
    assert parse_s3_uri("s3://bucket/a//b ?#%").uri == "s3://bucket/a//b ?#%"
    assert S3Location("bucket", "").child("a", "b").uri == "s3://bucket/a/b"


@pytest.mark.parametrize(
    ("base", "names", "joined"),
    [
        ("s3://bucket/a", ("b.json",), "s3://bucket/a/b.json"),
        ("s3://bucket/a/", ("/b.json",), "s3://bucket/a/b.json"),
        ("s3://bucket/a//", ("b", "c/"), "s3://bucket/a/b/c/"),
        ("s3://bucket", ("b",), "s3://bucket/b"),
    ],
)
def test_parts_are_joined_by_one_slash(base: str, names: tuple[str, ...], joined: str) -> None:
    assert join_s3_uri(base, *names) == joined
