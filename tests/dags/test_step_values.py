"""Values between steps and child pipelines per item: the examples, unchanged, beside the real local endpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines import step_values
from tests.airflow_runs import connect

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_sm_pipelines.server import RunningServer
    from tests.airflow_runs import DagRunner

pytestmark = pytest.mark.slow


def test_values_of_every_kind_go_from_step_to_step_and_long_ones_by_s3(local: DagRunner, server: RunningServer) -> None:
    result = local.test("data_between_steps")
    assert result.exit_code == 0, result.output[-6000:]
    execution = result.xcom("run", "pipeline_execution_arn").rpartition("/")[2]
    place = f"s3://sagemaker-us-east-1-123456789012/data-between-steps/{execution}"
    assert result.xcom("run", "long") == f"{place}/long.json"
    s3 = connect(server, "s3")

    def read(name: str) -> Any:
        bucket, _, key = f"{place}/{name}".removeprefix("s3://").partition("/")
        return json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])

    assert len(json.dumps(read("long.json"))) > 1024
    assert read("taken/taken.json") == {
        "count": 40,
        "short": [{"alpha": 10.0**-power, "label": f"level {power}"} for power in range(3)],
        "long": {"text": f"{place}/long.json", "size": 40, "last": {"alpha": 10.0**-39, "label": "level 39"}},
        "python": [1, 2, {"three": 3}],
    }
    # A property file's number decided the condition, and became a step's argument.
    assert read("note/note.json") == ["--size", "40"]
    assert result.xcom("run", "taken") == 40
    assert result.xcom("read_values") == [f"level {power}" for power in range(40)]


def test_the_helper_beside_the_step_is_the_packages_own(repository: Path) -> None:
    steps = repository / "dags" / "pipelines" / "data_between_steps" / "steps"
    assert (steps / "step_values.py").read_text() == (repository / "airflow_sm_pipelines/step_values.py").read_text()
    assert step_values.__file__ == str(repository / "airflow_sm_pipelines" / "step_values.py")


def test_a_lambda_step_starts_a_child_pipeline_per_item_and_the_dag_gathers_their_results(
    local: DagRunner, server: RunningServer
) -> None:
    result = local.test("parallel_by_children")
    assert result.exit_code == 0, result.output[-6000:]
    assert result.xcom("put_function")["action"] == "created"
    assert [result.states["child", index] for index in range(3)] == ["success"] * 3
    # mean / (1 + standard deviation), by hand, as in test_practices
    found = {row["name"]: (row["score"], row["execution"]) for row in result.xcom("gather")}
    assert {name: score for name, (score, _) in found.items()} == {"north": 2.202, "south": 1.316, "west": 4.304}
    assert len({execution for _, execution in found.values()}) == 3
    client = connect(server, "sagemaker")
    listed = client.list_pipeline_executions(PipelineName="parallel-child")["PipelineExecutionSummaries"]
    assert {entry["PipelineExecutionArn"] for entry in listed} == {execution for _, execution in found.values()}
    for name, (_, execution) in found.items():
        given = client.list_pipeline_parameters_for_execution(PipelineExecutionArn=execution)["PipelineParameters"]
        (items,) = (json.loads(entry["Value"]) for entry in given if entry["Name"] == "Items")
        assert [item["name"] for item in items] == [name]
