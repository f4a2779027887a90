"""Deployments that change nothing but names: said once, and never of code that is another one."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from typing import Any

import pytest

from airflow_sm_pipelines.client.calls import SageMakerCalls
from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.deployment.names_only import find_names_only
from airflow_sm_pipelines.exceptions import PipelineAccessError

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
