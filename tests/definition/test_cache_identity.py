"""The members that decide about caching."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.definition.cache_identity import CACHE_FIELDS, select_cache_fields


def test_only_the_members_that_count_are_picked_each_in_its_place() -> None:
    arguments: dict[str, Any] = {
        "HyperParameterTuningJobConfig": {"Strategy": "Random"},
        "TrainingJobDefinition": {"InputDataConfig": [{"ChannelName": "train"}], "RoleArn": "arn:role"},
        "Tags": [{"Key": "a", "Value": "b"}],
    }
    assert select_cache_fields("Tuning", arguments, {"SkipCheck": True}) == {
        "HyperParameterTuningJobConfig": {"Strategy": "Random"},
        "TrainingJobDefinition": {"InputDataConfig": [{"ChannelName": "train"}]},
    }


def test_the_flags_of_a_check_stand_beside_its_arguments() -> None:
    attributes: dict[str, Any] = {"CheckType": "DATA_BIAS", "SkipCheck": True, "SuppliedBaselineStatistics": "s3://b/s"}
    assert select_cache_fields("ClarifyCheck", {}, attributes) == {"CheckType": "DATA_BIAS", "SkipCheck": "true"}
    assert select_cache_fields("QualityCheck", {}, attributes)["SuppliedBaselineStatistics"] == "s3://b/s"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"Environment": {"A": 1}}, {"Environment": {"A": "1"}}),
        ({"Environment": {"A": True}}, {"Environment": {"A": "true"}}),
        ({"Environment": {"A": "1", "B": None}}, {"Environment": {"A": "1"}}),
        ({"Environment": {}}, {}),
        ({"ProcessingInputs": None}, {"ProcessingInputs": []}),
    ],
)
def test_two_spellings_of_the_same_are_the_same(one: Any, other: Any) -> None:
    assert select_cache_fields("Processing", one, {}) == select_cache_fields("Processing", other, {})


def test_a_type_without_published_rules_has_no_members_that_count() -> None:
    assert "Lambda" not in CACHE_FIELDS
    assert select_cache_fields("Lambda", {"a": 1}, {"FunctionArn": "arn:f"}) == {}
