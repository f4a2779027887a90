"""Members of a request that do not go together."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.policy.member_rules import find_conflicts
from tests.policy.found_lines import findings_of

XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
OWN = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/model:2"
EXPRESSION = {"Get": "Parameters.P"}


def messages(operation: str, request: dict[str, Any]) -> list[str]:
    return [conflict.message for conflict in find_conflicts(operation, request)]


def tuning(image: Any, names: list[Any] | None, **changes: Any) -> dict[str, Any]:
    metrics = {} if names is None else {"MetricDefinitions": [{"Name": name, "Regex": "(.*)"} for name in names]}
    return {
        "HyperParameterTuningJobConfig": {"HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "f1"}},
        "TrainingJobDefinition": {"AlgorithmSpecification": {"TrainingImage": image, **metrics}, **changes},
    }


@pytest.mark.parametrize(
    ("is_spot", "limits", "message"),
    [
        (True, {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}, None),
        (True, {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 59}, r"\(59\) must be equal to or .* \(60\)"),
        (True, {"MaxWaitTimeInSeconds": 3600}, r"\(3600\) must be equal to or greater than .* \(86400\)"),
        (True, {"MaxRuntimeInSeconds": 60}, "must be present"),
        (True, {"MaxRuntimeInSeconds": EXPRESSION, "MaxWaitTimeInSeconds": 1}, None),
        (True, {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": EXPRESSION}, None),
        (False, {"MaxRuntimeInSeconds": 60}, None),
        (EXPRESSION, {"MaxRuntimeInSeconds": 60}, None),
    ],
)
def test_spot_training_needs_its_longest_wait(is_spot: Any, limits: dict[str, Any], message: str | None) -> None:
    request = {"EnableManagedSpotTraining": is_spot, "StoppingCondition": limits}
    found = messages("CreateTrainingJob", request)
    assert len(found) == (message is not None)
    if message:
        with pytest.raises(ValueError, match=message):
            raise ValueError(found[0])
    assert messages("CreateHyperParameterTuningJob", tuning(XGBOOST, None, **request)) == found


@pytest.mark.parametrize(
    ("image", "names", "is_wrong"),
    [
        (OWN, ["f1"], False),
        (OWN, ["f2"], True),
        (OWN, None, True),
        (OWN, ["f2", EXPRESSION], False),
        (XGBOOST, None, False),
        (EXPRESSION, None, False),
        (None, None, False),
    ],
)
def test_the_objective_of_an_own_algorithm_is_one_of_its_metrics(image: Any, names: Any, is_wrong: bool) -> None:
    request = tuning(image, names)
    found = find_conflicts("CreateHyperParameterTuningJob", request)
    assert [conflict.path[-1] for conflict in found] == ["MetricDefinitions"] * is_wrong
    request["TrainingJobDefinitions"] = [request.pop("TrainingJobDefinition")]
    found = find_conflicts("CreateHyperParameterTuningJob", request)
    assert [conflict.path[:2] for conflict in found] == [("TrainingJobDefinitions", 0)] * is_wrong


@pytest.mark.parametrize(
    ("mode", "default", "is_wrong"),
    [
        (None, "File", True),
        ("File", "Pipe", True),
        ("Pipe", "File", False),
        (None, "FastFile", False),
        (EXPRESSION, "File", False),
        (None, EXPRESSION, False),
    ],
)
def test_a_channel_of_file_mode_is_not_unpacked(mode: Any, default: Any, is_wrong: bool) -> None:
    channel = {"ChannelName": "train", "CompressionType": "Gzip", **({"InputMode": mode} if mode else {})}
    plain = {"ChannelName": "test", "CompressionType": "None"}
    request = {"AlgorithmSpecification": {"TrainingInputMode": default}, "InputDataConfig": [plain, channel]}
    said = "Invalid compression type for channel train: File mode only supports NONE, got Gzip instead"
    assert messages("CreateTrainingJob", request) == [said] * is_wrong


@pytest.mark.parametrize(("mode", "is_wrong"), [(None, True), ("File", True), ("Pipe", False), (EXPRESSION, False)])
def test_a_processing_input_is_unpacked_in_pipe_mode_only(mode: Any, is_wrong: bool) -> None:
    source = {"S3CompressionType": "Gzip", **({"S3InputMode": mode} if mode else {})}
    assert len(messages("CreateProcessingJob", {"ProcessingInputs": [{"S3Input": source}]})) == is_wrong
    assert not messages("CreateProcessingJob", {"ProcessingInputs": [{"S3Input": {"S3CompressionType": "None"}}]})


def test_a_versioned_model_package_takes_no_tags() -> None:
    tags = {"Tags": [{"Key": "a", "Value": "b"}]}
    assert messages("CreateModelPackage", {"ModelPackageGroupName": "g", **tags})[0].startswith("A versioned model pac")
    assert not messages("CreateModelPackage", {"ModelPackageGroupName": "g", "Tags": []})
    assert not messages("CreateModelPackage", {"ModelPackageName": "p", **tags})


def test_validate_finds_the_same() -> None:
    spot = {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxRuntimeInSeconds": 60}}
    package = {"ModelPackageGroupName": "g", "Tags": [{"Key": "a", "Value": "b"}]}
    steps = [("Training", spot), ("Tuning", tuning(OWN, ["f2"])), ("RegisterModel", package)]
    document = {"Steps": [{"Name": kind, "Type": kind, "Arguments": value} for kind, value in steps]}
    found = [line for line in findings_of(document) if "MaxWait" in line or "metric is" in line or "versioned" in line]
    assert [line.partition(" ")[0] for line in found] == ["error", "error", "warning"]


@pytest.mark.parametrize(
    ("default", "modes", "is_wrong"),
    [
        ("Pipe", [None, "FastFile"], True),
        ("File", ["Pipe", "FastFile"], True),
        ("File", ["Pipe", None], False),
        (EXPRESSION, ["FastFile", None], False),
    ],
)
def test_channels_are_not_read_in_pipe_and_in_fast_file_mode(default: Any, modes: list[Any], is_wrong: bool) -> None:
    channels = [{"ChannelName": "c", **({"InputMode": mode} if mode else {})} for mode in modes]
    request = {"AlgorithmSpecification": {"TrainingInputMode": default}, "InputDataConfig": channels}
    found = messages("CreateTrainingJob", request)
    expected = "Cannot use both 'Pipe' and 'FastFile' TrainingInputMode on the same Training Job."
    assert found == ([expected] if is_wrong else [])
