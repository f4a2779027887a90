"""The deploy operator's arguments: what is rendered, and in which forms tags may be given."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_sm_pipelines import SageMakerDeployPipelineOperator
from airflow_sm_pipelines.airflow_task import lineage
from airflow_sm_pipelines.airflow_task.task_identity import read_provenance
from airflow_sm_pipelines.deployment import deployer as deployer_module
from airflow_sm_pipelines.deployment.options import DeployOptions
from airflow_sm_pipelines.exceptions import ArgumentError
from airflow_sm_pipelines.links import addresses
from airflow_sm_pipelines.links.buttons import SageMakerPipelineLink
from tests.airflow_objects import FakeTaskInstance, make_context

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "Dear {{ customer }}, {% raw %}x{% endraw %} {# y #}"
DEFINITION = {"Version": "2020-12-01", "Steps": [{"Name": "Tell", "Arguments": [TEXT, {"inner": TEXT}]}]}


class LateValue:
    """What an XCom is to Airflow: resolved when the task runs."""

    def iter_references(self) -> Any:
        return iter(())

    def resolve(self, context: Any) -> str:
        assert context["name"] == "p"
        return TEXT


def rendered(pipeline: Any, **context: Any) -> Any:
    operator = SageMakerDeployPipelineOperator(task_id="d", pipeline=pipeline, pipeline_name="{{ name }}")
    operator.render_template_fields({"name": "p", **context})  # type: ignore[typeddict-item]
    assert operator.pipeline_name == "p"
    return operator.pipeline


@pytest.mark.parametrize("pipeline", [DEFINITION, json.dumps(DEFINITION), f"\n {json.dumps(DEFINITION)}"])
def test_a_definition_is_never_rendered(pipeline: Any) -> None:
    assert rendered(pipeline) == pipeline
    assert rendered(pipeline, customer="somebody") == pipeline


def test_xcoms_in_a_definition_are_resolved_and_what_they_give_is_not_rendered() -> None:
    assert rendered({"Steps": [{"Name": LateValue()}]}) == {"Steps": [{"Name": TEXT}]}


@pytest.mark.parametrize("template", ["{{ which }}", " {{ which }}", "{% if which %}{{ which }}{% endif %}"])
def test_a_template_of_a_path_is_rendered(template: str) -> None:
    assert rendered(template, which="pipelines/p.json").strip() == "pipelines/p.json"


def test_a_definition_is_not_rendered_in_a_mapped_task() -> None:
    with DAG("d", schedule=None) as dag:
        SageMakerDeployPipelineOperator.partial(task_id="t", pipeline=DEFINITION, role_arn="{{ role }}").expand(
            pipeline_name=["a", "b"]
        )
    mapped = dag.task_dict["t"]
    context = make_context(FakeTaskInstance(map_index=1), role="r", dag=dag)
    mapped.render_template_fields(context)
    task = context["task"]
    assert (task.pipeline, task.pipeline_name, task.role_arn) == (DEFINITION, "b", "r")


@pytest.mark.parametrize("tags", [{"team": "risk"}, [{"Key": "team", "Value": "risk"}], None])
def test_tags_in_each_form_are_taken(tags: Any) -> None:
    DeployOptions(pipeline=DEFINITION, tags=tags, cost_tags=tags).check()


@pytest.mark.parametrize("tags", [{"Key": "team", "Value": "risk"}, [{"Name": "a", "Value": "b"}], ["a=b"], "a=b", 1])
def test_tags_in_another_form_are_refused_by_name(tags: Any) -> None:
    with pytest.raises(ArgumentError, match=r"(?s)tags=.*cost_tags="):
        DeployOptions(pipeline=DEFINITION, tags=tags, cost_tags=tags).check()


def test_the_options_and_the_task_reach_the_deployer_and_what_it_did_is_shown_and_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, xcoms: dict[tuple[Any, ...], Any]
) -> None:
    made: list[Any] = []
    deployment = SimpleNamespace(pipeline_arn="arn:p", to_json=lambda: {"action": "created"})

    def deployer(*given: Any, **named: Any) -> Any:
        made.append((*given, named))
        return SimpleNamespace(deploy=lambda: deployment)

    def links(*given: Any, **named: Any) -> dict[str, str]:
        assert (given, named) == (
            ("hook",), {"pipeline": "arn:p", "execution_arn": None, "studio_domain_id": "d-abcdefghij"},
        )  # fmt: skip
        return {SageMakerPipelineLink.key: "https://p"}

    monkeypatch.setattr(deployer_module, "PipelineDeployer", deployer)
    monkeypatch.setattr(addresses, "resolve_pipeline_links", links)
    monkeypatch.setattr(lineage, "make_deploy_lineage", lambda *given, **named: (given, named))
    monkeypatch.setattr(lineage, "make_no_lineage", lambda: "none")
    with DAG("d", schedule=None) as dag:
        operator = SageMakerDeployPipelineOperator(
            task_id="t", pipeline=DEFINITION, pipeline_name="p", aliases=["prod"], cache="false",  # type: ignore[arg-type]
            studio_domain_id="d-abcdefghij",
        )  # fmt: skip
    dag.fileloc = str(tmp_path / "dag.py")
    monkeypatch.setattr(operator, "make_hook", lambda: "hook")
    assert operator.get_openlineage_facets_on_complete(None) == "none"
    context = make_context(FakeTaskInstance(map_index=3))
    assert operator.execute(context) == {"action": "created"}
    ((hook, options, named),) = made
    assert (hook, named["log"]) == ("hook", operator.log)
    assert options == DeployOptions(
        pipeline=DEFINITION, folder=str(tmp_path), pipeline_name="p", aliases=["prod"], cache=False
    )
    assert named["provenance"] == read_provenance(context, code=tmp_path / "dag.py")
    assert xcoms == {("d", "r", "t", 3, SageMakerPipelineLink.key): "https://p"}
    assert operator.get_openlineage_facets_on_complete(None) == ((deployment,), {"url": "https://p"})
