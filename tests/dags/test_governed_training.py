"""The example of a governed pipeline, unchanged, beside the real local endpoint: what runs is what the policy says."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.airflow_runs import DagRunner, migrate

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_the_jobs_run_with_the_teams_network_keys_and_tags(tmp_path: Path, repository: Path) -> None:
    from airflow_sm_pipelines.server import serve

    migrate(tmp_path / "template")
    with serve(tmp_path / "state") as server:
        environment = {
            name: value for name, value in server.environment().items() if name.startswith(("AWS_", "AIRFLOW_CONN_"))
        }
        environment |= {
            "AIRFLOW__CORE__DAGS_FOLDER": str(repository / "dags"),
            "SM_PIPELINES_CACHE_DIR": os.environ["SM_PIPELINES_CACHE_DIR"],
        }
        runner = DagRunner(tmp_path / "airflow", template=tmp_path / "template", environment=environment)
        result = runner.test("governed_training", timeout_seconds=600)
        assert result.exit_code == 0, result.output[-6000:]
        assert "Filled in from" in result.output
        cost = result.xcom("cost")
        assert {step["step"] for step in cost["steps"]} == {"Preprocess", "Train", "Evaluate"}
        assert cost["total"] == pytest.approx(sum(step["hourly"] * step["seconds"] / 3600 for step in cost["steps"]))
        assert cost["total"] > 0

        session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=server.region)
        client = session.client("sagemaker", endpoint_url=server.endpoint_url)
        deployed = json.loads(client.describe_pipeline(PipelineName="diabetes-governed")["PipelineDefinition"])
        train: Any = next(step["Arguments"] for step in deployed["Steps"] if step["Name"] == "Train")
        assert train["StoppingCondition"] == {"MaxRuntimeInSeconds": 14400}
        (execution,) = client.list_pipeline_executions(PipelineName="diabetes-governed")["PipelineExecutionSummaries"]
        steps = client.list_pipeline_execution_steps(PipelineExecutionArn=execution["PipelineExecutionArn"])
        (arn,) = [
            step["Metadata"]["TrainingJob"]["Arn"]
            for step in steps["PipelineExecutionSteps"]
            if step["StepName"] == "Train"
        ]
        job = client.describe_training_job(TrainingJobName=arn.rpartition("/")[2])
        tags = {tag["Key"]: tag["Value"] for tag in client.list_tags(ResourceArn=arn)["Tags"]}
    assert job["VpcConfig"]["SecurityGroupIds"] == ["sg-0123456789abcdef0"]
    assert job["EnableNetworkIsolation"] is True
    assert job["ResourceConfig"]["VolumeKmsKeyId"].startswith("arn:aws:kms:")
    assert (tags["team"], tags["project"], tags["sm-pipelines:step"]) == ("forecasting", "diabetes", "Train")
    assert tags["sm-pipelines:dag"] == "governed_training"
    assert tags["sm-pipelines:run"].startswith("manual__")
