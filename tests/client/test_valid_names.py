"""Names that the service takes, made from names of Airflow."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.client.valid_names import make_display_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train-manual__2026-11-23T02:46:16.511488+00:00", "train-manual-2026-11-23T02-46-16-511488-00-00"),
        ("__a__", "a"),
        ("", "airflow"),
        ("äöü", "airflow"),
    ],
)
def test_display_names_are_what_the_service_takes(text: str, expected: str) -> None:
    assert make_display_name(text) == expected


def test_long_display_names_stay_apart() -> None:
    names = {make_display_name("x" * 100 + str(number)) for number in range(3)}
    assert len(names) == 3
    assert all(len(name) <= 82 for name in names)
