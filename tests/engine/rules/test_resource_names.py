"""Names of what steps make."""

from __future__ import annotations

import re

import pytest

from airflow_sm_pipelines.engine.rules.resource_names import step_resource_name

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


@pytest.mark.parametrize(
    ("step_type", "given", "name"),
    [
        ("Training", None, "pipelines-abcdefghijkl-A-step-of-some-lengt-0123456789"),
        ("Training", "my-notebook-1", "my-notebook-1-abcdefghijkl-0123456789"),
        ("Processing", "p" * 63, f"{'p' * 39}-abcdefghijkl-0123456789"),
        ("Transform", {"Get": "Parameters.P"}, "pipelines-abcdefghijkl-A-step-of-some-lengt-0123456789"),
        ("Tuning", "mine", "abcdefghijkl-A-step-0123456789"),
    ],
)
def test_a_jobs_name_begins_with_the_one_that_the_step_gives(step_type: str, given: object, name: str) -> None:
    made = step_resource_name(step_type, "abcdefghijkl", "A step of some length", "0123456789", given=given)
    assert made == name
    assert NAME.fullmatch(made)
