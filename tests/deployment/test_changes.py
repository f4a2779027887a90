"""What a deployment changes: by value, and against an endpoint for the aliases."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.client.calls import DeployedPipeline, PipelineVersion
from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.deployment.changes import (
    AliasMove,
    PipelineTarget,
    make_definition_arguments,
    move_aliases,
    plan_alias_moves,
    plan_update,
)
from airflow_sm_pipelines.deployment.deployer import PipelineDeployer
from airflow_sm_pipelines.deployment.provenance import Provenance
from airflow_sm_pipelines.deployment.source import SourceKind, parse_source, resolve_path
from airflow_sm_pipelines.deployment.target import DeployOptions
from airflow_sm_pipelines.exceptions import DefinitionError, PipelineApiError
from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook
from tests.airflow_fakes import DEFINITION, Fault, Refusal, aws_environment

if TYPE_CHECKING:
    from tests.airflow_fakes import FakeSageMaker

LOG: Any = logging.getLogger("test")
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


def test_parallelism_that_nobody_mentions_survives_an_update() -> None:
    plan = plan_update(target(role_arn="other"), deployed(parallelism={"MaxParallelExecutionSteps": 2}))
    assert plan.request["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 2}


def test_a_deployed_definition_that_cannot_be_read_is_replaced() -> None:
    plan = plan_update(target(), deployed(definition_text="{"))
    assert plan.has_definition
    assert "cannot be read" in plan.lines[0]


def test_only_aliases_that_point_elsewhere_are_moved() -> None:
    versions = [PipelineVersion(3, ("staging",)), PipelineVersion(2, ("prod", "blue"))]
    moves = plan_alias_moves(["staging", "prod", "new", "prod"], version_id=3, versions=versions)
    assert moves == (AliasMove("prod", 2), AliasMove("new", None))


@pytest.fixture
def hook(fake: FakeSageMaker, endpoint: tuple[Any, str], monkeypatch: pytest.MonkeyPatch) -> SageMakerPipelinesHook:
    """A hook on the fake, with pipeline ``p`` of three versions; ``prod`` is version 1, ``staging`` version 2."""
    for name, value in aws_environment(endpoint[1]).items():
        monkeypatch.setenv(name, value)
    fake.add_pipeline("p")
    one = SageMakerPipelinesHook(aws_conn_id=None, config={"retries": {"max_attempts": 0}})
    for _ in range(2):
        one.update_pipeline("p", PipelineDefinition="{}")
    one.update_version_aliases(ARN, 1, add=["prod"])
    one.update_version_aliases(ARN, 2, add=["staging"])
    return one


def aliases(hook: SageMakerPipelinesHook) -> dict[int, tuple[str, ...]]:
    return {version.id: version.aliases for version in hook.list_versions("p")}


def test_an_alias_is_taken_from_its_holder_and_given_to_the_version(hook: SageMakerPipelinesHook) -> None:
    moves = (AliasMove("prod", 1), AliasMove("staging", 2), AliasMove("new", None))
    move_aliases(hook, pipeline_arn=ARN, version_id=3, moves=moves, log=LOG)
    assert aliases(hook) == {3: ("prod", "staging", "new"), 2: (), 1: ()}


def test_aliases_are_given_back_when_the_move_fails_halfway(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> None:
    original = fake.op_UpdatePipelineVersion

    def refuse_version_3(request: dict[str, Any]) -> dict[str, Any]:
        if request["PipelineVersionId"] == 3:
            raise Refusal("ConflictException", "not now")
        return original(request)

    fake.op_UpdatePipelineVersion = refuse_version_3  # type: ignore[method-assign]
    with pytest.raises(PipelineApiError):
        move_aliases(
            hook, pipeline_arn=ARN, version_id=3, moves=(AliasMove("prod", 1), AliasMove("staging", 2)), log=LOG
        )
    assert aliases(hook) == {3: (), 2: ("staging",), 1: ("prod",)}


def test_aliases_stay_when_the_first_step_is_refused(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> None:
    fake.fail_next("UpdatePipelineVersion", Fault("AccessDeniedException"))
    with pytest.raises(PipelineApiError):
        move_aliases(hook, pipeline_arn=ARN, version_id=3, moves=(AliasMove("prod", 1),), log=LOG)
    assert aliases(hook) == {3: (), 2: ("staging",), 1: ("prod",)}


def test_a_large_definition_goes_through_s3(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> None:
    assert make_definition_arguments(hook, target(), bucket=None, digest="d" * 64) == {
        "PipelineDefinition": json.dumps(DEFINITION)
    }
    large = target(text=json.dumps({**DEFINITION, "Metadata": {"note": "x" * 110_000}}))
    arguments = make_definition_arguments(hook, large, bucket="mine", digest="d" * 64)
    place = arguments["PipelineDefinitionS3Location"]
    assert fake.objects[f"{place['Bucket']}/{place['ObjectKey']}"].decode() == large.text


@pytest.mark.parametrize(
    ("pipeline", "kind"),
    [
        ({"Version": "2020-12-01"}, SourceKind.DOCUMENT),
        (' {"Version": "2020-12-01"}', SourceKind.TEXT),
        ("s3://bucket/key.json", SourceKind.S3),
        ("pipelines/train.py:get_pipeline", SourceKind.SCRIPT),
        ("/a/b.json", SourceKind.FILE),
    ],
)
def test_the_form_of_a_source_is_seen(pipeline: Any, kind: SourceKind) -> None:
    assert parse_source(pipeline) is kind


@pytest.mark.parametrize(("pipeline", "words"), [("train.py", "names no function"), ("", "must be"), (3, "found 3")])
def test_what_is_no_source_is_refused(pipeline: Any, words: str) -> None:
    with pytest.raises(DefinitionError, match=words):
        parse_source(pipeline)


def test_relative_paths_start_at_the_dag_files_folder() -> None:
    assert str(resolve_path("p/x.json", folder="/dags")) == "/dags/p/x.json"
    assert str(resolve_path("/abs/x.json", folder="/dags")) == "/abs/x.json"


def test_what_somebody_deploys_at_the_same_moment_is_not_taken_for_ones_own(
    fake: FakeSageMaker, hook: SageMakerPipelinesHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add_pipeline("q")
    theirs = json.loads(json.dumps(DEFINITION))
    theirs["Parameters"][0]["DefaultValue"] = 9
    list_versions = hook.list_versions

    def list_then_lose_the_race(name: str) -> list[PipelineVersion]:
        found = list_versions(name)
        fake.op_UpdatePipeline({"PipelineName": "q", "PipelineDefinition": json.dumps(theirs)})
        return found

    monkeypatch.setattr(hook, "list_versions", list_then_lose_the_race)
    options = DeployOptions(pipeline=DEFINITION, folder="/", pipeline_name="q")
    made = PipelineDeployer(hook, options, provenance=Provenance("d", "r", "t"), log=LOG).deploy()
    assert (made.action, made.version_id) == ("unchanged", 1)
    assert len(fake.pipelines["q"]["versions"]) == 2
