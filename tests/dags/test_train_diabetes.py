"""The example DAG, unchanged, beside the real local endpoint: trains, deploys nothing twice, fails as it should."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.airflow_runs import DagRunner, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[DagRunner]:
    """An Airflow whose DAGs folder is the repository's, beside a running local endpoint."""
    from airflow_sm_pipelines.server import serve

    folder = tmp_path_factory.mktemp("train-diabetes")
    migrate(folder / "template")
    with serve(folder / "state") as server:
        environment = {
            name: value for name, value in server.environment().items() if name.startswith(("AWS_", "AIRFLOW_CONN_"))
        }
        environment |= {
            "AIRFLOW__CORE__DAGS_FOLDER": str(repository / "dags"),
            "SM_PIPELINES_CACHE_DIR": os.environ["SM_PIPELINES_CACHE_DIR"],
        }
        yield DagRunner(folder / "airflow", template=folder / "template", environment=environment)


@pytest.mark.parametrize("sdk", ["v2", "v3"])
def test_the_example_trains_a_model_and_decides_on_its_error(local: DagRunner, sdk: str) -> None:
    result = local.test("train_diabetes", conf={"sdk": sdk}, timeout_seconds=900)
    assert result.exit_code == 0, result.output[-6000:]
    assert result.xcom("deploy", "action") == "created"
    steps: list[dict[str, Any]] = result.xcom("train", "steps")
    assert [step["name"] for step in steps] == [
        "Preprocess",
        "Train",
        "Evaluate",
        "CheckRmse",
        "Register-RegisterModel" if sdk == "v2" else "Register",
    ]
    assert {step["status"] for step in steps} == {"Succeeded"}
    assert all(step["seconds"] is not None for step in steps)
    assert 40 < result.xcom("train", "rmse") < 70
    assert result.xcom("train", "model").startswith("s3://")
    assert ":model-package/" in result.xcom("train", "model_package")
    assert result.xcom("decide") in ("approve", "ask a person")


def test_a_threshold_that_cannot_be_met_fails_the_task_with_the_steps_message(local: DagRunner) -> None:
    result = local.test("train_diabetes", conf={"sdk": "v2", "RmseThreshold": 1}, timeout_seconds=900)
    assert result.exit_code == 1
    assert result.xcom("deploy", "action") == "unchanged", result.output[-6000:]
    assert result.xcom("deploy", "pipeline_version_id") == 1
    assert (result.states["train"], result.states["decide"]) == ("failed", "upstream_failed")
    assert result.xcom("train", "status") == "Failed"
    assert "Step 'RmseTooHigh' (Fail) Failed" in result.output
    assert "The model's RMSE is" in result.output
    assert "AirflowFailException" in result.output


def test_parsing_the_example_brings_no_boto3(repository: Path) -> None:
    code = f"import runpy, sys; runpy.run_path({str(repository / 'dags' / 'train_diabetes.py')!r}); "
    code += "print([name for name in ('boto3', 'botocore', 'sagemaker') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
