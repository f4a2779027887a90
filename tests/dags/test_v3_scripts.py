"""The examples' scripts for SDK v3, compiled by the real SDK and run on the engine: the same as with v2."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_sm_pipelines.compiler import compile_pipeline

if TYPE_CHECKING:
    from airflow_sm_pipelines.server import RunningServer

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"


class Account:
    """The endpoint's clients, and pipelines in it."""

    def __init__(self, server: RunningServer, repository: Path, cache_dir: Path) -> None:
        self._server = server
        self._scripts = repository / "dags" / "pipelines"
        # Environments are kept between test runs, definitions are not.
        kept = Path(os.environ["SM_PIPELINES_CACHE_DIR"]) / "environments"
        kept.mkdir(parents=True, exist_ok=True)
        cache_dir.mkdir()
        (cache_dir / "environments").symlink_to(kept)
        self._cache_dir = cache_dir

    def client(self, service: str) -> Any:
        """Give a client."""
        session = boto3.Session(
            aws_access_key_id="local", aws_secret_access_key="local", region_name=self._server.region
        )
        return session.client(service, endpoint_url=self._server.endpoint_url)

    def deploy(self, script: str, **config: str) -> str:
        """Compile a script, create its pipeline, and give its name."""
        name = config.pop("pipeline_name", None)
        lines: list[str] = []
        compiled = compile_pipeline(
            f"{self._scripts / script}:get_pipeline",
            config=config,
            role_arn=ROLE,
            region=self._server.region,
            pipeline_name=name,
            aws_environment={n: v for n, v in self._server.environment().items() if n.startswith("AWS_")},
            cache_dir=self._cache_dir,
            log=lines.append,
        )
        assert compiled.sdk_version.startswith("sagemaker-mlops"), lines
        self.client("sagemaker").create_pipeline(
            PipelineName=compiled.name, PipelineDefinition=compiled.definition_text, RoleArn=ROLE
        )
        return compiled.name

    def run(self, pipeline: str, **parameters: str) -> dict[str, Any]:
        """Run a pipeline to its end, and give the addresses of its jobs' outputs, by name."""
        client = self.client("sagemaker")
        arn = client.start_pipeline_execution(
            PipelineName=pipeline,
            PipelineParameters=[{"Name": name, "Value": value} for name, value in parameters.items()],
        )["PipelineExecutionArn"]
        deadline = time.monotonic() + 300
        while (found := client.describe_pipeline_execution(PipelineExecutionArn=arn))[
            "PipelineExecutionStatus"
        ] == "Executing":
            assert time.monotonic() < deadline, found
            time.sleep(0.2)
        steps = client.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        assert found["PipelineExecutionStatus"] == "Succeeded", [step.get("FailureReason") for step in steps]
        outputs = {}
        for step in steps:
            if "ProcessingJob" in step.get("Metadata", {}):
                name = step["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
                job = client.describe_processing_job(ProcessingJobName=name)
                for output in job["ProcessingOutputConfig"]["Outputs"]:
                    outputs[output["OutputName"]] = output["S3Output"]["S3Uri"]
            elif "TransformJob" in step.get("Metadata", {}):
                name = step["Metadata"]["TransformJob"]["Arn"].rpartition("/")[2]
                job = client.describe_transform_job(TransformJobName=name)
                outputs["transform"] = job["TransformOutput"]["S3OutputPath"]
        return outputs

    def read(self, uri: str) -> list[Any]:
        """Give the JSON documents below an address."""
        return [json.loads(text) for text in self.read_texts(uri)]

    def read_texts(self, uri: str) -> list[str]:
        """Give the texts below an address."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        s3 = self.client("s3")
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")["Contents"]]
        return [s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys]


@pytest.fixture
def account(server: RunningServer, repository: Path, tmp_path: Path) -> Account:
    """The endpoint as an account."""
    return Account(server, repository, tmp_path / "cache")


def test_hosts_share_the_items_in_v3_as_well(account: Account) -> None:
    items = [{"name": "north", "values": [3, 4, 5]}, {"name": "west", "values": [6, 6, 7]}]
    pipeline = account.deploy("parallel_parts/pipeline_v3.py", pipeline_name="parts-v3")
    outputs = account.run(pipeline, Items=json.dumps(items), Hosts="2")
    rows = account.read(outputs["scores"])
    assert {row["name"]: (row["score"], row["host"]) for row in rows} == {
        "north": (2.202, "algo-1"),
        "west": (4.304, "algo-2"),
    }


def test_a_lambda_step_passes_typed_values_in_v3_as_well(account: Account, repository: Path) -> None:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.write(repository / "dags" / "pipelines" / "lambda_step" / "handler.py", "handler.py")
    function = account.client("lambda").create_function(
        FunctionName="choose-v3",
        Runtime="python3.12",
        Handler="handler.choose",
        Role="arn:aws:iam::123456789012:role/LambdaExecution",
        Code={"ZipFile": code.getvalue()},
    )
    pipeline = account.deploy("lambda_step/pipeline_v3.py", function_arn=function["FunctionArn"])
    (result,) = account.read(account.run(pipeline, Candidates="2")["result"])
    assert result["given"] == {
        "rows": 442,
        "folds": 5,
        "test_share": 0.25,
        "shuffle": True,
        "candidates": [{"alpha": 1.0}, {"alpha": 0.1}],
    }
    assert result["best"]["alpha"] == 0.1


def test_a_transform_scores_a_test_set_in_v3_as_well(account: Account) -> None:
    outputs = account.run(account.deploy("batch_scoring/pipeline_v3.py"))
    (text,) = account.read_texts(outputs["transform"])
    rows = [tuple(map(float, line.split(","))) for line in text.splitlines()]
    errors = [(label - score) ** 2 for label, score in rows]
    # Always guessing the mean gives about 65.
    assert 30 < (sum(errors) / len(errors)) ** 0.5 < 60
