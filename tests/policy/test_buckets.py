"""The bucket that a value in a definition certainly names."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.policy.buckets import find_bucket

LATER = {"Get": "Parameters.P"}


def join(*values: Any) -> Any:
    return {"Std:Join": {"On": "", "Values": list(values)}}


@pytest.mark.parametrize(
    ("value", "bucket"),
    [
        ("s3://team/a", "team"),
        ("s3://team", "team"),
        ("https://team.s3.eu-west-1.amazonaws.com/a", "team"),
        ("https://s3.eu-west-1.amazonaws.com/team/a", "team"),
        ("https://example.com/team/a", None),
        (join("s3://team/", LATER), "team"),
        (join("s3://team", LATER), None),
        (join("https://team.s3.eu-west-1.amazonaws.com/", LATER), "team"),
        (join("https://s3.eu-west-1.amazonaws.com/team", LATER), None),
        (join("https://s3.eu-west-1.amazonaws.com/team/", LATER), "team"),
        (join(LATER, "s3://team/a"), None),
        (LATER, None),
        (7, None),
    ],
)
def test_a_bucket_is_named_only_where_nothing_that_follows_can_change_it(value: Any, bucket: str | None) -> None:
    assert find_bucket(value) == bucket
