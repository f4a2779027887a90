"""The example DAG, unchanged, beside the real local endpoint: trains, deploys nothing twice, fails as it should."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.airflow_runs import DagRunner

pytestmark = pytest.mark.slow


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
    yielded = result.xcom("train", "step_outputs")
    assert yielded["Train"]["model"] == result.xcom("train", "model")
    assert yielded["CheckRmse"] == {"outcome": "True"}
    assert yielded[steps[4]["name"]]["model_package_arn"] == result.xcom("train", "model_package")
    # The jobs' own lines, each once, although the task looked at them many times.
    shown = re.findall(r"\[Train algo-1\S*\] .*", result.output)
    assert len(shown) > 10
    assert len([line for line in shown if "[59]" in line]) == 1, shown[-10:]
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
