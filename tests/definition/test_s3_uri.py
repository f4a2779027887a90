"""Addresses of S3: what is one, what its parts are, and how they are joined."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sm_pipelines.definition.s3_uri import S3Location, is_s3_uri, join_s3_uri, parse_s3_uri, split_s3_uri
from airflow_sm_pipelines.step_values import load_value


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


@pytest.mark.parametrize(("value", "is_meant"), [("s3://", True), ("s3://b/k", True), ("S3://b", False), (7, False)])
def test_a_value_that_begins_as_one_is_meant_as_an_address(value: Any, is_meant: bool) -> None:
    assert is_s3_uri(value) is is_meant


@settings(max_examples=300)
@given(st.text(alphabet="s3:/bk.?#", max_size=14))
def test_the_copy_in_step_values_takes_the_objects_apart_in_the_same_way(rest: str) -> None:
    """``step_values`` stands beside a user's code, so it imports nothing of ours."""
    for uri in (rest, f"s3://{rest}"):
        parts = split_s3_uri(uri)
        client = Recorder()
        if parts is None or not parts[1]:
            if uri.startswith("s3://"):
                with pytest.raises(ValueError, match="is not the address of an object"):
                    load_value(uri, s3_client=client)
        else:
            assert load_value(uri, s3_client=client) == 1
            assert client.asked == {"Bucket": parts[0], "Key": parts[1]}


class Recorder:
    """Stands for boto3's S3 client: keeps what it was asked."""

    asked: dict[str, str]

    def get_object(self, **asked: str) -> dict[str, Any]:
        self.asked = asked
        return {"Body": io.BytesIO(b"1")}
