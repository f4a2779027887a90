"""Scripts of the SDK's local mode, unchanged: from a DAG, by `sm-pipelines local run`, and what stands against them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import boto3
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_sm_pipelines.server import RunningServer
    from tests.airflow_runs import DagRunner

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("sdk", ["v2"])
def test_a_script_of_local_mode_runs_from_a_dag_on_as_much_data_as_one_parameter_says(
    local: DagRunner, server: RunningServer, sdk: str
) -> None:
    result = local.test("local_mode", conf={"sdk": sdk, "Rows": 30})
    assert result.exit_code == 0, result.output[-6000:]
    s3 = boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=server.region,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )

    def read(uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    assert len(read(f"{result.xcom('train', 'data')}/train.csv").splitlines()) == 30
    # What the script writes to file:// stays in S3 when an Airflow task runs it, one place for each execution.
    execution = result.xcom("train", "pipeline_execution_arn").rpartition("/")[2]
    model = result.xcom("train", "model")
    assert f"/local-mode/local-mode-{sdk}/{execution}/" in model
    with tarfile.open(fileobj=io.BytesIO(read(model))) as archive:
        assert archive.getnames() == ["xgboost-model"]


def local_run(*arguments: str, server: RunningServer, folder: Path) -> subprocess.CompletedProcess[str]:
    """`sm-pipelines local run` as inside `local exec`."""
    environment = {**server.environment(), "SM_PIPELINES_CACHE_DIR": os.environ["SM_PIPELINES_CACHE_DIR"]}
    command = [sys.executable, "-m", "airflow_sm_pipelines.cli", "local", "run", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("sdk", ["v3"])
def test_the_same_script_runs_by_itself_and_leaves_its_model_in_the_folder_it_names(
    server: RunningServer, repository: Path, tmp_path: Path, sdk: str
) -> None:
    script = repository / "dags" / "pipelines" / "local_mode" / f"pipeline_{sdk}.py"
    done = local_run(str(script), server=server, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr[-6000:]
    assert done.stdout.splitlines()[-2:] == ["Prepare Succeeded", "Train Succeeded"]
    with tarfile.open(tmp_path / "model" / "model.tar.gz") as archive:
        assert archive.getnames() == ["xgboost-model"]


GUIDE = """
# /// script
# dependencies = ["sagemaker>=2.257,<3"]
# ///
import sys
from pathlib import Path

from sagemaker import image_uris
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import LocalPipelineSession
from sagemaker.workflow.steps import TrainingStep

local_pipeline_session = LocalPipelineSession()
role = "arn:aws:iam::111122223333:role/Any"
estimator = Estimator(
    image_uris.retrieve("xgboost", local_pipeline_session.boto_region_name, version="1.7-1"),
    role, 1, sys.argv[1], hyperparameters={"num_round": 1, "objective": sys.argv[2]},
    sagemaker_session=local_pipeline_session,
)
data = TrainingInput(s3_data=f"file://{Path('data').absolute()}", content_type="text/csv")
step = TrainingStep(name="MyTrainingStep", step_args=estimator.fit({"train": data}))
pipeline = Pipeline(name="MyPipeline", steps=[step], sagemaker_session=local_pipeline_session)
pipeline.create(role_arn=role, description="local pipeline example")
execution = pipeline.start()
steps = execution.list_steps()
job = steps["PipelineExecutionSteps"][0]["Metadata"]["TrainingJob"]["Arn"]
outputs = local_pipeline_session.sagemaker_client.describe_training_job(TrainingJobName=job)
print(execution.status, outputs["TrainingJobStatus"], outputs["ResourceConfig"]["InstanceType"])
"""


def test_the_guides_own_lines_run_and_run_again_and_show_a_failure_as_local_mode_does(
    server: RunningServer, tmp_path: Path
) -> None:
    (tmp_path / "guide.py").write_text(GUIDE)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("1,2\n2,3\n3,4\n")
    done = local_run("guide.py", "local", "reg:squarederror", server=server, folder=tmp_path)
    assert done.stdout.splitlines()[-1:] == ["Succeeded Completed ml.m5.large"], done.stderr[-6000:]
    failed = local_run("guide.py", "local_gpu", "no:such", server=server, folder=tmp_path)
    assert failed.stdout.splitlines()[-1:] == ["Failed Failed ml.g4dn.xlarge"], failed.stderr[-6000:]
    assert "MyTrainingStep Failed: " in failed.stderr


def test_without_a_docker_that_answers_the_docker_switch_says_what_to_do(
    server: RunningServer, repository: Path, tmp_path: Path
) -> None:
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon.' >&2\nexit 1\n")
    program.chmod(0o755)
    script = str(repository / "dags" / "pipelines" / "local_mode" / "pipeline_v2.py")
    command = [sys.executable, "-m", "airflow_sm_pipelines.cli", "local", "run", "--docker", script]
    for path, reason in (
        (str(tmp_path), "Docker's daemon does not answer (Cannot connect to the Docker daemon)"),
        (str(tmp_path / "none"), "there is no command 'docker' on the PATH"),
    ):
        done = subprocess.run(
            command, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 2
        assert reason in done.stderr
        assert "Without --docker, the script runs on the local engine" in done.stderr
