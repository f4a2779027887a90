"""The deploy operator's arguments: what is rendered, and in which forms tags may be given."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_sm_pipelines import SageMakerDeployPipelineOperator
from airflow_sm_pipelines.deployment.options import DeployOptions
from airflow_sm_pipelines.exceptions import ArgumentError
from tests.airflow_objects import FakeTaskInstance, make_context

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
