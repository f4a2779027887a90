"""What a step can do wrong, seen from the Airflow task: each fault ends it with the reason and the log's last lines."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest

from tests.airflow_runs import DagResult, DagRunner, migrate, write_image_table

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::123456789012:role/Execution"
KNOWN, UNKNOWN = (f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{name}:1" for name in ("plain-python", "closed"))


def processing(code: str, *, image: str = KNOWN, seconds: int = 60, reads_report: bool = False) -> dict[str, Any]:
    """A definition with one Processing step that runs this code, and a condition on the report it should write."""
    output = {"OutputName": "out", "AppManaged": False}
    s3 = {"S3Uri": "s3://faults/out", "LocalPath": "/opt/ml/processing/out", "S3UploadMode": "EndOfJob"}
    step = {
        "Name": "Work",
        "Type": "Processing",
        "Arguments": {
            "AppSpecification": {"ImageUri": image, "ContainerEntrypoint": ["python3", "-c", code]},
            "ProcessingOutputConfig": {"Outputs": [{**output, "S3Output": s3}]},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
            },
            "RoleArn": ROLE,
            "StoppingCondition": {"MaxRuntimeInSeconds": seconds},
        },
        "PropertyFiles": [{"PropertyFileName": "Report", "OutputName": "out", "FilePath": "report.json"}],
    }
    value = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Work.PropertyFiles.Report"}, "Path": "rmse"}}
    condition = {
        "Name": "Check",
        "Type": "Condition",
        "Arguments": {
            "Conditions": [{"Type": "LessThan", "LeftValue": value, "RightValue": 1}],
            "IfSteps": [],
            "ElseSteps": [],
        },
    }
    steps = [step, condition] if reads_report else [step]
    return {"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": steps}


FAULTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "exits": (
        processing("import sys; print('the data is empty'); sys.exit(3)"),
        [r"Step 'Work' \(Processing\) Failed", r"exit code:? 3", "the data is empty"],
    ),
    "writes_nothing": (
        processing("print('nothing to write')", reads_report=True),
        [r"Step 'Check' Failed", r"step 'Work' should have written 'report\.json' to its output 'out'"],
    ),
    "runs_too_long": (
        processing("import time; print('still busy', flush=True); time.sleep(600)", seconds=2),
        [r"Step 'Work' \(Processing\)", "MaxRuntimeInSeconds", "still busy"],
    ),
    "is_killed": (
        processing("import os, signal; print('about to die', flush=True); os.kill(os.getpid(), signal.SIGKILL)"),
        [r"Step 'Work' \(Processing\) Failed", "SIGKILL", "about to die"],
    ),
    "has_no_image": (
        processing("pass", image=UNKNOWN),
        [r"Step 'Work' \(Processing\) Failed", r"\[\[image\]\]", 'match = "closed"'],
    ),
}

DAG_FILE = """
import json
from pathlib import Path

from airflow.sdk import DAG

from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator

with DAG("faults", schedule=None):
    for name, definition in json.loads((Path(__file__).parent / "faults.json").read_text()).items():
        deploy = SageMakerDeployPipelineOperator(
            task_id=f"deploy_{name}",
            pipeline=definition,
            pipeline_name=name.replace("_", "-"),
            role_arn="arn:aws:iam::123456789012:role/Execution",
        )
        SageMakerRunPipelineOperator(task_id=name, pipeline_name=deploy.output["pipeline_name"], deferrable=True)
"""


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> DagResult:
    """One DAG run with a task for each fault, beside a local endpoint that knows one image."""
    from airflow_sm_pipelines.server import serve

    folder = tmp_path_factory.mktemp("faults")
    migrate(folder / "template")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SM_PIPELINES_IMAGES", str(write_image_table(folder, "plain-python")))
        with serve(folder / "state") as server:
            environment = {
                name: value
                for name, value in server.environment().items()
                if name.startswith(("AWS_", "AIRFLOW_CONN_"))
            }
            environment["SM_PIPELINES_CACHE_DIR"] = os.environ["SM_PIPELINES_CACHE_DIR"]
            runner = DagRunner(folder / "airflow", template=folder / "template", environment=environment)
            runner.write("faults.json", json.dumps({name: definition for name, (definition, _) in FAULTS.items()}))
            runner.write("faults.py", DAG_FILE)
            return runner.test("faults")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_step_ends_the_task_with_its_reason(result: DagResult, name: str) -> None:
    assert result.exit_code == 1
    assert result.states[f"deploy_{name}"] == "success", result.output[-5000:]
    assert result.states[name] == "failed"
    pipeline = name.replace("_", "-")
    (message,) = re.findall(rf"Error: (Pipeline '{pipeline}' execution .*?)\n\d{{4}}-", result.output, re.DOTALL)
    for expected in FAULTS[name][1]:
        assert re.search(expected, message), message
