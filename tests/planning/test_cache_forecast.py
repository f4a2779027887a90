"""Which steps a changed pipeline would run again, and the field that makes them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.planning import forecast_cache

CACHED = {"Enabled": True, "ExpireAfter": "P30D"}
FIXED = {"Std:Join": {"On": "/", "Values": ["s3://bucket", {"Get": "Parameters.Prefix"}, "train"]}}
PER_RUN = {"Std:Join": {"On": "/", "Values": ["s3://bucket", {"Get": "Execution.PipelineExecutionId"}]}}


def make(*, output: Any = FIXED, prepare_cache: Any = CACHED) -> dict[str, Any]:
    """A cached pipeline: Prepare writes what Train reads, Score reads Train's model."""
    return {
        "Parameters": [
            {"Name": "Depth", "Type": "Integer", "DefaultValue": 2},
            {"Name": "Prefix", "Type": "String", "DefaultValue": "a"},
        ],
        "Steps": [
            {
                "Name": "Prepare",
                "Type": "Processing",
                "Arguments": {
                    "AppSpecification": {"ImageUri": "image:1"},
                    "ProcessingInputs": [
                        {"InputName": "code", "S3Input": {"S3Uri": "s3://bucket/code/0a1b/prepare.py"}},
                    ],
                    "ProcessingOutputConfig": {
                        "Outputs": [{"OutputName": "train", "S3Output": {"S3Uri": output}}],
                    },
                    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
                },
                "CacheConfig": prepare_cache,
            },
            {
                "Name": "Train",
                "Type": "Training",
                "Arguments": {
                    "HyperParameters": {
                        "max_depth": {"Std:Join": {"On": "", "Values": [{"Get": "Parameters.Depth"}]}},
                        "eta": "0.1",
                    },
                    "InputDataConfig": [
                        {
                            "ChannelName": "train",
                            "Uri": {
                                "Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri",
                            },
                        }
                    ],
                },
                "CacheConfig": CACHED,
            },
            {
                "Name": "Score",
                "Type": "Transform",
                "Arguments": {
                    "ModelName": "m",
                    "TransformInput": {"Uri": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}},
                },
                "CacheConfig": CACHED,
            },
        ],
    }


def forecast(old: Any, new: Any) -> dict[str, tuple[str, tuple[str, ...]]]:
    before = None if old is None else parse_definition(old)
    return {item.step: (item.outcome, item.reasons) for item in forecast_cache(before, parse_definition(new))}


def arguments(document: Any, index: int) -> Any:
    return document["Steps"][index]["Arguments"]


HIT = ("hit", ("if it succeeded within P30D",))


def test_an_unchanged_pipeline_takes_everything_from_the_cache() -> None:
    assert forecast(make(), make()) == {"Prepare": HIT, "Train": HIT, "Score": HIT}


def test_what_does_not_count_changes_nothing() -> None:
    new = make()
    arguments(new, 0)["StoppingCondition"] = {"MaxRuntimeInSeconds": 600}
    arguments(new, 0)["RoleArn"] = "arn:aws:iam::123456789012:role/Other"
    arguments(new, 1)["ResourceConfig"] = {"InstanceType": "ml.m5.4xlarge"}
    assert forecast(make(), new) == {"Prepare": HIT, "Train": HIT, "Score": HIT}


def test_changed_code_runs_its_step_again_and_those_that_read_what_moves() -> None:
    new = make()
    arguments(new, 0)["ProcessingInputs"][0]["S3Input"]["S3Uri"] = "s3://bucket/code/9f8e/prepare.py"
    assert forecast(make(), new) == {
        "Prepare": ("miss", ("ProcessingInputs.code.S3Input.S3Uri was changed",)),
        "Train": HIT,  # the output goes to a fixed place, and places are what SageMaker compares
        "Score": HIT,
    }
    old = make(output=PER_RUN)
    arguments(new, 0)["ProcessingOutputConfig"] = arguments(old, 0)["ProcessingOutputConfig"]
    result = forecast(old, new)
    reference = "Steps.Prepare.ProcessingOutputConfig.Outputs.train.S3Output.S3Uri"
    assert result["Train"] == (
        "miss",
        (f"InputDataConfig[0].Uri: {reference} comes from 'Prepare', which runs again",),
    )
    assert result["Score"] == (
        "miss",
        ("TransformInput.Uri: Steps.Train.ModelArtifacts.S3ModelArtifacts comes from 'Train', which runs again",),
    )


def test_a_hyperparameter_is_named() -> None:
    new = make()
    arguments(new, 1)["HyperParameters"]["eta"] = "0.2"
    assert forecast(make(), new)["Train"] == ("miss", ("HyperParameters.eta was changed",))


def test_a_changed_default_counts_where_it_is_read() -> None:
    new = make()
    new["Parameters"][0]["DefaultValue"] = 3
    result = forecast(make(), new)
    assert result["Prepare"] == HIT
    assert result["Train"] == ("miss", ("HyperParameters.max_depth: the default of parameter 'Depth' changed",))


def test_an_output_place_made_of_a_parameter_moves_with_its_default() -> None:
    old, new = make(prepare_cache=None), make(prepare_cache=None)
    assert forecast(old, new)["Train"] == HIT
    new["Parameters"][1]["DefaultValue"] = "b"
    assert forecast(old, new)["Train"][0] == "miss"


def test_what_names_the_execution_never_hits() -> None:
    document = make()
    arguments(document, 0)["Environment"] = {"RUN": {"Get": "Execution.PipelineExecutionId"}}
    assert forecast(document, document)["Prepare"] == (
        "miss",
        ("Environment.RUN: Execution.PipelineExecutionId differs in every execution",),
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda old, new: old["Steps"].pop(1) and old["Steps"].pop(1), ("miss", ("the step is new",))),
        (
            lambda old, new: old["Steps"][1].pop("CacheConfig"),
            ("miss", ("its results have not been cached so far",)),
        ),
        (lambda old, new: new["Steps"][1].pop("CacheConfig"), ("off", ("the step does not ask for caching",))),
        (
            lambda old, new: new["Steps"][1].update(Type="AutoML"),
            ("miss", ("the step was of the type Training",)),
        ),
    ],
    ids=["new step", "not cached before", "not cached now", "another type"],
)
def test_steps_without_a_past_are_told(change: Any, expected: Any) -> None:
    old, new = make(), make()
    change(old, new)
    assert forecast(old, new)["Train"] == expected


def test_nothing_deployed_means_nothing_cached() -> None:
    assert {outcome for outcome, _ in forecast(None, make()).values()} == {"miss"}


def test_types_without_published_rules_are_not_guessed() -> None:
    document = copy.deepcopy(make())
    document["Steps"].append(
        {"Name": "Call", "Type": "Lambda", "FunctionArn": "arn:f", "Arguments": {}, "CacheConfig": CACHED}
    )
    assert forecast(document, document)["Call"][0] == "unknown"
