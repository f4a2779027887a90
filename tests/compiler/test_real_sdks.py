"""The unmodified SageMaker SDKs, v2 and v3, compile on this machine: steadily, and calling nobody outside."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.definition import canonical_text, parse_definition

from .conftest import ROLE, Compiler

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SDKS = ["v2", "v3"]


def forget(compiler: Compiler) -> None:
    shutil.rmtree(compiler.cache_dir / "definitions")


def test_both_examples_compile_to_the_same_sound_pipeline_and_are_kept(compile_real: Compiler, repository: Path):
    definitions = {}
    for sdk, distribution in (("v2", "sagemaker"), ("v3", "sagemaker-mlops")):
        reference = f"{repository}/dags/pipelines/diabetes/pipeline_{sdk}.py:get_pipeline"
        cold = compile_real(reference, timeout_seconds=300)
        assert cold.name == f"diabetes-{sdk}"
        assert cold.sdk_version.split()[0] == distribution
        definition = definitions[sdk] = parse_definition(cold.definition_text)
        assert [step.name for step in definition.steps] == ["Preprocess", "Train", "Evaluate", "CheckRmse"]
        assert {step.type for step in definition.iter_steps()} == {
            "Processing",
            "Training",
            "Condition",
            "RegisterModel",
            "Fail",
        }
        assert [upload.uri.rpartition("/")[2] for upload in cold.uploads] == ["preprocess.py", "evaluate.py"]
        assert compile_real(reference).from_cache
    v2, v3 = definitions["v2"], definitions["v3"]
    assert v2.parameters == v3.parameters
    for name in ("Preprocess", "Train", "Evaluate"):
        one, other = v2.step(name).arguments, v3.step(name).arguments
        for key in ("AppSpecification", "HyperParameters", "ProcessingResources", "ResourceConfig"):
            assert one.get(key) == other.get(key), (name, key)
    assert v2.step("Evaluate").property_files == v3.step("Evaluate").property_files
    assert v2.step("RmseTooHigh").arguments == v3.step("RmseTooHigh").arguments


NUMPY = """# /// script
# dependencies = ["sagemaker>=2.257,<3"]
# ///
import numpy
from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.pipeline import Pipeline


def get_pipeline(sagemaker_session, seed=None):
    if seed is not None:
        numpy.random.seed(seed)
    words = str(numpy.random.randint(100, size=5000))
    return Pipeline("drawn", steps=[FailStep("Drawn", error_message=words)], sagemaker_session=sagemaker_session)
"""


def test_numpys_global_generator_is_noticed_unless_it_was_seeded(compile_real: Compiler, tmp_path: Path):
    script = tmp_path / "scripts" / "drawn.py"
    script.parent.mkdir()
    script.write_text(NUMPY)
    reference = f"{script}:get_pipeline"
    assert not compile_real(reference, config={"seed": 3}, timeout_seconds=300).built_each_time
    assert compile_real(reference, config={"seed": 3}).from_cache
    drawn = compile_real(reference)
    assert [reason for reason in drawn.built_each_time if "draws from numpy.random" in reason]


@pytest.mark.parametrize("sdk", SDKS)
def test_a_definition_changes_with_the_steps_code_and_with_nothing_else(
    compile_real: Compiler, repository: Path, tmp_path: Path, sdk: str
):
    folder = shutil.copytree(repository / "tests" / "data" / "scripts" / "rich", tmp_path / "rich")
    reference = f"{folder}/rich_{sdk}.py:get_pipeline"
    first = compile_real(reference, timeout_seconds=300)
    forget(compile_real)
    (folder / "code" / "__pycache__").mkdir()
    (folder / "code" / "__pycache__" / "helper.cpython-311.pyc").write_bytes(b"left by another process")
    os.utime(folder / "code" / "helper.py", (1, 1))
    second = compile_real(reference, timeout_seconds=300)
    assert not second.from_cache
    assert steady_text(second.definition_text) == steady_text(first.definition_text)
    (folder / "code" / "helper.py").write_text('NAME = "changed"\n')
    third = compile_real(reference, timeout_seconds=300)
    assert steady_text(third.definition_text) != steady_text(second.definition_text)
    assert set(third.uploads) - set(second.uploads)


def steady_text(definition_text: str) -> str:
    """Give the canonical form without what SDK v3 draws at random for an @step: the key that signs its payload."""
    definition = json.loads(definition_text)

    def drop_keys(value: Any) -> None:
        if isinstance(value, dict):
            value.pop("REMOTE_FUNCTION_SECRET_KEY", None)
        for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            drop_keys(child)

    drop_keys(definition)
    return canonical_text(parse_definition(definition))


WATCH = """
import sys as _sys


def _watch(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        print("CONNECTED TO", arguments[1][0], file=_sys.stderr)


_sys.addaudithook(_watch)
"""


@pytest.mark.parametrize("sdk", SDKS)
def test_no_connection_leaves_this_machine_and_no_telemetry_is_tried(
    compile_real: Compiler, repository: Path, tmp_path: Path, sdk: str
):
    folder = shutil.copytree(repository / "dags" / "pipelines" / "diabetes", tmp_path / "diabetes")
    script = folder / f"pipeline_{sdk}.py"
    metadata, separator, rest = script.read_text().partition("# ///\n")
    script.write_text(
        f"{metadata}{separator}{rest.replace('from pathlib import Path', WATCH + 'from pathlib import Path', 1)}"
    )
    compile_real(f"{script}:get_pipeline", timeout_seconds=300)
    connected = {line.split()[-1] for line in compile_real.lines if line.startswith("CONNECTED TO")}
    assert connected == {"127.0.0.1"}
    assert "Refused a connection" not in compile_real.log


TEMPLATE = '''
# /// script
# dependencies = ["sagemaker>=2.257,<3"]
# ///
"""A script in the shape of AWS's project templates: it makes its own sessions, and asks STS for its bucket."""
import os

import boto3
import sagemaker
from sagemaker.sklearn.processing import SKLearnProcessor
from sagemaker.workflow.parameters import ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.steps import ProcessingStep

BASE_DIR = os.path.dirname(os.path.realpath(__file__))


def get_session(region, default_bucket):
    boto_session = boto3.Session(region_name=region)
    return sagemaker.session.Session(
        boto_session=boto_session,
        sagemaker_client=boto_session.client("sagemaker"),
        sagemaker_runtime_client=boto_session.client("sagemaker-runtime"),
        default_bucket=default_bucket,
    )


def get_pipeline(
    region,
    sagemaker_project_arn=None,
    role=None,
    default_bucket=None,
    model_package_group_name="AbalonePackageGroup",
    pipeline_name="AbalonePipeline",
    base_job_prefix="Abalone",
):
    sagemaker_session = get_session(region, default_bucket)
    if role is None:
        role = sagemaker.session.get_execution_role(sagemaker_session)
    session = PipelineSession(boto_session=boto3.Session(region_name=region), default_bucket=default_bucket)
    data = ParameterString(name="InputDataUrl", default_value=f"s3://{session.default_bucket()}/abalone.csv")
    processor = SKLearnProcessor(
        framework_version="0.23-1",
        instance_type="ml.m5.xlarge",
        instance_count=1,
        base_job_name=f"{base_job_prefix}/sklearn-abalone-preprocess",
        sagemaker_session=session,
        role=role,
    )
    step = ProcessingStep(
        name="PreprocessAbaloneData",
        step_args=processor.run(code=os.path.join(BASE_DIR, "preprocess.py"), arguments=["--input-data", data]),
    )
    return Pipeline(name=pipeline_name, parameters=[data], steps=[step], sagemaker_session=session)
'''


def test_a_script_in_the_shape_of_awss_templates_works_as_it_stands(compile_real: Compiler, tmp_path: Path):
    folder = tmp_path / "abalone"
    folder.mkdir()
    (folder / "pipeline.py").write_text(TEMPLATE)
    (folder / "preprocess.py").write_text("print('preprocess')\n")
    compiled = compile_real(f"{folder}/pipeline.py:get_pipeline", timeout_seconds=300)
    definition = parse_definition(compiled.definition_text)
    assert compiled.name == "AbalonePipeline"
    assert definition.parameter("InputDataUrl").default == "s3://sagemaker-us-east-1-123456789012/abalone.csv"
    assert definition.step("PreprocessAbaloneData").arguments["RoleArn"] == ROLE
