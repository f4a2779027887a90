"""A kept build is used only while nothing it depends on can have changed; else the log says why it is built."""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from airflow_sm_pipelines.environments import find_uv

if TYPE_CHECKING:
    from .conftest import Compiler

pytestmark = pytest.mark.processes

Write = Callable[[str], str]

SCRIPT = """
{imports}
from sagemaker.workflow.pipeline import Pipeline

def get_pipeline(session):
    {body}
    return Pipeline("each", steps=[str({value})])
"""


def script(value: str, imports: str = "", body: str = "pass") -> str:
    return SCRIPT.format(imports=imports, body=body, value=value)


ASKS = {
    "time.time()": ("import time", "the clock (time.time)"),
    "time.strftime('%H')": ("import time", "the clock (time.strftime)"),
    "time.gmtime()": ("import time", "the clock (time.gmtime)"),
    "time.time_ns()": ("import time", "the clock (time.time_ns)"),
    "datetime.now()": ("from datetime import datetime", "the clock (datetime.now)"),
    "datetime.datetime.utcnow()": ("import datetime", "the clock (datetime.utcnow)"),
    "datetime.date.today()": ("import datetime", "the clock (datetime.today)"),
    "uuid.uuid4()": ("import uuid", "randomness (uuid.uuid4)"),
    "random.random()": ("import random", "randomness (random.random)"),
    "random.Random().random()": ("import random", "randomness (random.Random)"),
    "secrets.token_hex(4)": ("import secrets", "randomness (secrets.token_hex)"),
    "os.urandom(4)": ("import os", "randomness (os.urandom)"),
    "socket.gethostname()": ("import socket", "the machine's name"),
    "platform.node()": ("import platform", "the machine or the user (platform.node)"),
    "getpass.getuser()": ("import getpass", "the machine or the user (getpass.getuser)"),
    "subprocess.run(['true'])": ("import subprocess", "the output of another program (true)"),
    "os.system('true')": ("import os", "the output of another program (true)"),
}


@pytest.mark.parametrize("value", ASKS)
def test_what_is_never_the_same_twice_is_built_each_time(compile_stub: Compiler, write_script: Write, value: str):
    imports, reason = ASKS[value]
    reference = write_script(script(value, imports))
    for _ in range(2):
        compiled = compile_stub(reference)
        assert not compiled.from_cache
        assert {reason[:19] for reason in compiled.built_each_time} == {"train.py:7 asks for"}
        assert compiled.built_each_time[0].startswith(f"train.py:7 asks for {reason}")
    assert "is built each time: train.py:7 asks for" in compile_stub.log


@pytest.mark.parametrize(
    ("value", "imports"),
    [
        ("random.random()", "import random\nrandom.seed(7)"),
        ("random.Random(7).random()", "import random"),
        ("logging.getLogger().warning('x')", "import logging"),
        ("tempfile.mkdtemp()[:0]", "import tempfile"),
        ("time.strftime('%H', time.gmtime(0))", "import time"),
        ("uuid.uuid5(uuid.NAMESPACE_DNS, 'a')", "import uuid"),
        ("datetime.date(2020, 1, 1)", "import datetime"),
        ("session.boto_session.client('s3').list_buckets()['Owner']", ""),
        ("name_from_base('a')", "from sagemaker.utils import name_from_base"),
        ("time.perf_counter() > 0", "import time"),
    ],
)
def test_what_is_the_same_again_is_kept(compile_stub: Compiler, write_script: Write, value: str, imports: str):
    reference = write_script(script(value, imports))
    assert compile_stub(reference).built_each_time == ()
    assert compile_stub(reference).from_cache


def test_a_library_that_asks_for_the_user_counts_and_what_it_does_when_imported_does_not(
    compile_stub: Compiler, write_script: Write, stub_python: Path
):
    packages = next(stub_python.parent.parent.glob("lib/python*/site-packages"))
    (packages / "some_clock.py").write_text("import time\nSTARTED = time.time()\ndef now():\n    return time.time()\n")
    try:
        imported = write_script(script("some_clock.__name__", "import some_clock"))
        assert compile_stub(imported).built_each_time == ()
        used = compile_stub(write_script(script("some_clock.now()", "import some_clock")))
        assert used.built_each_time == ("train.py:7 asks for the clock (time.time)",)
    finally:
        (packages / "some_clock.py").unlink()


def test_a_connection_that_passes_botocore_by_is_built_each_time(
    compile_stub: Compiler, write_script: Write, aws_endpoint: str
):
    value = f"urllib.request.urlopen('{aws_endpoint}/moto-api/').status"
    compiled = compile_stub(write_script(script(value, "import urllib.request")))
    assert any("asks for an answer of 127.0.0.1" in reason for reason in compiled.built_each_time)


def test_a_neighbours_call_is_named_by_its_own_line(compile_stub: Compiler, write_script: Write, tmp_path: Path):
    reference = write_script(script("naming.suffix()", "import naming"))
    (tmp_path / "scripts" / "naming.py").write_text("import time\n\n\ndef suffix():\n    return time.time()\n")
    assert compile_stub(reference).built_each_time == ("naming.py:5 asks for the clock (time.time)",)


LISTS = script(
    "[entry['Key'] for entry in s3.list_objects_v2(Bucket='answers', Prefix='in/').get('Contents', ())]",
    body="s3 = session.boto_session.client('s3')",
)


@pytest.fixture
def answers(compile_stub: Compiler) -> Callable[[str], None]:
    """Put an object where the script looks."""
    s3 = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=compile_stub.aws_environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="k",
        aws_secret_access_key="s",
    )
    s3.create_bucket(Bucket="answers")
    for entry in s3.list_objects_v2(Bucket="answers").get("Contents", ()):
        s3.delete_object(Bucket="answers", Key=entry["Key"])
    return lambda key: s3.put_object(Bucket="answers", Key=key, Body=b"")


def test_another_answer_of_aws_is_another_build(
    compile_stub: Compiler, write_script: Write, answers: Callable[[str], None]
):
    reference = write_script(LISTS)
    compile_stub(reference)
    assert compile_stub(reference).from_cache
    answers("elsewhere")
    assert compile_stub(reference).from_cache
    answers("in/a")
    changed = compile_stub(reference)
    assert not changed.from_cache
    assert "in/a" in changed.definition_text
    assert "is built again: s3:ListObjectsV2 has another answer now" in compile_stub.log


def test_an_error_of_aws_is_an_answer_too(compile_stub: Compiler, write_script: Write, answers: Callable[[str], None]):
    body = (
        "s3 = session.boto_session.client('s3')\n"
        "    try:\n        found = s3.head_object(Bucket='answers', Key='in/b')\n"
        "    except Exception as error:\n        found = {'ContentLength': 'none'}"
    )
    reference = write_script(script("found['ContentLength']", body=body))
    assert '"none"' in compile_stub(reference).definition_text
    assert compile_stub(reference).from_cache
    answers("in/b")
    assert '"0"' in compile_stub(reference).definition_text


def test_a_hidden_file_of_the_scripts_folder_counts(compile_stub: Compiler, write_script: Write, tmp_path: Path):
    reference = write_script(script("open('.env').read()"))
    (tmp_path / "scripts" / ".env").write_text("a")
    compile_stub(reference)
    assert compile_stub(reference).from_cache
    (tmp_path / "scripts" / ".env").write_text("b")
    assert '"b"' in compile_stub(reference).definition_text


def test_names_in_a_folder_outside_count(compile_stub: Compiler, write_script: Write, tmp_path: Path):
    outside = tmp_path / "data"
    outside.mkdir()
    reference = write_script(script(f"sorted(os.listdir({str(outside)!r}))", "import os"))
    compile_stub(reference)
    assert compile_stub(reference).from_cache
    (outside / "new.csv").touch()
    assert "new.csv" in compile_stub(reference).definition_text


def test_a_file_that_was_missing_counts_when_it_comes(compile_stub: Compiler, write_script: Write, tmp_path: Path):
    path = tmp_path / "perhaps.txt"
    body = f"text = ''\n    with contextlib.suppress(OSError):\n        text = open({str(path)!r}).read()"
    reference = write_script(script("text", "import contextlib", body))
    compile_stub(reference)
    assert compile_stub(reference).from_cache
    path.write_text("now")
    assert '"now"' in compile_stub(reference).definition_text


def test_the_cache_can_be_left_aside(compile_stub: Compiler, write_script: Write):
    reference = write_script(script("1"))
    compile_stub(reference)
    assert not compile_stub(reference, cache=False).from_cache
    assert compile_stub(reference).from_cache


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_newer_pythons_watch_as_well(
    compile_stub: Compiler, write_script: Write, stub_python: Path, tmp_path: Path, version: str
):
    target = tmp_path / "newer"
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    found = sorted(glob.glob(str(pyenv / "versions" / f"{version}.*" / "bin" / "python")))  # noqa: PTH207 - may be shut
    make = [find_uv(), "venv", "--quiet", "--no-project", "--no-python-downloads"]
    asked = found[0] if found else version
    if subprocess.run([*make, "--python", asked, str(target)], capture_output=True).returncode != 0:
        pytest.skip(f"there is no Python {version}")
    packages = next(target.glob("lib/python*/site-packages"))
    old = next(stub_python.parent.parent.glob("lib/python*/site-packages"))
    for name in ("sagemaker", "sagemaker-2.999.dist-info"):
        shutil.copytree(old / name, packages / name)
    shutil.copy(old / "boto3.pth", packages)
    imports = "import datetime, some_clock"
    (packages / "some_clock.py").write_text("import time\ndef now():\n    return time.time_ns()\n")
    reference = write_script(script("[datetime.datetime.now(), some_clock.now()]", imports))
    compiled = compile_stub(reference, interpreter=str(target / "bin" / "python"))
    assert set(compiled.built_each_time) == {
        "train.py:7 asks for the clock (datetime.now)",
        "train.py:7 asks for the clock (time.time_ns)",
    }
    json.loads(compiled.definition_text)
