"""The deploy operator in a real Airflow: created, unchanged, updated; JSON-safe XComs; refusals before any write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.airflow_fakes import DEFINITION, Fault

if TYPE_CHECKING:
    from tests.airflow_fakes import FakeSageMaker
    from tests.airflow_runs import DagRunner

pytestmark = pytest.mark.slow

DAG_FILE = """
from datetime import timedelta

from airflow.sdk import DAG, chain, task
from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator, pipeline_params

with DAG("deploying", schedule=None, params=pipeline_params("definitions/train.json")) as dag:
    common = {"pipeline_name": "p", "role_arn": "arn:aws:iam::123456789012:role/Sage", "aliases": ["staging"]}
    create = SageMakerDeployPipelineOperator(task_id="create", pipeline="definitions/train.json", **common)
    same = SageMakerDeployPipelineOperator(
        task_id="same", pipeline="definitions/train.json", trigger_rule="all_done", **common
    )
    changed = SageMakerDeployPipelineOperator(
        task_id="changed", pipeline="s3://bucket/changed.json", tags={"team": "ml"}, **common
    )
    run = SageMakerRunPipelineOperator(
        task_id="run",
        pipeline_name=changed.output["pipeline_name"],
        version=changed.output["pipeline_version_id"],
        parameters={"MaxDepth": "{{ params.MaxDepth }}", "Mode": "slow"},
        outputs={
            "metric": "Steps.Train.FinalMetricDataList['validation:rmse'].Value",
            "gone": {"property": "Steps.Train.Nothing", "required": False},
        },
    )
    wrong = SageMakerDeployPipelineOperator(
        task_id="wrong", pipeline="definitions/wrong.json", pipeline_name="q", retries=3, trigger_rule="all_done"
    )
    bad_parameter = SageMakerRunPipelineOperator(
        task_id="bad_parameter", pipeline_name="p", parameters={"MaxDeth": 1, "Mode": "medium"}, retries=3,
        trigger_rule="all_done",
    )

    refused = [
        SageMakerRunPipelineOperator(
            task_id=name, pipeline_name="r", retries=1, retry_delay=timedelta(0), trigger_rule="all_done"
        )
        for name in ("denied", "invalid", "quota")
    ]

    @task
    def read(metric, everything):
        return [metric, everything["status"], everything["gone"]]

    read(run.output["metric"], run.output)
    chain(create, *refused, same, changed, run, wrong, bad_parameter)
"""


def test_deploying_writes_only_what_changed(fake: FakeSageMaker, dag_runner: DagRunner) -> None:
    changed = json.loads(json.dumps(DEFINITION))
    changed["Parameters"][0]["DefaultValue"] = 4
    wrong = json.loads(json.dumps(DEFINITION))
    wrong["Steps"][1]["DependsOn"] = ["Trian"]
    dag_runner.write("deploying.py", DAG_FILE)
    dag_runner.write("definitions/train.json", json.dumps(DEFINITION, indent=1))
    dag_runner.write("definitions/wrong.json", json.dumps(wrong, indent=1))
    fake.objects["bucket/changed.json"] = json.dumps(changed).encode()
    fake.add_pipeline("r")
    for code in ("AccessDeniedException", "ValidationException", "ResourceLimitExceeded"):
        fake.fail_next("StartPipelineExecution", Fault(code))

    result = dag_runner.test("deploying", conf={"MaxDepth": 7})

    actions = {task: result.xcoms.get((task, "action")) for task in ("create", "same", "changed")}
    assert actions == {"create": "created", "same": "unchanged", "changed": "updated"}, result.output[-4000:]
    assert result.xcom("same", "pipeline_version_id") == 1
    assert result.xcom("changed", "pipeline_version_id") == 2
    assert fake.count("CreatePipeline") == fake.count("UpdatePipeline") == 1
    assert [version["aliases"] for version in fake.pipelines["p"]["versions"]] == [[], ["staging"]]
    first, second = fake.pipelines["p"]["versions"]
    assert first["PipelineVersionDisplayName"].startswith("deploying-create-manual-")
    assert first["PipelineVersionDescription"].startswith("Deployed by Airflow: DAG deploying, run manual__")
    assert second["PipelineVersionDescription"].endswith(", task changed")
    assert fake.pipelines["p"]["Tags"] == [{"Key": "team", "Value": "ml"}]

    (execution,) = fake.executions_of("p")
    assert execution.request["PipelineVersionId"] == 2
    assert execution.request["PipelineParameters"] == [
        {"Name": "MaxDepth", "Value": "7"},
        {"Name": "Mode", "Value": "slow"},
    ]
    assert result.xcom("read") == [4.5, "Succeeded", None]
    assert "Output 'gone' could not be read from step 'Train': it has no property 'Nothing'" in result.output

    # What no retry can mend is not retried; a full quota is.
    assert [result.states[name] for name in ("denied", "invalid", "quota")] == ["failed", "failed", "success"]
    starts = [request for request in fake.requests("StartPipelineExecution") if request["PipelineName"] == "r"]
    assert len(starts) == 4
    assert len(fake.executions_of("r")) == 1

    assert result.states["wrong"] == result.states["bad_parameter"] == "failed"
    assert "Did you mean 'Train'" in result.output
    assert "Did you mean 'MaxDepth'" in result.output, result.output[-6000:]
    assert "'medium'" in result.output
    assert "q" not in fake.pipelines
    assert result.exit_code == 1
