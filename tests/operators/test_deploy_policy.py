"""The deploy operator holds a team's policy: it refuses before any write, or fills in what is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.airflow_fakes import DEFINITION

if TYPE_CHECKING:
    from tests.airflow_fakes import FakeSageMaker
    from tests.airflow_runs import DagRunner

pytestmark = pytest.mark.slow

DAG_FILE = """
from airflow.sdk import DAG
from airflow_sm_pipelines import SageMakerDeployPipelineOperator

with DAG("governed", schedule=None):
    common = {"pipeline": "train.json", "role_arn": "arn:aws:iam::123456789012:role/Sage", "retries": 3}
    SageMakerDeployPipelineOperator(task_id="refused", pipeline_name="a", policy_file="team.toml", **common)
    SageMakerDeployPipelineOperator(
        task_id="filled_in", pipeline_name="b", policy_file="team.toml", policy="apply", **common
    )
    SageMakerDeployPipelineOperator(
        task_id="warned", pipeline_name="c", policy_file="team.toml", policy="warn", **common
    )
    tagged = SageMakerDeployPipelineOperator(
        task_id="tagged", pipeline_name="e", policy_file="team.toml", cost_tags={"team": "{{ dag.dag_id }}"},
        policy="warn", **common
    )
    again = SageMakerDeployPipelineOperator(
        task_id="again", pipeline_name="e", policy_file="team.toml", cost_tags={"team": "{{ dag.dag_id }}"},
        policy="warn", **common
    )
    tagged >> again
    SageMakerDeployPipelineOperator(
        task_id="other_role", pipeline_name="f", policy_file="team.toml", policy="apply",
        **{**common, "role_arn": "arn:aws:iam::123456789012:role/Admin"},
    )
    SageMakerDeployPipelineOperator(task_id="no_policy", pipeline_name="d", policy_file="gone.toml", **common)
"""

POLICY = """
[network]
isolation = true
[roles]
allowed = ["arn:aws:iam::123456789012:role/Sage*"]
[tags]
required = "team"
defaults = { team = "forecasting" }
"""


def test_a_policy_refuses_fills_in_or_warns(fake: FakeSageMaker, dag_runner: DagRunner) -> None:
    dag_runner.write("governed.py", DAG_FILE)
    dag_runner.write("team.toml", POLICY)
    dag_runner.write("train.json", json.dumps(DEFINITION))

    result = dag_runner.test("governed")

    assert result.states == {
        "refused": "failed",
        "filled_in": "success",
        "warned": "success",
        "tagged": "success",
        "again": "success",
        "other_role": "failed",
        "no_policy": "failed",
    }, result.output[-4000:]
    assert sorted(fake.pipelines) == ["b", "c", "e"]
    assert "does not ask for network isolation" in result.output
    assert "gone.toml cannot be read" in result.output
    assert "role/Admin' is not allowed" in result.output
    deployed = {name: json.loads(fake.pipelines[name]["versions"][0]["definition"]) for name in "bce"}
    jobs = [step for step in deployed["b"]["Steps"] if step["Type"] == "Training"]
    assert jobs
    assert all(step["Arguments"]["EnableNetworkIsolation"] is True for step in jobs)
    assert all(step["Arguments"]["Tags"] == [{"Key": "team", "Value": "forecasting"}] for step in jobs)
    assert deployed["c"] == DEFINITION
    (train,) = [step for step in deployed["e"]["Steps"] if step["Type"] == "Training"]
    tags = {tag["Key"]: tag["Value"] for tag in train["Arguments"]["Tags"]}
    assert tags["team"] == "governed"
    assert tags["sm-pipelines:run"] == {"Get": "Parameters.AirflowRunId"}
    assert result.xcom("again", "action") == "unchanged", "cost tags make no version"
