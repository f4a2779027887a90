"""The fixture ``sm_local``, used as in a project's own tests."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.exceptions import OutputError, ParameterError
from tests.airflow_runs import write_image_table
from tests.cli.command_runs import SMALL

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_sm_pipelines.pytest_plugin import LocalSageMaker

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/tests-python:1"
CODE = """
import json, pathlib, sys
print("before the end")
pathlib.Path("/opt/ml/processing/out/report.json").write_text(json.dumps({"score": float(sys.argv[1])}))
sys.exit(sys.argv[1] == "9")
"""


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`IMAGE` is the interpreter of the tests."""
    monkeypatch.setenv("SM_PIPELINES_IMAGES", str(write_image_table(tmp_path, "tests-python")))


def scoring() -> dict[str, Any]:
    output = {"S3Uri": "s3://sagemaker-us-east-1-123456789012/out", "LocalPath": "/opt/ml/processing/out"}
    arguments = {
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}
        },
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", "-c", CODE],
            "ContainerArguments": [{"Get": "Parameters.Score"}],
        },
        "ProcessingOutputConfig": {
            "Outputs": [{"OutputName": "out", "S3Output": {**output, "S3UploadMode": "EndOfJob"}}]
        },
        "RoleArn": "arn:aws:iam::123456789012:role/Sage",
    }
    step = {
        "Name": "Score",
        "Type": "Processing",
        "Arguments": arguments,
        "PropertyFiles": [{"PropertyFileName": "Report", "OutputName": "out", "FilePath": "report.json"}],
        "CacheConfig": {"Enabled": True, "ExpireAfter": "P1D"},
    }
    parameter = {"Name": "Score", "Type": "String", "DefaultValue": "1"}
    return {"Version": "2020-12-01", "Parameters": [parameter], "Steps": [step]}


@pytest.mark.processes
@pytest.mark.usefixtures("images")
def test_a_pipeline_runs_and_its_steps_and_outputs_can_be_read(sm_local: LocalSageMaker) -> None:
    sm_local.client("s3").create_bucket(Bucket="sagemaker-us-east-1-123456789012")
    first = sm_local.run(scoring(), Score="2.5")
    assert (first.status, first.step("Score").status, first.step("Score").cached) == ("Succeeded", "Succeeded", False)
    assert first.output("Steps.Score.PropertyFiles.Report#score") == 2.5
    assert list(first.outputs) == ["Score"]
    assert sm_local.run(scoring(), Score="2.5").step("Score").cached
    with pytest.raises(KeyError, match="step 'Scroe' was not begun; these were: Score"):
        first.step("Scroe")
    with pytest.raises(OutputError, match="'Nothing'"):
        first.output("Steps.Score.Nothing")

    with pytest.raises(pytest.fail.Exception, match=r"(?s)Step 'Score'.*before the end.*Expected Succeeded\."):
        sm_local.run(scoring(), Score="9")
    assert sm_local.run(scoring(), status="Failed", Score="9").step("Score").status == "Failed"


@pytest.mark.processes
def test_each_test_has_an_empty_account(sm_local: LocalSageMaker) -> None:
    assert sm_local.client("s3").list_buckets()["Buckets"] == []
    assert sm_local.client("sagemaker").list_pipelines()["PipelineSummaries"] == []
    assert sm_local.run(SMALL).status == "Succeeded"
    assert sm_local.run(SMALL, status=None, Limit=20).status == "Failed"
    with pytest.raises(ParameterError, match="Limti"):
        sm_local.run(SMALL, Limti=20)


def test_a_session_that_does_not_use_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, airflow_sm_pipelines.pytest_plugin\n"
        "print([name for name in ('airflow', 'boto3', 'botocore', 'moto', 'sqlite3') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "[]\n"
