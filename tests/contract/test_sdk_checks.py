"""QualityCheck and ClarifyCheck steps as the unmodified SDKs, v2 and v3, write them: calculated, and checked again."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import boto3
import pytest

from airflow_sm_pipelines.compiler import compile_pipeline
from airflow_sm_pipelines.server import serve
from tests.airflow_runs import write_image_table
from tests.contract.conftest import ROLE

pytestmark = pytest.mark.slow

SCRIPT = """
# /// script
# dependencies = ["{requirement}"]
# ///
from {clarify} import BiasConfig, DataConfig
from {formats} import DatasetFormat
from {parameters} import ParameterBoolean, ParameterString
from {steps}.check_job_config import CheckJobConfig
from {steps}.clarify_check_step import ClarifyCheckStep, DataBiasCheckConfig
from {steps}.pipeline import Pipeline
from {steps}.quality_check_step import DataQualityCheckConfig, ModelQualityCheckConfig, QualityCheckStep


def get_pipeline(sagemaker_session, role):
    skip = ParameterBoolean("Skip", default_value=True)
    baseline = ParameterString("Baseline", default_value="")
    job = CheckJobConfig(role=role, instance_type="ml.m5.large", sagemaker_session=sagemaker_session)
    flags = dict(check_job_config=job, skip_check=skip, register_new_baseline=skip)
    data = DataQualityCheckConfig(
        baseline_dataset="s3://bucket/people.csv",
        dataset_format=DatasetFormat.csv(header=True),
        output_s3_uri="s3://bucket/data-quality",
    )
    model = ModelQualityCheckConfig(
        baseline_dataset="s3://bucket/scores.csv",
        dataset_format=DatasetFormat.csv(header=True),
        output_s3_uri="s3://bucket/model-quality",
        problem_type="BinaryClassification",
        probability_attribute="score",
        ground_truth_attribute="label",
        probability_threshold_attribute="0.5",
    )
    bias = DataBiasCheckConfig(
        data_config=DataConfig(
            s3_data_input_path="s3://bucket/people.csv",
            s3_output_path="s3://bucket/bias",
            label="hired",
            headers=["sex", "hired"],
            dataset_type="text/csv",
        ),
        data_bias_config=BiasConfig(
            label_values_or_threshold=[1], facet_name="sex", facet_values_or_threshold=["F"]
        ),
        methods=["CI", "DPL", "KL"],
    )
    steps = [
        QualityCheckStep(name="Data", quality_check_config=data, **flags),
        QualityCheckStep(name="Model", quality_check_config=model, supplied_baseline_constraints=baseline, **flags),
        ClarifyCheckStep(name="Bias", clarify_check_config=bias, **flags),
    ]
    return Pipeline(name="checks", parameters=[skip, baseline], steps=steps, sagemaker_session=sagemaker_session)
"""
SDKS = {
    "v2": {
        "requirement": "sagemaker>=2.257,<3",
        "clarify": "sagemaker.clarify",
        "formats": "sagemaker.model_monitor",
        "parameters": "sagemaker.workflow.parameters",
        "steps": "sagemaker.workflow",
    },
    "v3": {
        "requirement": "sagemaker-mlops>=1.27,<2",
        "clarify": "sagemaker.core.clarify",
        "formats": "sagemaker.core.model_monitor",
        "parameters": "sagemaker.core.workflow.parameters",
        "steps": "sagemaker.mlops.workflow",
    },
}


@pytest.mark.parametrize("sdk", ["v2", "v3"])
def test_the_checks_of_an_sdk_calculate_baselines_and_compare_with_them(
    sdk: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("sagemaker-model-monitor-analyzer", "sagemaker-clarify-processing")
    monkeypatch.setenv("SM_PIPELINES_IMAGES", str(write_image_table(tmp_path, *names)))
    script = tmp_path / f"checks_{sdk}.py"
    script.write_text(SCRIPT.format(**SDKS[sdk]))
    cache_dir = Path(os.environ["SM_PIPELINES_CACHE_DIR"])
    with serve(tmp_path / "state", cache_dir=cache_dir) as server:
        session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=server.region)
        s3 = session.client("s3", endpoint_url=server.endpoint_url)
        sagemaker = session.client("sagemaker", endpoint_url=server.endpoint_url)
        s3.create_bucket(Bucket="bucket")
        chance = random.Random(2)
        people = "".join(f"{sex},{int(chance.random() < 0.5)}\n" for sex in "MF" * 150)
        s3.put_object(Bucket="bucket", Key="people.csv", Body=f"sex,hired\n{people}".encode())
        labels = [chance.randint(0, 1) for _ in range(300)]
        good = "".join(f"{label},{0.2 + 0.6 * label}\n" for label in labels)
        s3.put_object(Bucket="bucket", Key="scores.csv", Body=f"label,score\n{good}".encode())
        compiled = compile_pipeline(
            f"{script}:get_pipeline",
            role_arn=ROLE,
            region=server.region,
            default_bucket="bucket",
            aws_environment={name: value for name, value in server.environment().items() if name.startswith("AWS_")},
            cache_dir=cache_dir,
            log=lambda line: None,
        )
        sagemaker.create_pipeline(PipelineName="checks", RoleArn=ROLE, PipelineDefinition=compiled.definition_text)

        first = run(sagemaker, Skip="true")
        assert {name: step["StepStatus"] for name, step in first.items()} == dict.fromkeys(first, "Succeeded"), [
            step.get("FailureReason") for step in first.values()
        ]
        made = first["Model"]["Metadata"]["QualityCheck"]["CalculatedBaselineConstraints"]
        s3.copy_object(Bucket="bucket", Key="kept.json", CopySource=made.removeprefix("s3://"))
        analysis = json.loads(s3.get_object(Bucket="bucket", Key="bias/analysis.json")["Body"].read())
        (group,) = analysis["pre_training_bias_metrics"]["facets"]["sex"]
        assert [metric["name"] for metric in group["metrics"]] == ["CI", "DPL", "KL"]

        bad = "".join(f"{label},{0.2 + 0.6 * (label ^ (n % 4 == 0))}\n" for n, label in enumerate(labels))
        s3.put_object(Bucket="bucket", Key="scores.csv", Body=f"label,score\n{bad}".encode())
        second = run(sagemaker, Skip="false", Baseline="s3://bucket/kept.json")
        assert "LessThanThreshold: Metric recall with 0.7" in second["Model"]["FailureReason"]


def run(sagemaker: Any, **parameters: str) -> dict[str, dict[str, Any]]:
    given = [{"Name": name, "Value": value} for name, value in parameters.items()]
    arn = sagemaker.start_pipeline_execution(PipelineName="checks", PipelineParameters=given)["PipelineExecutionArn"]
    deadline = time.monotonic() + 120
    while sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] in (
        "Executing",
        "Stopping",
    ):
        assert time.monotonic() < deadline, f"{arn} did not end"
        threading.Event().wait(0.1)
    listed = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return {step["StepName"]: step for step in listed}
