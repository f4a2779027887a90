"""Deployments against an endpoint."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.deployment.deployer import PipelineDeployer
from airflow_sm_pipelines.deployment.options import DeployOptions
from airflow_sm_pipelines.deployment.provenance import Provenance
from tests.airflow_fakes import DEFINITION

if TYPE_CHECKING:
    import pytest

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
