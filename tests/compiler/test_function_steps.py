"""A function that becomes a step: its payload and its key stay what they are while it stays what it is."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_sm_pipelines.compiler import CompiledPipeline

    from .conftest import Compiler

pytestmark = pytest.mark.slow

SCRIPT = {
    "v2": """
# /// script
# dependencies = ["sagemaker>=2.257,<3"]
# ///
from sagemaker.workflow.function_step import step
from sagemaker.workflow.pipeline import Pipeline
""",
    "v3": """
# /// script
# dependencies = ["sagemaker-mlops>=1.27,<2"]
# ///
from sagemaker.mlops.workflow.function_step import step
from sagemaker.mlops.workflow.pipeline import Pipeline
""",
}
# Before 2.256 a payload is hashed with a key.
SCRIPT["older v2"] = SCRIPT["v2"].replace(">=2.257,<3", "==2.232.0")
BODY = """
SETTINGS = dict(image_uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/steps:1", instance_type="ml.m5.large")


def one(value):
    return value + 1


def two(value):
    return 2 * value


def get_pipeline(sagemaker_session, role):
    first = step(one, name="One", role=role, **SETTINGS)(1)
    second = step(two, name="Two", role=role, **SETTINGS)(first)
    return Pipeline("functions-%s", steps=[second], sagemaker_session=sagemaker_session)
"""


def steps_of(compiled: CompiledPipeline) -> dict[str, Any]:
    return {step["Name"]: step for step in json.loads(compiled.definition_text)["Steps"]}


def client_of(compiler: Compiler, service: str) -> Any:
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=compiler.aws_environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="test-access",
        aws_secret_access_key="test-secret",
    )


@pytest.mark.parametrize("sdk", ["v2", "v3"])
def test_one_edited_function_changes_its_step_alone_and_lines_change_nothing(
    compile_real: Compiler, tmp_path: Path, sdk: str
):
    script = tmp_path / "scripts" / "steps.py"
    script.parent.mkdir()
    text = SCRIPT[sdk] + BODY % sdk
    script.write_text(text)
    first = compile_real(f"{script}:get_pipeline", timeout_seconds=300)
    assert str(tmp_path) not in first.definition_text
    script.write_text(text.replace("def one", "# A comment.\n\n\ndef one"))
    moved = compile_real(f"{script}:get_pipeline", timeout_seconds=300)
    assert not moved.from_cache
    assert (moved.definition_text, moved.sent) == (first.definition_text, ())
    script.write_text(text.replace("2 * value", "3 * value"))
    edited = compile_real(f"{script}:get_pipeline", timeout_seconds=300)
    before, after = steps_of(first), steps_of(edited)
    assert {name for name in before if before[name] != after[name]} == {"Two"}


def check_hashes(compiler: Compiler, compiled: CompiledPipeline) -> int:
    """Hold the hash of each payload against the key in the definition, as the job of an older SDK does; how many."""
    s3, checked = client_of(compiler, "s3"), 0
    for step in steps_of(compiled).values():
        key = step["Arguments"]["Environment"]["REMOTE_FUNCTION_SECRET_KEY"]
        for uri in [upload.uri for upload in compiled.uploads]:
            if f"/{step['Name']}/" in uri and uri.endswith("/payload.pkl"):
                bucket, _, name = uri.removeprefix("s3://").partition("/")
                payload = s3.get_object(Bucket=bucket, Key=name)["Body"].read()
                found = s3.get_object(Bucket=bucket, Key=name.replace("payload.pkl", "metadata.json"))["Body"].read()
                assert json.loads(found)["sha256_hash"] == hmac.new(key.encode(), payload, hashlib.sha256).hexdigest()
                checked += 1
    return checked


@pytest.mark.parametrize("sdk", ["v3", "older v2"])
def test_another_machine_keeps_the_deployed_key_and_payload_of_an_unchanged_function(
    compile_real: Compiler, tmp_path: Path, sdk: str
):
    script = tmp_path / "scripts" / "steps.py"
    script.parent.mkdir()
    script.write_text(SCRIPT[sdk] + BODY % f"deployed-{sdk.replace(' ', '-')}")
    here = compile_real(f"{script}:get_pipeline", timeout_seconds=300)
    assert sdk == "v3" or check_hashes(compile_real, here) == 4
    environments = compile_real.cache_dir / "environments"
    compile_real.cache_dir = tmp_path / "another-machine"
    compile_real.cache_dir.mkdir()
    (compile_real.cache_dir / "environments").symlink_to(environments)
    there = compile_real(f"{script}:get_pipeline", timeout_seconds=300)
    assert there.definition_text != here.definition_text
    role = "arn:aws:iam::123456789012:role/SageMakerExecution"
    sagemaker = client_of(compile_real, "sagemaker")
    sagemaker.create_pipeline(
        PipelineName=here.name, PipelineDefinition=here.definition_text, ClientRequestToken="x" * 32, RoleArn=role
    )
    deployed = compile_real(f"{script}:get_pipeline", timeout_seconds=300)
    assert not deployed.from_cache  # the answer about what is deployed has changed
    assert deployed.definition_text == here.definition_text
    assert deployed.sent == ()
    assert sdk == "v3" or check_hashes(compile_real, deployed) == 4
    assert compile_real(f"{script}:get_pipeline").from_cache
    script.write_text(script.read_text().replace("2 * value", "3 * value"))
    edited = compile_real(f"{script}:get_pipeline", timeout_seconds=300)
    before, after = steps_of(here), steps_of(edited)
    assert before["One"] == after["One"]
    key = "REMOTE_FUNCTION_SECRET_KEY"
    assert before["Two"]["Arguments"]["Environment"][key] != after["Two"]["Arguments"]["Environment"][key]


def test_payloads_verify_against_the_key_in_the_definition(compile_real: Compiler, tmp_path: Path):
    script = tmp_path / "scripts" / "steps.py"
    script.parent.mkdir()
    script.write_text(SCRIPT["v3"] + BODY % "verified")
    compiled = compile_real(f"{script}:get_pipeline", timeout_seconds=300)
    import base64

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    s3 = client_of(compile_real, "s3")
    checked = 0
    for step in steps_of(compiled).values():
        pem = step["Arguments"]["Environment"]["REMOTE_FUNCTION_SECRET_KEY"]
        key = serialization.load_pem_public_key(pem.encode())
        assert isinstance(key, ec.EllipticCurvePublicKey)
        for uri in [upload.uri for upload in compiled.uploads]:
            if f"/{step['Name']}/" in uri and uri.endswith("/payload.pkl"):
                bucket, _, name = uri.removeprefix("s3://").partition("/")
                payload = s3.get_object(Bucket=bucket, Key=name)["Body"].read()
                found = s3.get_object(Bucket=bucket, Key=name.replace("payload.pkl", "metadata.json"))["Body"].read()
                signature = base64.b64decode(json.loads(found)["asymmetric_signature"])
                key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
                assert b"d15c" not in payload
                checked += 1
    assert checked == 4
    keys = compile_real.cache_dir / "keys"
    assert [path.stat().st_mode & 0o777 for path in keys.iterdir()] == [0o600]
