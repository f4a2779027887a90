"""Cleanup steps: what they delete, what they leave, and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.jobs import JobOutcome
from airflow_sm_pipelines.engine.rules.errors import StepError
from airflow_sm_pipelines.engine.steps.cleanup import find_objects
from tests.engine.fake_world import condition, fail, processing, training

if TYPE_CHECKING:
    from tests.engine.fake_world import World


def cleanup(*sources: dict[str, Any], depends_on: Any = ()) -> dict[str, Any]:
    return {
        "Name": "Tidy",
        "Type": "Cleanup",
        "DependsOn": list(depends_on),
        "Arguments": {"Resources": {"S3": list(sources)}},
    }


def writes(world: World, *keys: str) -> Any:
    """A training job that writes objects under its own prefix."""

    def run(spec: Any, *_: Any) -> JobOutcome:
        for key in keys:
            world.put_json(f"s3://bucket/models/{spec.name}/{key}", {})
        return JobOutcome("Completed")

    return run


def test_everything_a_training_step_wrote_goes_and_nothing_else(world: World) -> None:
    world.behaviours["Train"] = writes(world, "output/model.tar.gz", "output/output.tar.gz", "debug/1")
    world.put_json("s3://bucket/models/other/output/model.tar.gz", {})
    arn, status = world.run([training("Train"), cleanup({"StepName": "Train"})])
    assert status == "Succeeded", world.steps(arn)
    assert set(world.objects) == {"s3://bucket/models/other/output/model.tar.gz"}
    assert world.steps(arn)["Tidy"]["Metadata"] == {
        "Cleanup": {"CleanedSteps": ["Train"], "FailedSteps": [], "SkippedSteps": []}
    }


def test_exact_objects_of_a_processing_step_go(world: World) -> None:
    world.put_json("s3://bucket/Work/a.json", {})
    world.put_json("s3://bucket/Work/b.json", {})
    output = {"Get": "Steps.Work.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    uri = {"Std:Join": {"On": "/", "Values": [output, "a.json"]}}
    _, status = world.run([processing("Work"), cleanup({"StepName": "Work", "S3Uris": [uri]})])
    assert (status, set(world.objects)) == ("Succeeded", {"s3://bucket/Work/b.json"})


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"StepName": "Work", "S3Uris": ["s3://bucket/Workshop/a"]}, "is not under an output of step 'Work'"),
        ({"StepName": "Work"}, "only the outputs of a Training step are found without S3Uris"),
    ],
)
def test_what_may_not_be_deleted_fails_the_step_and_the_other_sources_are_cleaned(
    world: World, source: dict[str, Any], says: str
) -> None:
    world.put_json("s3://bucket/Workshop/a", {})
    world.behaviours["Train"] = writes(world, "output/model.tar.gz")
    arn, status = world.run([processing("Work"), training("Train"), cleanup(source, {"StepName": "Train"})])
    assert (status, set(world.objects)) == ("Failed", {"s3://bucket/Workshop/a"})
    found = world.steps(arn)["Tidy"]["Metadata"]["Cleanup"]
    assert found["CleanedSteps"] == ["Train"]
    assert [(entry["StepName"], entry["ErrorCode"]) for entry in found["FailedSteps"]] == [("Work", "ClientError")]
    assert says in found["FailedSteps"][0]["ErrorMessage"]
    assert says in world.steps(arn)["Tidy"]["FailureReason"]


def test_a_network_of_ones_own_is_refused(world: World) -> None:
    network = {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}}
    arn, status = world.run([training("Train", **network), cleanup({"StepName": "Train"})])
    assert status == "Failed"
    assert "VpcConfig" in world.steps(arn)["Tidy"]["FailureReason"]


def test_a_source_without_outputs_is_skipped(world: World) -> None:
    never = [{"Type": "Equals", "LeftValue": 1, "RightValue": 2}]
    arn, status = world.run(
        [
            condition("If", never, then=[], otherwise=[]),
            cleanup({"StepName": "If", "S3Uris": ["s3://bucket/x"]}),
        ]
    )
    found = world.steps(arn)["Tidy"]["Metadata"]["Cleanup"]
    assert status == "Succeeded"
    assert found == {"CleanedSteps": [], "FailedSteps": [], "SkippedSteps": ["If"]}


def test_the_outputs_of_a_failed_step_can_be_cleaned_up_too(world: World) -> None:
    world.behaviours["Train"] = fail
    arn, status = world.run(
        [training("Train"), cleanup({"StepName": "Train"}, depends_on=[{"Step": "Train", "Trigger": "Any"}])]
    )
    assert status == "CompletedWithFailures"
    assert world.steps(arn)["Tidy"]["Metadata"]["Cleanup"]["CleanedSteps"] == ["Train"]


OUTPUTS = {
    "ProcessingOutputConfig": {
        "Outputs": [{"S3Output": {"S3Uri": uri}} for uri in ("s3://b/one", "s3://b/two/", "")] + [{"OutputName": "f"}]
    }
}
TRANSFORM = {"TransformJobName": "t", "TransformOutput": {"S3OutputPath": "s3://b/scored"}}
TRAINING = {"TrainingJobName": "t", "OutputDataConfig": {"S3OutputPath": "s3://b/models"}}


@pytest.mark.parametrize(
    ("properties", "uris", "found"),
    [
        (OUTPUTS, ["s3://b/one/x", "s3://b/two/y/z"], (["s3://b/one/x", "s3://b/two/y/z"], [])),
        (TRANSFORM, ["s3://b/scored/x.out"], (["s3://b/scored/x.out"], [])),
        (TRAINING, ["s3://b/models/t/output/x"], (["s3://b/models/t/output/x"], [])),
        (TRAINING, None, ([], ["s3://b/models/t/"])),
    ],
    ids=["processing", "transform", "training", "all of training"],
)
def test_what_is_to_be_deleted_is_under_the_outputs_of_the_step(properties: Any, uris: Any, found: Any) -> None:
    assert find_objects(properties, uris, step="S") == found


@pytest.mark.parametrize(
    ("properties", "uris", "says"),
    [
        (OUTPUTS, ["s3://b/one"], "s3://b/one is not under an output of step 'S': s3://b/one, s3://b/two/."),
        (
            OUTPUTS,
            ["s3://b/one/x", "s3://b/x"],
            "s3://b/x is not under an output of step 'S': s3://b/one, s3://b/two/.",
        ),
        (TRAINING, ["s3://b/models/u/x"], "s3://b/models/u/x is not under an output of step 'S': s3://b/models/t/."),
        ({}, ["s3://b/x"], "s3://b/x is not under an output of step 'S': it has none."),
        (OUTPUTS, "s3://b/one/x", "S3Uris must be an array of S3 URIs, found 's3://b/one/x'."),
        (OUTPUTS, [1], "S3Uris must be an array of S3 URIs, found [1]."),
        (TRANSFORM, None, "only the outputs of a Training step are found without S3Uris."),
        ({**TRAINING, "VpcConfig": {"Subnets": []}}, None, "a step with a VpcConfig cannot be cleaned up."),
        ({**OUTPUTS, "NetworkConfig": {"VpcConfig": {"a": 1}}}, [], "a step with a VpcConfig cannot be cleaned up."),
    ],
)
def test_what_may_not_be_deleted_is_named(properties: Any, uris: Any, says: str) -> None:
    with pytest.raises(StepError) as refused:
        find_objects(properties, uris, step="S")
    assert str(refused.value) == says
