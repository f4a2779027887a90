"""A migrated pipeline of Kubeflow in a real Airflow, beside the real local endpoint: it does what KFP says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.cli import main
from tests.airflow_runs import connect, run_beside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.server import RunningServer
    from tests.airflow_runs import DagRunner

pytestmark = pytest.mark.slow

PIPELINE = Path(__file__).parents[2] / "data" / "migrate" / "kubeflow" / "price.yaml"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One local endpoint."""
    from airflow_sm_pipelines.server import serve

    with serve(tmp_path_factory.mktemp("endpoint") / "state") as running:
        yield running


@pytest.fixture(scope="module")
def local(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> DagRunner:
    """An Airflow beside the endpoint, with the migrated pipeline in its DAGs folder."""
    runner = run_beside(server, tmp_path_factory.mktemp("airflow"))
    assert main(["migrate", "kubeflow", str(PIPELINE), "-o", str(runner.dags)]) == 0
    return runner


def read_outputs(server: RunningServer) -> dict[str, Any]:
    """What the launcher of each step has written in the last run, by the step's name."""
    client, found = connect(server, "s3"), {}
    bucket = next(one["Name"] for one in client.list_buckets()["Buckets"] if one["Name"].startswith("sagemaker-"))
    keys = [one["Key"] for one in client.list_objects_v2(Bucket=bucket, Prefix="price/runs/")["Contents"]]
    last = max(key.split("/")[2] for key in keys)
    for key in keys:
        if key.startswith(f"price/runs/{last}/") and key.endswith("outputs.json"):
            outputs = json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read())
            found[outputs["task"]] = outputs["values"]
    return found


def test_branch_loop_collected_and_exit_task_do_what_kfp_does(local: DagRunner, server: RunningServer) -> None:
    result = local.test("price")
    assert result.exit_code == 0, result.output[-6000:]
    outputs = read_outputs(server)
    assert outputs["train-0"] == {"score": "2:380"}
    assert outputs["choose"] == {"best": "4:380"}
    assert outputs["tell-2"] == {"message": "told: 4:380"}
    assert outputs["tell"] == {"message": "told: price ended"}
    assert "refuse" not in outputs
