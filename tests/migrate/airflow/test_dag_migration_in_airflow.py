"""A migrated DAG file in a real Airflow, beside the real local endpoint, with real work.

Its failures and its other branch are compared with the old file in tests/comparison/test_operator_comparison.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.cli import main
from tests.airflow_runs import connect, run_beside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.server import RunningServer
    from tests.airflow_runs import DagRunner

pytestmark = pytest.mark.slow

NIGHTLY = Path(__file__).parents[2] / "data" / "migrate" / "airflow" / "nightly.py"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One local endpoint with a model's artifact."""
    from airflow_sm_pipelines.server import serve

    with serve(tmp_path_factory.mktemp("endpoint") / "state") as running:
        s3 = connect(running, "s3")
        s3.create_bucket(Bucket="models")
        s3.put_object(Bucket="models", Key="churn/model.tar.gz", Body=b"model")
        yield running


@pytest.fixture(scope="module")
def local(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> DagRunner:
    """An Airflow beside the endpoint, with the migrated file in its DAGs folder."""
    runner = run_beside(server, tmp_path_factory.mktemp("airflow"))
    assert main(["migrate", "airflow", str(NIGHTLY), "-o", str(runner.dags)]) == 0
    return runner


def test_the_branch_leads_into_the_pipeline_and_its_result_goes_on(local: DagRunner, server: RunningServer) -> None:
    result = local.test("nightly")
    assert result.exit_code == 0, result.output[-6000:]
    assert {name for name, state in result.states.items() if state == "skipped"} == {"leave_it", "complain"}
    client = connect(server, "sagemaker")
    (model,) = client.list_models()["Models"]
    assert result.xcom("publish") == model["ModelArn"]
    container = client.describe_model(ModelName=model["ModelName"])["PrimaryContainer"]
    assert container["ModelDataUrl"] == "s3://models/churn/model.tar.gz"
    (config,) = client.list_endpoint_configs()["EndpointConfigs"]
    variants = client.describe_endpoint_config(EndpointConfigName=config["EndpointConfigName"])["ProductionVariants"]
    assert [one["ModelName"] for one in variants] == [model["ModelName"]]
