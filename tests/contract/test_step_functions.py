"""``@step`` functions of both SDKs run as the SDK ships them: its own driver script, on an image that has the SDK."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import pytest

from airflow_sm_pipelines.compiler import compile_pipeline
from airflow_sm_pipelines.server import serve
from tests.contract.conftest import ROLE

pytestmark = pytest.mark.slow

SCRIPT = """
# /// script
# dependencies = ["{requirement}"]
# ///
from {function} import step
from {parameters} import ParameterInteger
from {pipeline} import Pipeline

COMMON = {{
    "image_uri": "236514542706.dkr.ecr.us-east-1.amazonaws.com/sagemaker-base-python-{python}:1.0",
    "instance_type": "ml.m5.large",
}}


def get_pipeline(sagemaker_session, role):
    @step(name="Double", role=role, **COMMON)
    def double(number):
        return {{"value": 2 * number}}

    @step(name="Describe", role=role, **COMMON)
    def describe(found, word):
        if found["value"] != 8:
            raise ValueError(found)
        return word

    number = ParameterInteger("Number", default_value=4)
    last = describe(double(number), "done")
    return Pipeline(name="functions", parameters=[number], steps=[last], sagemaker_session=sagemaker_session)
"""
SDKS = {
    "v2": {
        "requirement": "sagemaker>=2.257,<3",
        "function": "sagemaker.workflow.function_step",
        "parameters": "sagemaker.workflow.parameters",
        "pipeline": "sagemaker.workflow.pipeline",
    },
    "v3": {
        "requirement": "sagemaker-mlops>=1.27,<2",
        "function": "sagemaker.mlops.workflow.function_step",
        "parameters": "sagemaker.core.workflow.parameters",
        "pipeline": "sagemaker.mlops.workflow.pipeline",
    },
}


@pytest.mark.parametrize("sdk", ["v2", "v3"])
def test_functions_pass_their_results_on(sdk: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "images.toml"
    requirements = json.dumps(["pip", SDKS[sdk]["requirement"]])
    table.write_text(f'[[image]]\nmatch = "sagemaker-base-python*"\nrequirements = {requirements}\n')
    monkeypatch.setenv("SM_PIPELINES_IMAGES", str(table))
    script = tmp_path / "pipeline.py"
    # A job refuses a function that another Python has pickled.
    script.write_text(SCRIPT.format(**SDKS[sdk], python="".join(map(str, sys.version_info[:2]))))
    cache_dir = Path(os.environ["SM_PIPELINES_CACHE_DIR"])
    with serve(tmp_path / "state", cache_dir=cache_dir) as server:
        session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=server.region)
        session.client("s3", endpoint_url=server.endpoint_url).create_bucket(Bucket="bucket")
        sagemaker = session.client("sagemaker", endpoint_url=server.endpoint_url)
        compiled = compile_pipeline(
            f"{script}:get_pipeline",
            role_arn=ROLE,
            region=server.region,
            default_bucket="bucket",
            aws_environment={name: value for name, value in server.environment().items() if name.startswith("AWS_")},
            cache_dir=cache_dir,
            log=lambda line: None,
        )
        sagemaker.create_pipeline(PipelineName="f", RoleArn=ROLE, PipelineDefinition=compiled.definition_text)
        arn = sagemaker.start_pipeline_execution(PipelineName="f")["PipelineExecutionArn"]
        assert wait_for_end(sagemaker, arn) == "Succeeded", failures(sagemaker, arn)


def wait_for_end(sagemaker: Any, arn: str) -> str:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        status: str = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
        if status not in ("Executing", "Stopping"):
            return status
        time.sleep(0.2)
    raise AssertionError(f"{arn} did not end")


def failures(sagemaker: Any, arn: str) -> list[str]:
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return [step["FailureReason"] for step in steps if step.get("FailureReason")]
