"""The names of planned pipelines."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sm_pipelines.client.valid_names import MAX_PIPELINE_NAME, is_pipeline_name
from airflow_sm_pipelines.migrate.dag_plan import dag
from airflow_sm_pipelines.migrate.workflow import Workflow
from tests.migrate.workflows import step


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="aZ9-_. é", max_size=12) | st.sampled_from(["_" * 300, "a_" * 150, "-" * 9]))
def test_a_planned_pipeline_has_a_name_that_the_api_takes(workflow: str) -> None:
    plan = dag.plan_dag(Workflow(workflow, (step("A"), step("B", "A")), ()))
    assert plan.pipelines
    assert all(is_pipeline_name(pipeline.name) for pipeline in plan.pipelines.values())
    assert dag.MAX_PIPELINE_NAME <= MAX_PIPELINE_NAME
