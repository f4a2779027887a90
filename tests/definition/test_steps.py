"""What a step says of itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_sm_pipelines.definition import CacheConfig, parse_duration
from airflow_sm_pipelines.definition.steps import name_iteration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("P30D", timedelta(days=30)),
        ("p30d", timedelta(days=30)),
        ("30d", timedelta(days=30)),
        ("T12H", timedelta(hours=12)),
        ("T16m", timedelta(minutes=16)),
        ("30dT5h", timedelta(days=30, hours=5)),
        ("P1Y2M3W", timedelta(days=365 + 60 + 21)),
        ("P99999999999Y", timedelta.max),
        ("", None),
        ("P", None),
        ("soon", None),
    ],
)
def test_a_duration_is_read_as_people_write_it(text: str, expected: timedelta | None) -> None:
    assert parse_duration(text) == expected
    assert CacheConfig(enabled=True, expire_after=text).lifetime == expected


def test_an_iteration_is_named_by_its_index() -> None:
    assert name_iteration("train", 2) == "train-2"
