"""Names that the service takes, made from names of Airflow."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sm_pipelines.client.valid_names import (
    check_pipeline_names,
    is_pipeline_name,
    make_display_name,
    make_pipeline_name,
    parse_domain_id,
)
from airflow_sm_pipelines.exceptions import ArgumentError
from airflow_sm_pipelines.service_model import judge_value, load_service_model


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


@settings(max_examples=300)
@given(st.text(alphabet="aZ9-_. ", max_size=12) | st.sampled_from(["a" * 256, "a" * 257, "-" * 9, "a" + "-b" * 128]))
def test_a_pipelines_name_is_what_the_api_takes(text: str) -> None:
    shape = load_service_model().get_shape("PipelineName")
    assert is_pipeline_name(text) is not bool(judge_value(text, shape).faults)
    assert not judge_value(make_pipeline_name(text), shape).faults


@pytest.mark.parametrize("member", ["PipelineName", "PipelineNamePrefix"])
def test_a_name_that_no_pipeline_can_have_is_refused_in_a_sentence(member: str) -> None:
    with pytest.raises(ArgumentError, match=f"{member}='my_pipe' is no pipeline name: .* 'my-pipe' would do"):
        check_pipeline_names({member: "my_pipe"})
    for right in ("my-pipe", "arn:aws:sagemaker:us-east-1:123456789012:pipeline/my-pipe", None):
        check_pipeline_names({member: right})


@pytest.mark.parametrize("value", ["d-abcdefghij12", "d-a", f"d-{'a' * 61}"])
def test_the_id_of_a_studio_domain_is_taken(value: str) -> None:
    assert parse_domain_id("studio_domain_id", value) == value
    assert parse_domain_id("studio_domain_id", None) is parse_domain_id("studio_domain_id", "") is None


@pytest.mark.parametrize("value", ["mine", "d-", "d-A", f"d-{'a' * 62}", "d-a b", 7])
def test_what_is_no_such_id_is_refused_by_name(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"^studio_domain_id=.*expected the id of a Studio domain"):
        parse_domain_id("studio_domain_id", value)
