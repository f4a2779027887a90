"""Names that the SDK makes, and what is uploaded under them, follow from content alone."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_sm_pipelines.exceptions import ScriptFailedError

if TYPE_CHECKING:
    from .conftest import Compiler

pytestmark = pytest.mark.processes

Write = Callable[[str], str]
BUCKET = "sagemaker-us-east-1-123456789012"

SCRIPT = """
from pathlib import Path
from sagemaker.utils import name_from_base, other_names, upload_folder, upload_input
from sagemaker.workflow.pipeline import Pipeline

HERE = Path(__file__).parent

def get_pipeline(session):
    session.boto_session.client("s3").create_bucket(Bucket=session.default_bucket())
    def step(name, **arguments):
        return {"Name": name, "Type": "Training", "Arguments": arguments}
    return Pipeline("names", steps=[
        step("One", ModelName=name_from_base("model"), Source=upload_folder(session, HERE / "one")),
        step("Two", ModelName=name_from_base("model"), Source=upload_folder(session, HERE / "two")),
        step("Three", Names=other_names(), Input=upload_input(session, "Three", str(HERE / "data.csv"))),
    ])
"""


@pytest.fixture
def reference(write_script: Write) -> str:
    found = write_script(SCRIPT)
    folder = folder_of(found)
    for name in ("one", "two"):
        (folder / name / "deep").mkdir(parents=True)
        (folder / name / "train.py").write_text(f"print({name!r})\n")
        (folder / name / "deep" / "b.py").write_text("B = 1\n")
        (folder / name / "deep" / "a.py").write_text("A = 1\n")
    (folder / "data.csv").write_text("1,2\n")
    return found


def folder_of(reference: str) -> Path:
    return Path(reference.rpartition(":")[0]).parent


def s3_of(compiler: Compiler) -> Any:
    return boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=compiler.aws_environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="k",
        aws_secret_access_key="s",
    )


def steps_of(compiled: Any) -> dict[str, str]:
    return {step["Name"]: json.dumps(step) for step in json.loads(compiled.definition_text)["Steps"]}


def test_the_same_content_has_the_same_names_however_it_lies_on_the_disk(
    compile_stub: Compiler, reference: str, tmp_path: Path
):
    first = compile_stub(reference)
    assert first.sent == tuple(upload.uri for upload in first.uploads)
    other = tmp_path / "another" / "place"
    other.parent.mkdir()
    folder_of(reference).rename(other)
    os.utime(other / "one" / "train.py", (1, 1))
    (other / "one" / "__pycache__").mkdir()
    (other / "one" / "__pycache__" / "train.pyc").write_bytes(b"left by another process")
    second = compile_stub(f"{other}/train.py:get_pipeline", cache=False)
    assert second.definition_text == first.definition_text
    assert second.uploads == first.uploads
    assert second.sent == ()


def test_placeholders_have_become_values_of_the_same_shape(compile_stub: Compiler, reference: str):
    steps = {step["Name"]: step["Arguments"] for step in json.loads(compile_stub(reference).definition_text)["Steps"]}
    stamp = r"20\d\d-\d\d-\d\d-\d\d-\d\d-\d\d-\d{3}"
    assert re.fullmatch(rf"model-{stamp}", steps["One"]["ModelName"])
    assert re.fullmatch(rf"s3://{BUCKET}/job-{stamp}/source/sourcedir\.tar\.gz", steps["One"]["Source"])
    assert steps["One"]["ModelName"] != steps["Two"]["ModelName"]
    second, identifier, short, moment = steps["Three"]["Names"]
    assert re.fullmatch(r"[1-3]\d{9}", second)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", identifier)
    assert re.fullmatch(r"[0-9a-f]{8}", short)
    assert re.fullmatch(r"20\d{12}", moment)


def test_a_change_renames_what_it_changes_and_leaves_the_old_objects(compile_stub: Compiler, reference: str):
    first = compile_stub(reference)
    (folder_of(reference) / "two" / "train.py").write_text("print('changed')\n")
    second = compile_stub(reference)
    before, after = steps_of(first), steps_of(second)
    assert {name for name in before if before[name] != after[name]} == {"Two"}
    assert len(second.sent) == 1
    for uri in {upload.uri for upload in (*first.uploads, *second.uploads)}:
        s3_of(compile_stub).head_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"))


def test_a_local_input_below_a_fixed_key_is_known_by_its_bytes(compile_stub: Compiler, reference: str):
    first = compile_stub(reference)
    (folder_of(reference) / "data.csv").write_text("3,4\n")
    second = compile_stub(reference)
    before, after = steps_of(first), steps_of(second)
    assert {name for name in before if before[name] != after[name]} == {"Three"}
    address = json.loads(after["Three"])["Arguments"]["Input"]
    assert re.fullmatch(rf"s3://{BUCKET}/pipeline/Three/input/[0-9a-f]{{20}}/data\.csv", address)
    key = address.removeprefix(f"s3://{BUCKET}/")
    assert s3_of(compile_stub).get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"3,4\n"


def test_an_added_step_renames_no_other(compile_stub: Compiler, reference: str, write_script: Write):
    first = compile_stub(reference)
    more = '        step("Zero", ModelName=name_from_base("model"), Names=other_names()),\n        step("One"'
    second = compile_stub(write_script(SCRIPT.replace('        step("One"', more)))
    before, after = steps_of(first), steps_of(second)
    assert {name for name in before if before[name] != after[name]} == set()


def test_archives_are_written_without_times_and_owners(compile_stub: Compiler, reference: str):
    compiled = compile_stub(reference)
    key = next(one.uri for one in compiled.uploads if one.uri.endswith(".tar.gz")).removeprefix(f"s3://{BUCKET}/")
    body = s3_of(compile_stub).get_object(Bucket=BUCKET, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(member.mtime, member.uid, member.gid, member.uname) for member in members} == {(0, 0, 0, "")}


def test_the_users_own_files_are_packed_as_they_are(compile_stub: Compiler, reference: str):
    path = folder_of(reference) / "one" / "train.py"
    path.write_text(f"ROOT = '{folder_of(reference)}/data'\n")
    source = json.loads(steps_of(compile_stub(reference))["One"])["Arguments"]["Source"]
    body = s3_of(compile_stub).get_object(Bucket=BUCKET, Key=source.removeprefix(f"s3://{BUCKET}/"))["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        packed = next(member for member in archive.getmembers() if member.name.endswith("train.py"))
        assert archive.extractfile(packed).read() == path.read_bytes()  # type: ignore[union-attr]


def test_an_object_that_is_there_is_not_sent_again(compile_stub: Compiler, reference: str):
    compile_stub(reference)
    again = compile_stub(reference, cache=False)
    assert not again.from_cache
    assert again.sent == ()


def test_a_build_that_fails_uploads_nothing(compile_stub: Compiler, write_script: Write, reference: str):
    del reference  # it has written the files
    late = SCRIPT.replace('return Pipeline("names", steps=[', "steps = [").replace(
        "    ])\n", "    ]\n    raise OSError\n"
    )
    before = list_keys(compile_stub)
    with pytest.raises(ScriptFailedError, match="OSError"):
        compile_stub(write_script(late))
    assert list_keys(compile_stub) == before


def list_keys(compiler: Compiler) -> list[str]:
    s3_of(compiler).create_bucket(Bucket=BUCKET)
    return [entry["Key"] for entry in s3_of(compiler).list_objects_v2(Bucket=BUCKET).get("Contents", ())]


READS_BACK = """
from sagemaker.workflow.pipeline import Pipeline

def get_pipeline(session):
    s3 = session.boto_session.client("s3")
    bucket = session.default_bucket()
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="mine/a.txt", Body=b"hello")
    s3.copy_object(Bucket=bucket, Key="mine/b.txt", CopySource={"Bucket": bucket, "Key": "mine/a.txt"})
    made = s3.create_multipart_upload(Bucket=bucket, Key="mine/c.txt")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="mine/c.txt", UploadId=made, PartNumber=1, Body=b"parts")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="mine/c.txt", UploadId=made, MultipartUpload=parts)
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="mine/")["Contents"]
    texts = [s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read().decode() for entry in listed]
    length = s3.head_object(Bucket=bucket, Key="mine/a.txt")["ContentLength"]
    return Pipeline("back", steps=[[entry["Key"] for entry in listed], texts, length])
"""


def test_a_script_reads_back_what_it_has_uploaded(compile_stub: Compiler, write_script: Write):
    compiled = compile_stub(write_script(READS_BACK))
    names, texts, length = json.loads(compiled.definition_text)["Steps"]
    assert names == ["mine/a.txt", "mine/b.txt", "mine/c.txt"]
    assert (texts, length) == (["hello", "hello", "parts"], 5)
    body = s3_of(compile_stub).get_object(Bucket=BUCKET, Key="mine/c.txt")["Body"].read()
    assert body == b"parts"


def test_a_fresh_clone_of_the_same_bytes_is_warm(compile_stub: Compiler, reference: str, tmp_path: Path):
    compile_stub(reference)
    copy = shutil.copytree(folder_of(reference), tmp_path / "clone")
    assert compile_stub(f"{copy}/train.py:get_pipeline").from_cache


def test_of_three_commits_the_one_that_touches_a_step_makes_the_one_new_version(
    compile_stub: Compiler, reference: str, tmp_path: Path
):
    repository = folder_of(reference)

    def git(*command: str, folder: Path = repository) -> None:
        identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
        subprocess.run(["git", *identity, *command], cwd=folder, check=True, capture_output=True)

    versions = []
    git("init", "-q", "-b", "main")
    for number, (name, text) in enumerate([("README.md", "One"), ("README.md", "Two"), ("one/train.py", "print(2)\n")]):
        (repository / name).write_text(text)
        git("add", ".")
        git("commit", "-q", "-m", f"Commit {number}")
        # A Git bundle checks each commit out into a folder of its own.
        git("clone", "-q", str(repository), str(tmp_path / "versions" / str(number)), folder=tmp_path)
        compiled = compile_stub(f"{tmp_path}/versions/{number}/train.py:get_pipeline")
        versions.append(compiled.definition_text)
        elsewhere = shutil.copytree(repository, tmp_path / "clones" / str(number))
        assert compile_stub(f"{elsewhere}/train.py:get_pipeline", cache=False).definition_text == versions[-1]
    assert versions[0] == versions[1] != versions[2]
