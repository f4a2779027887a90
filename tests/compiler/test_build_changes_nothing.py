"""A build changes nothing in SageMaker, whatever the script does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Compiler

pytestmark = pytest.mark.processes

Write = Callable[[str], str]

HEAD = """
from sagemaker.workflow.pipeline import Pipeline

def get_pipeline(session, role):
    sagemaker = session.boto_session.client("sagemaker")
    found = []
"""
CALLS = {
    "CreatePipeline p": """
    given = {"PipelineName": "p", "PipelineDefinition": "{}", "ClientRequestToken": "x" * 32, "RoleArn": role}
    made = sagemaker.create_pipeline(**given)
    found = [made["PipelineArn"], sagemaker.describe_pipeline(PipelineName="p")["PipelineDefinition"]]
""",
    "UpdatePipeline p": "    sagemaker.update_pipeline(PipelineName='p', PipelineDefinition='{}')\n",
    "DeletePipeline p": "    sagemaker.delete_pipeline(PipelineName='p', ClientRequestToken='x' * 32)\n",
    "StartPipelineExecution p": """
    started = sagemaker.start_pipeline_execution(PipelineName="p", ClientRequestToken="x" * 32)["PipelineExecutionArn"]
    status = sagemaker.describe_pipeline_execution(PipelineExecutionArn=started)["PipelineExecutionStatus"]
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=started)["PipelineExecutionSteps"]
    found = [started, status, steps]
""",
    "AddTags arn:aws:sagemaker:us-east-1:1:pipeline/p": (
        "    sagemaker.add_tags(ResourceArn='arn:aws:sagemaker:us-east-1:1:pipeline/p', Tags=[])\n"
    ),
    "CreateModelPackageGroup g": "    sagemaker.create_model_package_group(ModelPackageGroupName='g')\n",
    "UpdateModelPackage arn:aws:sagemaker:us-east-1:1:model-package/g/1": (
        "    sagemaker.update_model_package(ModelPackageArn='arn:aws:sagemaker:us-east-1:1:model-package/g/1',"
        " ModelApprovalStatus='Approved')\n"
    ),
}


def sagemaker_of(compiler: Compiler) -> Any:
    return boto3.client(
        "sagemaker",
        region_name="us-east-1",
        endpoint_url=compiler.aws_environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="test-access",
        aws_secret_access_key="test-secret",
    )


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_would_change_something_is_answered_here(compile_stub: Compiler, write_script: Write, call: str):
    compiled = compile_stub(write_script(f"{HEAD}{CALLS[call]}    return Pipeline('p', steps=found)\n"))
    assert compiled.not_sent == (f"sagemaker:{call}",)
    assert f"sagemaker:{call} is not sent: a build changes nothing in SageMaker." in compile_stub.lines
    client = sagemaker_of(compile_stub)
    assert client.list_pipelines()["PipelineSummaries"] == []
    assert client.list_model_package_groups()["ModelPackageGroupSummaryList"] == []


def test_the_answers_read_as_if_all_had_been_made(compile_stub: Compiler, write_script: Write):
    body = f"{HEAD}{CALLS['CreatePipeline p']}    return Pipeline('p', steps=found)\n"
    arn, definition = json.loads(compile_stub(write_script(body)).definition_text)["Steps"]
    assert (arn, definition) == ("arn:aws:sagemaker:us-east-1:123456789012:pipeline/p", "{}")
    body = f"{HEAD}{CALLS['StartPipelineExecution p']}    return Pipeline('p', steps=found)\n"
    started, status, steps = json.loads(compile_stub(write_script(body)).definition_text)["Steps"]
    assert started.startswith("arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/")
    assert (status, steps) == ("Succeeded", [])


ENDS_IN_UPSERT = {
    "v2": """
# /// script
# dependencies = ["sagemaker>=2.257,<3"]
# ///
from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.pipeline import Pipeline


def get_pipeline(sagemaker_session, role):
    pipeline = Pipeline("ends", steps=[FailStep("F", error_message="x")], sagemaker_session=sagemaker_session)
    pipeline.upsert(role_arn=role, tags=[{"Key": "a", "Value": "b"}])
    execution = pipeline.start()
    execution.wait()
    return pipeline
""",
    "v3": """
# /// script
# dependencies = ["sagemaker-mlops>=1.27,<2"]
# ///
from sagemaker.mlops.workflow import FailStep, Pipeline


def get_pipeline(sagemaker_session, role):
    pipeline = Pipeline("ends", steps=[FailStep("F", error_message="x" * 120000)], sagemaker_session=sagemaker_session)
    pipeline.upsert(role_arn=role)
    execution = pipeline.start()
    execution.wait()
    return pipeline
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("sdk", ["v2", "v3"])
def test_a_function_that_ends_in_upsert_and_start_is_built_and_makes_no_pipeline(
    compile_real: Compiler, tmp_path: Path, sdk: str
):
    (tmp_path / "pipeline.py").write_text(ENDS_IN_UPSERT[sdk])
    compiled = compile_real(f"{tmp_path}/pipeline.py:get_pipeline", timeout_seconds=300)
    assert compiled.name == "ends"
    assert compiled.not_sent[:1] == ("sagemaker:CreatePipeline ends",)
    assert "sagemaker:StartPipelineExecution ends" in compiled.not_sent
    assert compiled.uploads == ()
    assert sagemaker_of(compile_real).list_pipelines()["PipelineSummaries"] == []
