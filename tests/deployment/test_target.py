"""The pipeline as it is to be deployed, from its options: every setting, its tags, and what a policy fills in."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, cast

import pytest

from airflow_sm_pipelines.deployment.options import DeployOptions
from airflow_sm_pipelines.deployment.target import load_target
from airflow_sm_pipelines.exceptions import ArgumentError, DefinitionError

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.deployment.target import PipelineTarget

CALLS = cast("SageMakerCalls", None)
"""Nothing is called for a definition that is given."""
LOG = logging.getLogger("target")
ROLE = "arn:aws:iam::123456789012:role/Mine"
ARGUMENTS = {
    "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
    "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
    "RoleArn": "arn:aws:iam::123456789012:role/SageMaker",
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}
PIPELINE: Any = {
    "Version": "2020-12-01",
    "Steps": [{"Name": "Train", "Type": "Training", "Arguments": ARGUMENTS}],
}


def load(**options: Any) -> PipelineTarget:
    given = {"pipeline": PIPELINE, "folder": "/", "pipeline_name": "p", **options}
    return load_target(CALLS, DeployOptions(**given), log=LOG)


def test_every_option_is_in_what_is_deployed() -> None:
    made = load(
        role_arn=ROLE,
        description="text",
        pipeline_display_name="Shown",
        max_parallel_steps=3,
        tags={"team": "ml", "number": 1},
    )
    assert (made.name, made.role_arn, made.description, made.display_name) == ("p", ROLE, "text", "Shown")
    assert (made.parallelism, made.tags) == ({"MaxParallelExecutionSteps": 3}, {"team": "ml", "number": "1"})
    assert json.loads(made.text) == PIPELINE == made.definition.to_json()
    left_open = load()
    assert (left_open.role_arn, left_open.description, left_open.display_name) == (None, None, None)
    assert (left_open.parallelism, left_open.tags) == (None, {})


@pytest.mark.parametrize("name", [None, "a b"])
def test_a_pipeline_needs_a_name_that_it_may_have(name: str | None) -> None:
    with pytest.raises(ArgumentError, match="pipeline_name is needed" if name is None else "a b"):
        load(pipeline_name=name)


def test_cost_tags_are_in_the_text_that_is_deployed() -> None:
    made = load(cost_tags={"team": "ml"})
    tags = json.loads(made.text)["Steps"][0]["Arguments"]["Tags"]
    assert {"Key": "team", "Value": "ml"} in tags
    assert made.definition.to_json() == json.loads(made.text)


@pytest.fixture
def policy(tmp_path: Path) -> str:
    """A team's policy that asks for isolation of the network."""
    path = tmp_path / "team.toml"
    path.write_text("[network]\nisolation = true\n")
    return str(path)


def test_a_policy_fills_in_the_text_that_is_deployed_and_tells_what(
    policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="target")
    made = load(policy="apply", policy_file=policy)
    assert json.loads(made.text)["Steps"][0]["Arguments"] == {**ARGUMENTS, "EnableNetworkIsolation": True}
    assert made.definition.to_json() == json.loads(made.text)
    (told,) = [record.getMessage() for record in caplog.records if "Filled in" in record.getMessage()]
    assert told.splitlines()[0].startswith("Filled in from ")
    assert "Steps.Train.Arguments.EnableNetworkIsolation" in told
    caplog.clear()
    again = load(pipeline=json.loads(made.text), policy="apply", policy_file=policy)
    assert json.loads(again.text) == json.loads(made.text)
    assert not [record for record in caplog.records if "Filled in" in record.getMessage()]


def test_a_policy_refuses_or_warns_as_the_options_say(policy: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DefinitionError, match="SageMaker, or the policy of the team, would refuse pipeline 'p':"):
        load(policy_file=policy)
    assert json.loads(load(policy="warn", policy_file=policy).text) == PIPELINE
    assert "does not ask for network isolation" in caplog.text
    assert json.loads(load(policy="off", policy_file=policy).text) == PIPELINE
    broken = json.loads(json.dumps(PIPELINE))
    broken["Steps"][0]["Arguments"]["RoleArn"] = "x"
    with pytest.raises(DefinitionError, match=r"^SageMaker would refuse pipeline 'p':"):
        load(pipeline=broken)
