"""What both SDKs put into a definition runs as it stands: v2's script mode and runproc.sh, v3's sm_train.sh."""

from __future__ import annotations

import io
import json
import os
import tarfile
import textwrap
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_sm_pipelines.compiler import compile_pipeline
from airflow_sm_pipelines.engine.jobs import ImageCatalog, Isolation, JobContext, JobSpec, run_job
from airflow_sm_pipelines.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

TRAIN = """
import argparse, json, os
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--learning-rate", type=float)
given = vars(parser.parse_args())
given["files"] = os.listdir(os.environ["SM_CHANNEL_TRAIN"])
with open(os.path.join(os.environ["SM_MODEL_DIR"], "model.json"), "w") as file:
    json.dump(given, file)
"""
PROCESS = """
import helper, os, sys
with open("/opt/ml/processing/report/report.txt", "w") as file:
    file.write(" ".join([*sys.argv[1:], *os.listdir("/opt/ml/processing/input/data"), helper.word]))
"""
PIPELINE_V2 = """
# /// script
# dependencies = ["sagemaker>=2.257,<3"]
# ///
from pathlib import Path

from sagemaker.inputs import TrainingInput
from sagemaker.processing import FrameworkProcessor, ProcessingInput, ProcessingOutput
from sagemaker.sklearn import SKLearn
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.steps import ProcessingStep, TrainingStep

SOURCE = str(Path(__file__).parent / "source")


def get_pipeline(sagemaker_session, role):
    common = {"role": role, "instance_type": "ml.m5.large", "sagemaker_session": sagemaker_session}
    estimator = SKLearn(
        entry_point="train.py", source_dir=SOURCE, framework_version="1.2-1", output_path="s3://bucket/out",
        hyperparameters={"epochs": 3, "learning-rate": 0.5}, **common,
    )
    processor = FrameworkProcessor(estimator_cls=SKLearn, framework_version="1.2-1", instance_count=1, **common)
    processing = processor.run(
        code="process.py", source_dir=SOURCE, arguments=["--word"],
        inputs=[ProcessingInput(source="s3://bucket/train/", destination="/opt/ml/processing/input/data")],
        outputs=[ProcessingOutput(source="/opt/ml/processing/report", destination="s3://bucket/report")],
    )
    steps = [
        TrainingStep(name="Train", step_args=estimator.fit({"train": TrainingInput("s3://bucket/train/")})),
        ProcessingStep(name="Process", step_args=processing),
    ]
    return Pipeline(name="programs", steps=steps, sagemaker_session=sagemaker_session)
"""
PIPELINE_V3 = """
# /// script
# dependencies = ["sagemaker-mlops>=1.27,<2"]
# ///
from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.training.configs import Compute, InputData, OutputDataConfig, SourceCode
from sagemaker.mlops.workflow import Pipeline, TrainingStep
from sagemaker.train import ModelTrainer


def get_pipeline(sagemaker_session, role):
    trainer = ModelTrainer(
        training_image=image_uris.retrieve("sklearn", "us-east-1", version="1.2-1"),
        source_code=SourceCode(source_dir=str(Path(__file__).parent / "source"), entry_script="train.py"),
        hyperparameters={"epochs": 3, "learning-rate": 0.5},
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        output_data_config=OutputDataConfig(s3_output_path="s3://bucket/out"),
        input_data_config=[InputData(channel_name="train", data_source="s3://bucket/train/")],
        base_job_name="programs",
        role=role,
        sagemaker_session=sagemaker_session,
    )
    step = TrainingStep(name="Train", step_args=trainer.train())
    return Pipeline(name="programs", steps=[step], sagemaker_session=sagemaker_session)
"""


@pytest.fixture
def context(tmp_path: Path, isolation: Isolation) -> Iterator[JobContext]:
    """Jobs beside the whole endpoint: compiling with SDK v3 asks IAM what moto does not know."""
    if not isolation.has_private_opt_ml:
        pytest.skip(isolation.sentence)
    server = serve(tmp_path / "state")
    try:
        environment = server.environment()
        client = boto3.client(
            "s3",
            endpoint_url=server.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="train/a.csv", Body=b"1,2")
        yield JobContext(
            endpoint_url=server.endpoint_url,
            region="us-east-1",
            account_id="123456789012",
            environment={name: value for name, value in environment.items() if name.startswith("AWS_")},
            s3=client,
            log=lambda stream, lines: None,
            images=ImageCatalog(),
            cache_dir=Path(os.environ["SM_PIPELINES_CACHE_DIR"]),
            isolation=isolation,
        )
    finally:
        server.close()


@pytest.mark.slow
@pytest.mark.parametrize("script", [PIPELINE_V2, PIPELINE_V3], ids=["v2", "v3"])
def test_the_programs_an_sdk_ships_run_unmodified(context: JobContext, tmp_path: Path, script: str) -> None:
    folder = tmp_path / "pipeline"
    (folder / "source").mkdir(parents=True)
    (folder / "pipeline.py").write_text(textwrap.dedent(script))
    for name, text in (("train.py", TRAIN), ("process.py", PROCESS), ("helper.py", "word = 'helped'\n")):
        (folder / "source" / name).write_text(text)
    compiled = compile_pipeline(
        f"{folder / 'pipeline.py'}:get_pipeline",
        role_arn="arn:aws:iam::123456789012:role/local",
        region="us-east-1",
        default_bucket="bucket",
        aws_environment=context.environment,
        cache_dir=context.cache_dir,
        log=lambda line: None,
    )
    for step in json.loads(compiled.definition_text)["Steps"]:
        request: dict[str, Any] = step["Arguments"]
        spec = JobSpec(step["Type"], step["Name"], f"arn:{step['Name']}", request, tmp_path / step["Name"])
        outcome = run_job(spec, context, threading.Event())
        assert outcome.status == "Completed", outcome
    model = context.s3.get_object(Bucket="bucket", Key="out/Train/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(model)) as tar:
        member = tar.extractfile("model.json")
        assert member is not None
        assert json.load(member) == {"epochs": 3, "learning_rate": 0.5, "files": ["a.csv"]}
    if script is PIPELINE_V2:
        report = context.s3.get_object(Bucket="bucket", Key="report/report.txt")["Body"].read()
        assert report == b"--word a.csv helped"
