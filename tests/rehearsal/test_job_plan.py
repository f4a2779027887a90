"""The script that a job's command runs, and the samples that stand where its inputs have no data."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from airflow_sm_pipelines.rehearsal.job_plan import JobPlan, PlanContext, RehearsedOutputs, find_program
from airflow_sm_pipelines.rehearsal.sample_store import SampleStore

DRIVER = "/opt/ml/input/data/sm_drivers/sm_train.sh"


@pytest.mark.parametrize(
    ("command", "program"),
    [
        (["python3", "/opt/ml/processing/input/code/a.py", "--x", "/y.py"], "/opt/ml/processing/input/code/a.py"),
        (
            ["/bin/bash", "/opt/ml/processing/input/entrypoint/runproc.sh"],
            "/opt/ml/processing/input/entrypoint/runproc.sh",
        ),
        (["/bin/bash", "-c", f"chmod +x {DRIVER} && {DRIVER}"], DRIVER),
        (["python3", "-m", "train"], None),
        (["python3"], None),
        ([], None),
    ],
)
def test_the_script_of_a_command_is_found(command: list[str], program: str | None) -> None:
    found = find_program(command)
    assert (str(found) if found else None) == program


class Bucket:
    """boto3's S3 client, as far as samples need it."""

    def __init__(self, *keys: str) -> None:
        self.bodies = dict.fromkeys(keys, b"own")

    def head_bucket(self, **_: Any) -> None:
        """The bucket is there."""

    def list_objects_v2(self, *, Prefix: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's names
        return {"Contents": [{"Key": key} for key in self.bodies if key.startswith(Prefix)]}

    def put_object(self, *, Key: str, Body: bytes, **_: Any) -> None:  # noqa: N803 - boto3's names
        self.bodies[Key] = Body


def ensure(bucket: Bucket, uri: object, *, real: tuple[str, ...] = (), **options: Any) -> list[str]:
    """The notes of a plan whose input is ensured."""
    nothing = cast("Any", None)
    outputs = RehearsedOutputs(real=list(real))
    context = PlanContext(SampleStore(bucket, region="us-east-1"), nothing, outputs, nothing, None)
    plan = JobPlan({})
    context.ensure_input(plan, uri, **options)
    return plan.notes


@pytest.mark.parametrize(
    ("uri", "key"),
    [("s3://b/data/x.csv", "data/x.csv"), ("s3://b/data", "data/sample.csv"), ("s3://b/d.1/", "d.1/sample.csv")],
)
def test_an_input_without_data_gets_a_sample_of_its_own_name(uri: str, key: str) -> None:
    bucket = Bucket("other/x.csv")
    assert ensure(bucket, uri) == [f"data {uri}"]
    assert sorted(bucket.bodies) == sorted(["other/x.csv", key])
    assert ensure(bucket, uri) == []


def test_a_manifest_without_data_names_the_samples_that_are_put() -> None:
    bucket = Bucket()
    uri = "s3://b/lists/train.manifest"
    assert ensure(bucket, uri, data_type="ManifestFile") == [f"data {uri}"]
    prefix, *names = json.loads(bucket.bodies.pop("lists/train.manifest"))
    assert [prefix["prefix"] + name for name in names] == [f"s3://b/{key}" for key in bucket.bodies]
    assert len(names) == 1
    own = Bucket("lists/train.manifest")
    assert (ensure(own, uri, data_type="ManifestFile"), own.bodies) == ([], {"lists/train.manifest": b"own"})


def test_what_is_there_or_a_real_program_fills_gets_no_sample() -> None:
    for uri, real in (("s3://b/data", ()), ("s3://b/out/x", ("s3://b/out",)), ({"Get": "x"}, ()), (None, ())):
        bucket = Bucket("data/own.csv")
        assert (ensure(bucket, uri, real=real), list(bucket.bodies)) == ([], ["data/own.csv"])
