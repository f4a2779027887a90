"""What would start work while a pipeline is built is refused, with either SDK; what is for local mode stays local."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_sm_pipelines.compiler.sdk_side.local_mode import _make_regular, name_outputs, without_code_folders
from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.exceptions import ScriptFailedError

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Compiler

pytestmark = pytest.mark.slow

REQUIREMENT = {"v2": "sagemaker>=2.257,<3", "v3": "sagemaker-mlops>=1.27,<2"}
HEAD = """
# /// script
# dependencies = ["{requirement}"]
# ///
from pathlib import Path
"""
PROCESS = {
    "v2": """
from sagemaker.{session_module} import {session}
from sagemaker.sklearn.processing import SKLearnProcessor


def get_pipeline(region, role):
    processor = SKLearnProcessor("1.2-1", role, 1, "{instance}", sagemaker_session={session}())
    processor.run(code=str(Path(__file__).parent / "step.py"))
""",
    "v3": """
from sagemaker.core import image_uris
from sagemaker.core.{session_module} import {session}
from sagemaker.core.processing import ScriptProcessor


def get_pipeline(region, role):
    processor = ScriptProcessor(
        image_uri=image_uris.retrieve("sklearn", region, version="1.2-1"), command=["python3"], role=role,
        instance_type="{instance}", instance_count=1, sagemaker_session={session}(),
    )
    processor.run(code=str(Path(__file__).parent / "step.py"))
""",
}


def write(folder: Path, sdk: str, body: str, **values: str) -> str:
    (folder / "step.py").write_text("print('never')\n")
    (folder / "pipeline.py").write_text((HEAD + body).format(requirement=REQUIREMENT[sdk], **values))
    return f"{folder}/pipeline.py:get_pipeline"


@pytest.mark.parametrize("sdk", ["v2", "v3"])
def test_a_regular_session_that_would_start_a_job_is_refused_before_the_call_leaves(
    compile_real: Compiler, tmp_path: Path, sdk: str
):
    module = {"v2": "session", "v3": "helper.session_helper"}[sdk]
    reference = write(tmp_path, sdk, PROCESS[sdk], session_module=module, session="Session", instance="ml.m5.large")
    with pytest.raises(ScriptFailedError, match=r"sagemaker:CreateProcessingJob[\s\S]*PipelineSession") as caught:
        compile_real(reference, timeout_seconds=300)
    assert 'pipeline.py", line ' in str(caught.value)
    assert ", in get_pipeline" in str(caught.value)
    client = boto3.client(
        "sagemaker",
        endpoint_url=compile_real.aws_environment["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="test-access",
        aws_secret_access_key="test-secret",
    )
    assert client.list_processing_jobs()["ProcessingJobSummaries"] == []


@pytest.mark.parametrize("sdk", ["v2", "v3"])
def test_a_local_session_that_would_start_docker_is_refused(compile_real: Compiler, tmp_path: Path, sdk: str):
    module = {"v2": "local", "v3": "local.local_session"}[sdk]
    reference = write(tmp_path, sdk, PROCESS[sdk], session_module=module, session="LocalSession", instance="local")
    with pytest.raises(ScriptFailedError, match=r"a local CreateProcessingJob in Docker while the pipeline"):
        compile_real(reference, timeout_seconds=300)


RECEIVED = """
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.steps import TrainingStep


def get_pipeline(sagemaker_session, role, instance_type="ml.m5.large"):
    estimator = Estimator(
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/image:1", role, 1, instance_type,
        output_path="s3://bucket/model", sagemaker_session=sagemaker_session,
    )
    folder = Path(__file__).parent / "data"
    data = f"file://{{folder}}" if instance_type == "local" else "s3://bucket/data"
    step = TrainingStep("Train", step_args=estimator.fit({{"train": TrainingInput(data)}}))
    return Pipeline("received", steps=[step], sagemaker_session=sagemaker_session)
"""


def test_a_factory_that_receives_its_session_can_be_told_local_by_its_config(compile_real: Compiler, tmp_path: Path):
    reference = write(tmp_path, "v2", RECEIVED)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("1,2\n")
    local = parse_definition(
        compile_real(reference, config={"instance_type": "local"}, timeout_seconds=300).definition_text
    )
    arguments = local.step("Train").arguments
    assert arguments["ResourceConfig"]["InstanceType"] == "ml.m5.large"
    source = arguments["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    assert source["S3Uri"].startswith("s3://sagemaker-us-east-1-123456789012/local-mode/inputs/")
    other = compile_real(reference, timeout_seconds=300)
    assert "local" not in other.definition_text


OWN_SESSION = """
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import LocalPipelineSession
from sagemaker.workflow.steps import TrainingStep


def get_pipeline(role):
    session = LocalPipelineSession(default_bucket="bucket")
    estimator = Estimator(
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/image:1", role, 1, "local",
        output_path="file:///tmp/model", sagemaker_session=session,
    )
    step = TrainingStep("Train", step_args=estimator.fit({{"train": TrainingInput("s3://bucket/data")}}))
    return Pipeline("local-only", steps=[step], sagemaker_session=session)
"""


def test_what_is_for_local_mode_alone_is_refused_where_aws_is_meant(compile_real: Compiler, tmp_path: Path):
    reference = write(tmp_path, "v2", OWN_SESSION)
    keys = {"AWS_ACCESS_KEY_ID": "test-access", "AWS_SECRET_ACCESS_KEY": "test-secret"}
    with pytest.raises(ScriptFailedError, match="is written for local mode, and this is not a local") as caught:
        compile_real(reference, aws_environment=keys, timeout_seconds=300)
    assert "InstanceType 'local' in 'Train'; S3OutputPath 'file:///tmp/model' in 'Train'" in str(caught.value)
    assert "sm-pipelines local exec --" in str(caught.value)


@pytest.mark.parametrize(("endpoint", "named"), [(None, "file://code"), ("http://127.0.0.1:1", "file:///me/code/")])
def test_a_folder_of_model_code_is_named_without_its_place(
    endpoint: str | None, named: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    if endpoint is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    environment = {"A": "b", "SAGEMAKER_SUBMIT_DIRECTORY": "file:///me/code/", "C": "file:///me/code/"}
    expected = {**environment, "SAGEMAKER_SUBMIT_DIRECTORY": named}
    assert json.loads(without_code_folders(json.dumps(environment))) == expected


def test_a_described_jobs_outputs_are_named_as_after_a_run_of_the_sdks_local_mode():
    outputs = [{"OutputName": name, "S3Output": {"S3Uri": f"s3://b/{name}"}} for name in ("train", "test")]
    described = {"ProcessingOutputConfig": {"Outputs": outputs}}
    name_outputs(parsed=described)
    name_outputs(parsed=described)  # a client may have the handler twice
    assert described == {"ProcessingOutputConfig": {"Outputs": {"train": outputs[0], "test": outputs[1]}}}
    nothing: dict[str, object] = {"ProcessingJobStatus": "Failed"}
    name_outputs(parsed=nothing)
    assert nothing == {"ProcessingJobStatus": "Failed"}


@pytest.mark.parametrize("has_property", [True, False])
def test_a_local_session_keeps_its_config_in_older_sdks_too(has_property: bool) -> None:
    class Session:
        _config: dict[str, Any] | None = None

        def upload_data(self, path: str) -> str:
            return path

    if has_property:
        Session.config = property(lambda session: session._config)  # type: ignore[attr-defined]
    local = type("LocalSession", (Session,), {})
    _make_regular(local)
    session: Any = local()
    assert session.config is None
    session.config = {"local": {"local_code": True, "region_name": "r"}}
    assert session.config == {"local": {"local_code": False, "region_name": "r"}}
    session.config = None
    assert session.config is None
    assert session.upload_data("file:///a") == "/a"
