"""Deployments that change nothing but names: said once, and never of code that is another one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_sm_pipelines.cli import main
from airflow_sm_pipelines.client.calls import SageMakerCalls
from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.deployment.names_only import find_names_only
from airflow_sm_pipelines.environments import default_cache_dir, ensure_environment
from airflow_sm_pipelines.exceptions import PipelineAccessError

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = "s3://b/p/code/" + "a" * 64, "s3://b/p/code/" + "b" * 64


class Objects(SageMakerCalls):
    """The calls to an S3 that holds these objects, by key of the bucket ``b``."""

    def __init__(self, objects: dict[str, bytes], *, is_closed: bool = False) -> None:
        self._objects = objects
        self._is_closed = is_closed

    def client_of(self, service: str, *, region_name: str | None = None) -> Any:
        return None

    def ask(self, operation: str, target: str, **request: Any) -> dict[str, Any]:
        if self._is_closed:
            raise PipelineAccessError("no", code="AccessDenied")
        if operation == "get_object":
            return {"Body": io.BytesIO(self._objects[request["Key"]])}
        found = {key: body for key, body in self._objects.items() if key.startswith(request["Prefix"])}
        return {
            "Contents": [
                {"Key": key, "ETag": hashlib.md5(body).hexdigest(), "Size": len(body)}  # noqa: S324 - as S3 does
                for key, body in found.items()
            ]
        }


def definition(address: str, *, depth: str = "2") -> Any:
    arguments = {"HyperParameters": {"depth": depth}, "InputDataConfig": [{"S3Uri": address}]}
    cache = {"Enabled": True, "ExpireAfter": "P1D"}
    step = {"Name": "Train", "Type": "Training", "Arguments": arguments, "CacheConfig": cache}
    return parse_definition({"Version": "2020-12-01", "Parameters": [], "Steps": [step]}, name="d")


def archive(content: bytes, *, at: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as made:
        member = tarfile.TarInfo("train.py")
        member.size, member.mtime = len(content), at
        made.addfile(member, io.BytesIO(content))
    return file.getvalue()


def compare(before: bytes, after: bytes, *, name: str = "/run.py", **given: Any) -> Any:
    keys = {f"{address.removeprefix('s3://b/')}{name}": body for address, body in ((OLD, before), (NEW, after))}
    return find_names_only(Objects(keys, **given), definition(OLD), definition(NEW))


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("/run.py", b"print(1)", b"print(1)"),
        ("/sourcedir.tar.gz", archive(b"print(1)", at=1), archive(b"print(1)", at=2)),
        ("/sourcecode.json", b'{"source_dir": "/home/me/code"}', b'{"source_dir": "code"}'),
        ("/function/payload.pkl", pickle.dumps("/home/me/train.py"), pickle.dumps("train.py")),
        ("/function/payload.pkl", pickle.dumps(["__main__", "x"]), pickle.dumps(["train", "x"])),
    ],
)
def test_the_same_files_under_other_names_are_names_only(name: str, before: bytes, after: bytes):
    found = compare(before, after, name=name)
    assert (found.recomputed, found.unread) == (("Train",), ())
    assert "Only names" in str(found)
    assert "lose their cached result, once: Train." in str(found)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("/run.py", b"print(1)", b"print(2)"),
        ("/sourcedir.tar.gz", archive(b"print(1)", at=1), archive(b"print(2)", at=1)),
        ("/settings.json", b'{"run": "x-20261130154124"}', b'{"run": "x-20261130154125"}'),
        ("/sourcecode.json", b'{"entry_script": "a.py"}', b'{"entry_script": "b.py"}'),
        ("/function/payload.pkl", pickle.dumps(["train", 1]), pickle.dumps(["train", 2])),
        ("/function/payload.pkl", pickle.dumps(["train"]), pickle.dumps(["train", "x"])),
    ],
)
def test_edited_code_is_never_names_only(name: str, before: bytes, after: bytes):
    assert compare(before, after, name=name) is None


def test_what_is_gone_or_closed_is_named():
    assert find_names_only(Objects({}), definition(OLD), definition(NEW)).unread == (OLD,)
    found = compare(b"1", b"1", is_closed=True)
    assert found.unread == (OLD,)
    assert f"could not be compared: {OLD}." in str(found)


def test_nothing_is_said_without_asking_nor_of_what_is_equal_nor_of_more_than_names():
    assert find_names_only(None, definition(OLD), definition(NEW)) is None
    assert find_names_only(None, definition(OLD), definition(OLD)) is None
    assert find_names_only(Objects({}), definition(OLD), definition(NEW, depth="3")) is None


BY_THE_SDK = """# /// script
# dependencies = ["sagemaker>=2.257,<3"]
# ///
from pathlib import Path

from sagemaker.processing import ScriptProcessor
from sagemaker.sklearn import SKLearn
from sagemaker.workflow.function_step import step
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.steps import CacheConfig, ProcessingStep, TrainingStep

HERE = Path(__file__).parent
CACHE = CacheConfig(enable_caching=True, expire_after="P1D")


def double(value):
    return 2 * value


def get_pipeline(sagemaker_session, role):
    one = {"role": role, "instance_type": "ml.m5.large", "instance_count": 1, "sagemaker_session": sagemaker_session}
    show = ScriptProcessor(image_uri="python:3.11", command=["python3"], **one)
    train = SKLearn(entry_point=str(HERE / "code.py"), framework_version="1.2-1", **one)
    steps = [
        ProcessingStep("Show", step_args=show.run(code=str(HERE / "code.py")), cache_config=CACHE),
        TrainingStep("Train", step_args=train.fit({"train": "s3://bucket/data"}), cache_config=CACHE),
        step(double, name="Double", role=role, image_uri="python:3.11", instance_type="ml.m5.large")(21),
    ]
    return Pipeline("by-hand", steps=steps, sagemaker_session=sagemaker_session)


if __name__ == "__main__":
    role = "arn:aws:iam::123456789012:role/Sage"
    get_pipeline(PipelineSession(default_bucket="by-hand"), role).upsert(role_arn=role)
"""


@pytest.mark.slow
def test_what_the_sdk_has_deployed_itself_gets_other_names_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from airflow_sm_pipelines.server import serve

    script, code = tmp_path / "train.py", tmp_path / "code.py"
    script.write_text(BY_THE_SDK)
    code.write_text("print(1)\n")
    options = ["--role-arn", "arn:aws:iam::123456789012:role/Sage", "--default-bucket", "by-hand"]
    python = ensure_environment(["sagemaker>=2.257,<3"], cache_dir=default_cache_dir(os.environ))

    def plan() -> dict[str, Any]:
        assert main(["plan", f"{script}:get_pipeline", "--json", *options]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    with serve(tmp_path / "state") as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="by-hand")
        subprocess.run([str(python), "-s", str(script)], cwd=tmp_path, check=True, capture_output=True)
        planned = plan()
        assert planned["action"] == "update"
        assert planned["names_only"] == {"recomputed": ["Show", "Train"], "unread": []}
        code.write_text("print(2)\n")
        assert plan()["names_only"] is None, "the code is another one"
        code.write_text("print(1)\n")
        assert main(["run", f"{script}:get_pipeline", "--no-follow", *options]) == 0
        assert "Only names that the SDK made up differ from what is deployed" in capsys.readouterr().err
        assert (plan()["action"], plan()["names_only"]) == ("none", None)
        code.write_text("print(2)\n")
        assert (plan()["action"], plan()["names_only"]) == ("update", None)
