"""What a deployment changes: by value, and the arguments of its calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.calls import DeployedPipeline
from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.deployment.changes import plan_update, write_definition
from airflow_sm_pipelines.deployment.target import PipelineTarget
from tests.airflow_fakes import DEFINITION

if TYPE_CHECKING:
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
    from tests.airflow_fakes import FakeSageMaker


ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p"


def target(definition: dict[str, Any] = DEFINITION, **changes: Any) -> PipelineTarget:
    values: dict[str, Any] = {
        "name": "p",
        "text": json.dumps(definition),
        "definition": parse_definition(definition),
        "role_arn": None,
        "description": None,
        "display_name": None,
        "parallelism": None,
        "tags": {},
    }
    return PipelineTarget(**{**values, **changes})


def deployed(definition: dict[str, Any] = DEFINITION, **changes: Any) -> DeployedPipeline:
    values: dict[str, Any] = {
        "name": "p",
        "arn": ARN,
        "definition_text": json.dumps(definition),
        "role_arn": "role",
        "description": "old",
        "display_name": None,
        "parallelism": None,
    }
    return DeployedPipeline(**{**values, **changes})


def test_white_space_and_key_order_change_nothing() -> None:
    shuffled = json.dumps(dict(reversed(list(DEFINITION.items()))), indent=4)
    assert plan_update(target(), deployed(definition_text=shuffled)).is_empty


def test_settings_left_open_change_nothing() -> None:
    plan = plan_update(target(), deployed(description="kept", parallelism={"MaxParallelExecutionSteps": 2}))
    assert plan.is_empty


def test_a_changed_default_is_a_new_version_and_the_log_says_where() -> None:
    changed = json.loads(json.dumps(DEFINITION))
    changed["Parameters"][0]["DefaultValue"] = 4
    plan = plan_update(target(changed), deployed())
    assert plan.has_definition
    assert plan.request == {}
    assert any("MaxDepth" in line or "Parameters" in line for line in plan.lines), plan.lines


def test_a_changed_role_is_written_without_a_new_version() -> None:
    plan = plan_update(target(role_arn="other"), deployed())
    assert not plan.has_definition
    assert plan.request == {"RoleArn": "other"}
    assert plan.lines == ("role: 'role' -> 'other'",)


def test_every_setting_that_changes_is_written_and_told_with_its_name() -> None:
    wanted = {
        "role_arn": "new role",
        "description": "new",
        "display_name": "Shown",
        "parallelism": {"MaxParallelExecutionSteps": 3},
    }
    plan = plan_update(target(**wanted), deployed(parallelism={"MaxParallelExecutionSteps": 2}))
    assert plan.request == {
        "RoleArn": "new role",
        "PipelineDescription": "new",
        "PipelineDisplayName": "Shown",
        "ParallelismConfiguration": {"MaxParallelExecutionSteps": 3},
    }
    assert plan.lines == (
        "role: 'role' -> 'new role'",
        "description: 'old' -> 'new'",
        "display name: None -> 'Shown'",
        "parallelism: {'MaxParallelExecutionSteps': 2} -> {'MaxParallelExecutionSteps': 3}",
    )
    assert plan_update(target(**wanted), deployed(**wanted)).is_empty


def test_parallelism_that_nobody_mentions_survives_an_update() -> None:
    plan = plan_update(target(role_arn="other"), deployed(parallelism={"MaxParallelExecutionSteps": 2}))
    assert plan.request["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 2}


def test_a_deployed_definition_that_cannot_be_read_is_replaced() -> None:
    plan = plan_update(target(), deployed(definition_text="{"))
    assert plan.has_definition
    assert "cannot be read" in plan.lines[0]


def test_a_large_definition_goes_through_s3(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> None:
    assert write_definition(hook, target(), bucket=None, digest="d" * 64) == {
        "PipelineDefinition": json.dumps(DEFINITION)
    }
    large = target(text=json.dumps({**DEFINITION, "Metadata": {"note": "x" * 110_000}}))
    arguments = write_definition(hook, large, bucket="mine", digest="d" * 64)
    place = arguments["PipelineDefinitionS3Location"]
    assert fake.objects[f"{place['Bucket']}/{place['ObjectKey']}"].decode() == large.text
