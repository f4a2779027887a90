"""Mapped runs in a whole Airflow: what each shows while it is deferred, and that a retry takes up its own execution."""

from __future__ import annotations

import json
import urllib.error
from typing import TYPE_CHECKING, Any

import pytest

from tests.airflow_fakes import SUCCEEDED_STEPS, aws_environment
from tests.system.cluster import AirflowCluster

if TYPE_CHECKING:
    from pathlib import Path

    from tests.airflow_fakes import Execution, FakeSageMaker

pytestmark = pytest.mark.slow

DAG_FILE = """
from datetime import timedelta

from airflow.sdk import DAG

from airflow_sm_pipelines import SageMakerRunPipelineOperator

with DAG("mapped_runs", schedule=None):
    SageMakerRunPipelineOperator.partial(
        task_id="run",
        pipeline_name="p",
        outputs={"model": "Steps.Train.ModelArtifacts.S3ModelArtifacts"},
        deferrable=True,
        stream_logs=True,
        progress_delay=1,
        waiter_delay=1,
        retries=3,
        retry_delay=timedelta(seconds=1),
    ).expand(parameters=[{"MaxDepth": depth} for depth in (1, 2, 3)])
"""
RUNNING = [{**SUCCEEDED_STEPS[0], "StepStatus": "Executing", "EndTime": None}]


def test_each_index_has_its_execution_steps_logs_and_links(endpoint: tuple[FakeSageMaker, str], tmp_path: Path) -> None:
    fake, url = endpoint
    fake.add_pipeline("p")
    fake.by_pipeline["p"] = (["Executing"], RUNNING[:0], None)
    fake.log_lines = ["epoch 1"]
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "mapped_runs.py").write_text(DAG_FILE)
    environment = {**aws_environment(url), "SM_PIPELINES_CONSOLE_URL": "http://127.0.0.1:9/console"}

    with AirflowCluster(tmp_path / "home", dags=dags, environment=environment) as cluster:
        run_id = cluster.trigger("mapped_runs", {})
        path = f"/dags/mapped_runs/dagRuns/{run_id}/taskInstances"

        def instances() -> list[dict[str, Any]]:
            found = cluster.call("GET", f"{path}/run/listMapped")["task_instances"]
            return sorted(found, key=lambda one: int(one["map_index"]))

        def states() -> list[str]:
            return [one["state"] for one in instances()]

        def xcom(key: str, index: int) -> Any:
            try:
                found = cluster.call("GET", f"{path}/run/xcomEntries/{key}?map_index={index}&deserialize=true")
            except urllib.error.HTTPError as error:
                if error.code != 404:
                    raise
                return None
            value = found["value"]
            return json.loads(value) if isinstance(value, str) and value[:1] in "[{" else value

        def log(index: int, attempt: int) -> str:
            return json.dumps(cluster.call("GET", f"{path}/run/logs/{attempt}?map_index={index}&full_content=true"))

        cluster.wait_for(
            lambda: len(fake.executions) == 3 and states() == ["deferred"] * 3, "three waits", timeout_seconds=240
        )
        by_index = [find(fake, str(depth)) for depth in (1, 2, 3)]
        assert [xcom("pipeline_execution_arn", index) for index in range(3)] == [one.arn for one in by_index]
        for index, execution in enumerate(by_index):
            links = cluster.call("GET", f"{path}/run/links?map_index={index}")["extra_links"]
            assert links["SageMaker execution"].endswith(f"/executions/{execution.arn.rpartition('/')[2]}")

        # While it is deferred: a step begins, and one index tells so, by its XCom and its log.
        by_index[1].steps = RUNNING
        cluster.wait_for(lambda: xcom("steps", 1), "the steps of one index to be pushed", timeout_seconds=90)
        assert [(step["name"], step["status"]) for step in xcom("steps", 1)] == [("Train", "Executing")]
        assert not xcom("steps", 0)
        assert states() == ["deferred"] * 3
        attempt = instances()[1]["try_number"]
        cluster.wait_for(
            lambda: "[Train algo-1-1] epoch 1" in log(1, attempt), "the line in the UI", timeout_seconds=90
        )

        # One fails, and its retry resumes its own execution; the lines shown before are not shown again.
        for execution in (by_index[0], by_index[2]):
            execution.steps, execution.statuses = SUCCEEDED_STEPS, ["Succeeded"]
        fake.log_lines = ["epoch 1", "epoch 2"]
        by_index[1].statuses = ["Failed"]
        cluster.wait_for(lambda: states() == ["success"] * 3, "all to succeed", timeout_seconds=240)
        assert [len(one.retries) for one in by_index] == [0, 1, 0]
        assert len(fake.executions) == 3
        assert [xcom("pipeline_execution_arn", index) for index in range(3)] == [one.arn for one in by_index]
        assert [xcom("model", index) for index in range(3)] == ["s3://bucket/model.tar.gz"] * 3
        shown = "".join(log(1, number + 1) for number in range(instances()[1]["try_number"]))
        assert instances()[1]["try_number"] > attempt
        assert [shown.count(f"[Train algo-1-1] epoch {number}") for number in (1, 2)] == [1, 1]


def find(fake: FakeSageMaker, depth: str) -> Execution:
    """Give the execution that was started with this depth."""
    (found,) = [
        one
        for one in fake.executions.values()
        if one.request["PipelineParameters"] == [{"Name": "MaxDepth", "Value": depth}]
    ]
    return found
