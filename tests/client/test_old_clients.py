"""A boto3 that Airflow's constraints hold back: what it does not know is refused where it is used, and never sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
import pytest
from botocore.loaders import Loader

from airflow_sm_pipelines.client.answers import ask
from airflow_sm_pipelines.client.calls import SageMakerCalls
from airflow_sm_pipelines.client.old_clients import ALIASES_VERSION
from airflow_sm_pipelines.deployment.aliases import promote, roll_back
from airflow_sm_pipelines.deployment.deployer import PipelineDeployer
from airflow_sm_pipelines.deployment.options import DeployOptions
from airflow_sm_pipelines.exceptions import OldClientError
from airflow_sm_pipelines.service_model.api_model import read_installed_model

if TYPE_CHECKING:
    from pathlib import Path

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p"


class OldCalls(SageMakerCalls):
    """Calls through a client that sends nothing: a call that gets so far fails the test."""

    def __init__(self, client: Any) -> None:
        self.conn = client


@pytest.fixture(scope="module")
def old_client(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A client with the model of the time before aliases; it also lacks one operation and one other member."""
    model: Any = json.loads(json.dumps(read_installed_model()))
    for shape in model["shapes"].values():
        for member in [name for name in shape.get("members", {}) if name.startswith("PipelineVersionAlias")]:
            del shape["members"][member]
    del model["operations"]["ListPipelineVersions"]
    del model["shapes"]["StartPipelineExecutionRequest"]["members"]["SelectiveExecutionConfig"]
    folder: Path = tmp_path_factory.mktemp("models")
    path = folder / "sagemaker" / "2017-07-24" / "service-2.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(model))
    session = botocore.session.get_session()
    session.register_component("data_loader", Loader(extra_search_paths=[str(folder)]))
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    client = boto3.Session(botocore_session=session, **keys).client("sagemaker")

    def fail(**_: Any) -> None:
        raise AssertionError("a request was sent")

    client.meta.events.register("before-send.sagemaker.*", fail)
    return client


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda calls: calls.describe_pipeline("p", version="prod"), "DescribePipeline with PipelineVersionAlias"),
        (lambda calls: calls.update_version_aliases(ARN, 1, add=["prod"]), "PipelineVersionAliasOperations"),
        (lambda calls: promote(calls, "p", version=2, alias="prod", log=None), "aliases of pipeline versions"),  # type: ignore[arg-type]
        (lambda calls: roll_back(calls, "p", alias="prod", log=None), "aliases of pipeline versions"),  # type: ignore[arg-type]
    ],
    ids=["run", "move", "promote", "roll back"],
)
def test_aliases_are_refused_and_the_boto3_that_has_them_is_named(old_client: Any, call: Any, named: str) -> None:
    with pytest.raises(OldClientError, match=named) as told:
        call(OldCalls(old_client))
    assert told.value.is_final
    assert str(told.value).startswith(f"boto3 {ALIASES_VERSION} or later is needed for ")
    assert "by their ids" in str(told.value)


def test_a_deployment_with_aliases_is_refused_before_it_writes(old_client: Any) -> None:
    options = DeployOptions(pipeline={"Version": "2020-12-01", "Steps": []}, aliases=["prod"])
    with pytest.raises(OldClientError):
        PipelineDeployer(OldCalls(old_client), options, provenance=None, log=None).deploy()  # type: ignore[arg-type]


def test_an_operation_and_a_member_that_the_carried_model_has_are_named(old_client: Any) -> None:
    with pytest.raises(OldClientError, match="needed for ListPipelineVersions;"):
        ask(old_client, "list_pipeline_versions", "p", PipelineName="p")
    with pytest.raises(OldClientError, match="needed for StartPipelineExecution with SelectiveExecutionConfig;"):
        ask(old_client, "start_pipeline_execution", "p", PipelineName="p", SelectiveExecutionConfig={})


def test_what_nobody_knows_is_left_to_botocore(old_client: Any) -> None:
    from airflow_sm_pipelines.exceptions import PipelineRequestError

    with pytest.raises(PipelineRequestError, match="ParamValidationError"):
        ask(old_client, "describe_pipeline", "p", PipelineName="p", Nonsense=1)
    with pytest.raises(KeyError, match="describe_nonsense"):
        ask(old_client, "describe_nonsense", "p")
