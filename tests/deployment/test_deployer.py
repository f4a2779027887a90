"""Deployments against an endpoint."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.deployment.deployer import PipelineDeployer
from airflow_sm_pipelines.deployment.options import DeployOptions
from airflow_sm_pipelines.deployment.provenance import Provenance
from airflow_sm_pipelines.deployment.source import load_definition
from airflow_sm_pipelines.exceptions import CompileError
from tests.airflow_fakes import DEFINITION, Fault
from tests.deployment.gate_pipeline import ROLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_sm_pipelines.client.calls import PipelineVersion
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
    from tests.airflow_fakes import FakeSageMaker


LOG: Any = logging.getLogger("test")


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


def test_the_log_of_a_deployment_is_short_whatever_changed(
    fake: FakeSageMaker, hook: SageMakerPipelinesHook, caplog: pytest.LogCaptureFixture
) -> None:
    fake.add_pipeline("q")
    changed = json.loads(json.dumps(DEFINITION))
    changed["Parameters"] += [{"Name": f"P{number}", "Type": "Integer", "DefaultValue": 1} for number in range(30)]
    options = DeployOptions(pipeline=changed, folder="/", pipeline_name="q", aliases=["prod"], policy="off")
    caplog.set_level(logging.INFO, logger="test")
    PipelineDeployer(hook, options, provenance=Provenance("d", "r", "t"), log=LOG).deploy()
    lines = "\n".join(record.getMessage() for record in caplog.records if record.name == "test").splitlines()
    assert len(lines) <= 10
    assert lines[0] == "Changes to pipeline 'q':"
    assert "... and 25 more" in lines
    assert "All changes: sm-pipelines versions q --diff 1 2" in lines
    assert lines[-1].startswith("Pipeline 'q' updated: version 2, aliases prod, arn:")


def test_what_a_script_prints_is_folded_in_the_log(
    tmp_path: Path, hook: SageMakerPipelinesHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_loudly(*_: object, log: Callable[[str], None], **__: object) -> None:
        log("INFO: the SDK says much")
        raise CompileError("The script failed.")

    monkeypatch.setattr("airflow_sm_pipelines.deployment.source.compile_script", compile_loudly)
    options = DeployOptions(pipeline="train.py:get_pipeline", folder=str(tmp_path))
    lines: list[str] = []
    with pytest.raises(CompileError):
        load_definition(hook, options, log=lines.append)
    assert lines == ["::group::Compile train.py:get_pipeline", "INFO: the SDK says much", "::endgroup::"]


@pytest.mark.parametrize("is_done", [True, False], ids=["done", "lost"])
@pytest.mark.parametrize("operation", ["CreatePipeline", "UpdatePipeline"])
def test_a_write_without_an_answer_is_looked_for_and_its_version_names_its_maker(
    fake: FakeSageMaker, hook: SageMakerPipelinesHook, operation: str, is_done: bool
) -> None:
    definition = json.loads(json.dumps(DEFINITION))
    definition["Parameters"][0]["DefaultValue"] = 9
    if operation == "UpdatePipeline":
        fake.add_pipeline("q")
    fake.fail_next(operation, Fault("InternalFailure", 500, is_done_first=is_done))
    options = DeployOptions(pipeline=definition, folder="/", pipeline_name="q", role_arn=ROLE, policy="off")
    made = PipelineDeployer(hook, options, provenance=Provenance("d", "r", "t"), log=LOG).deploy()
    versions = fake.pipelines["q"]["versions"]
    due = {"CreatePipeline": ("created", 1), "UpdatePipeline": ("updated", 2)}[operation]
    assert (made.action, made.version_id) == due
    assert len(versions) == due[1]
    assert versions[-1]["PipelineVersionDisplayName"] == "d-t-r"


def test_a_version_that_could_not_be_named_at_once_is_named_later(
    fake: FakeSageMaker, hook: SageMakerPipelinesHook
) -> None:
    hook.answer_pauses = (0.0,)
    fake.fail_next("UpdatePipelineVersion", Fault("ExpiredTokenException"))
    options = DeployOptions(pipeline=DEFINITION, folder="/", pipeline_name="q", role_arn=ROLE, policy="off")
    PipelineDeployer(hook, options, provenance=Provenance("d", "r", "t"), log=LOG).deploy()
    assert fake.pipelines["q"]["versions"][0]["PipelineVersionDisplayName"] == "d-t-r"
