"""When a compiled pipeline is used again, and when the script runs anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.compiler import Upload

if TYPE_CHECKING:
    from .conftest import Compiler

pytestmark = pytest.mark.processes

Write = Callable[[str], str]

UPLOADS = """
import os
from pathlib import Path
from sagemaker.workflow.pipeline import Pipeline

def get_pipeline(session, role, depth=1):
    s3 = session.boto_session.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket=session.default_bucket())
    s3.upload_file(str(Path(__file__).with_name("step.py")), session.default_bucket(), "code/step.py")
    return Pipeline("uploads", steps=[role, depth, os.environ.get("STAGE"), Path(%r).read_text()])
"""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file the script reads that lies outside its folder."""
    path = tmp_path / "elsewhere" / "settings.txt"
    path.parent.mkdir()
    path.write_text("a")
    return path


@pytest.fixture
def reference(write_script: Write, outside: Path) -> str:
    found = write_script(UPLOADS % str(outside))
    Path(found.rpartition(":")[0]).with_name("step.py").write_text("print('step')\n")
    return found


def s3_client(compiler: Compiler) -> Any:
    import boto3

    return boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=compiler.aws_environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="k",
        aws_secret_access_key="s",
    )


BUCKET = "sagemaker-us-east-1-123456789012"


def test_an_unchanged_script_is_not_run_again(compile_stub: Compiler, reference: str):
    cold = compile_stub(reference)
    assert not cold.from_cache
    assert cold.uploads == (Upload(f"s3://{BUCKET}/code/step.py", size_bytes=14),)
    warm = compile_stub(reference)
    assert warm.from_cache
    assert (warm.name, warm.definition_text, warm.uploads, warm.sdk_version) == (
        cold.name,
        cold.definition_text,
        cold.uploads,
        cold.sdk_version,
    )


def test_a_build_without_the_cache_says_so_and_is_kept(compile_stub: Compiler, reference: str):
    compile_stub(reference)
    assert not compile_stub(reference, cache=False).from_cache
    said = f"{reference} is built anew: the options say that no earlier build is to be taken."
    assert compile_stub.lines.count(said) == 1
    assert compile_stub(reference).from_cache
    assert compile_stub.lines.count(said) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {"depth": 2}},
        {"role_arn": "arn:aws:iam::123456789012:role/Other"},
        {"region": "eu-west-1"},
        {"default_bucket": "another-bucket"},
        {"pipeline_name": "staging"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_other_arguments_are_another_pipeline(compile_stub: Compiler, reference: str, changes: dict[str, Any]):
    compile_stub(reference)
    assert not compile_stub(reference, **changes).from_cache


def test_a_change_in_the_scripts_folder_runs_it(compile_stub: Compiler, reference: str):
    compile_stub(reference)
    Path(reference.rpartition(":")[0]).with_name("step.py").write_text("print('other')\n")
    assert not compile_stub(reference).from_cache


def test_a_change_of_a_file_it_read_elsewhere_runs_it(compile_stub: Compiler, reference: str, outside: Path):
    compile_stub(reference)
    outside.write_text("b")
    changed = compile_stub(reference)
    assert not changed.from_cache
    assert '"b"' in changed.definition_text


ASKS = """
import os
from pathlib import Path
from sagemaker.workflow.pipeline import Pipeline

def get_pipeline(session):
    return Pipeline("asks", steps=[%s])
"""


def put(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    "question",
    ["Path(PLACE).exists()", "os.path.isfile(PLACE)", "os.access(PLACE, os.R_OK)", "Path(PLACE).is_file()"],
)
def test_a_file_that_it_only_asked_for_counts_once_it_is_there(
    compile_stub: Compiler, write_script: Write, tmp_path: Path, question: str
):
    place = tmp_path / "elsewhere" / "flag"
    reference = write_script(ASKS % question.replace("PLACE", repr(str(place))))
    before = compile_stub(reference)
    assert compile_stub(reference).from_cache
    put(place, "on")
    there = compile_stub(reference)
    assert (there.from_cache, there.definition_text != before.definition_text) == (False, True)
    put(place, "its content was never asked for")
    assert compile_stub(reference).from_cache
    place.unlink()
    assert compile_stub(reference).definition_text == before.definition_text


def test_the_size_of_a_file_that_it_asked_for_counts(compile_stub: Compiler, write_script: Write, tmp_path: Path):
    place = tmp_path / "elsewhere" / "data.csv"
    put(place, "1,2")
    reference = write_script(ASKS % f"os.path.getsize({str(place)!r})")
    compile_stub(reference)
    assert compile_stub(reference).from_cache
    put(place, "1,2,3")
    assert not compile_stub(reference).from_cache


def test_what_it_asks_of_its_own_folder_needs_no_second_look(compile_stub: Compiler, write_script: Write):
    reference = write_script(ASKS % "Path(__file__).with_name('step.py').exists(), os.path.exists('/usr/bin')")
    compile_stub(reference)
    assert compile_stub(reference).from_cache
    Path(reference.rpartition(":")[0]).with_name("step.py").write_text("x = 1")
    assert not compile_stub(reference).from_cache


def test_a_change_of_a_module_it_imported_from_elsewhere_runs_it(
    compile_stub: Compiler, write_script: Write, tmp_path: Path
):
    library = tmp_path / "library"
    library.mkdir()
    (library / "shared_names.py").write_text("NAME = 'one'\n")
    reference = write_script(
        f"import sys\nsys.path.insert(0, {str(library)!r})\nimport shared_names\n"
        "from sagemaker.workflow.pipeline import Pipeline\n\n"
        "def get_pipeline():\n    return Pipeline(shared_names.NAME)\n"
    )
    compile_stub(reference)
    Path(reference.rpartition(":")[0]).with_name("other.txt").write_text("the second build reads the module's bytecode")
    assert compile_stub(reference).name == "one"
    (library / "shared_names.py").write_text("NAME = 'another'\n")
    assert compile_stub(reference).name == "another"


def test_a_change_of_a_variable_it_read_runs_it(
    compile_stub: Compiler, reference: str, monkeypatch: pytest.MonkeyPatch
):
    compile_stub(reference)
    monkeypatch.setenv("STAGE", "production")
    changed = compile_stub(reference)
    assert not changed.from_cache
    assert '"production"' in changed.definition_text
    monkeypatch.setenv("A_VARIABLE_IT_DOES_NOT_READ", "x")
    assert compile_stub(reference).from_cache


@pytest.mark.parametrize(
    "read",
    [
        'string.Template("$STAGE").safe_substitute(os.environ)',
        '{**os.environ}.get("STAGE")',
        'os.getenvb(b"STAGE", b"").decode()',
        'settings_library.load()["stage"]',
    ],
    ids=["template", "copy", "bytes", "library"],
)
def test_a_variable_counts_however_it_is_read(
    compile_stub: Compiler, write_script: Write, stub_python: Path, monkeypatch: pytest.MonkeyPatch, read: str
):
    packages = next(stub_python.parent.parent.glob("lib/python*/site-packages"))
    library = "import os\ndef load():\n    return {'stage': None} | {k.lower(): os.environ[k] for k in os.environ}\n"
    (packages / "settings_library.py").write_text(library)
    script = "import os, string, settings_library\nfrom sagemaker.workflow.pipeline import Pipeline\n"
    reference = write_script(f"{script}def get_pipeline():\n    return Pipeline('x', steps=[{read}])\n")
    monkeypatch.delenv("STAGE", raising=False)
    compile_stub(reference)
    assert compile_stub(reference).from_cache
    monkeypatch.setenv("STAGE", "production")
    changed = compile_stub(reference)
    assert not changed.from_cache
    assert '"production"' in changed.definition_text


def test_a_variable_that_the_script_sets_itself_is_no_change(compile_stub: Compiler, write_script: Write):
    script = "import os\nfrom sagemaker.workflow.pipeline import Pipeline\nos.environ['STAGE'] = 'own'\n"
    reference = write_script(f"{script}\ndef get_pipeline():\n    return Pipeline(os.environ['STAGE'])\n")
    assert compile_stub(reference).name == "own"
    assert compile_stub(reference).from_cache


def test_a_bucket_of_somebody_else_is_no_change(compile_stub: Compiler, write_script: Write):
    body = (
        "from sagemaker.workflow.pipeline import Pipeline\n\ndef get_pipeline(session):\n"
        "    bucket = session.boto_session.resource('s3').Bucket('mine')\n"
        "    return Pipeline('bucket', steps=[str(bucket.creation_date is None)])\n"
    )
    reference = write_script(body)
    assert '"True"' in compile_stub(reference).definition_text
    s3_client(compile_stub).create_bucket(Bucket="of-somebody-else")
    assert compile_stub(reference).from_cache
    s3_client(compile_stub).create_bucket(Bucket="mine")
    assert '"False"' in compile_stub(reference).definition_text


def test_the_value_of_a_variable_is_not_kept(
    compile_stub: Compiler, reference: str, monkeypatch: pytest.MonkeyPatch, write_script: Write
):
    monkeypatch.setenv("STAGE", "token-1234")
    script = "import os\nfrom sagemaker.workflow.pipeline import Pipeline\n\n\ndef get_pipeline():\n"
    compile_stub(write_script(script + "    assert os.getenv('STAGE')\n    return Pipeline('secret')\n"))
    kept = list((compile_stub.cache_dir / "definitions").glob("*.json"))
    assert len(kept) == 1
    assert "STAGE" in kept[0].read_text()
    assert "token-1234" not in kept[0].read_text()


def test_a_lost_code_object_runs_the_script_which_puts_it_back(compile_stub: Compiler, reference: str):
    compile_stub(reference)
    s3 = s3_client(compile_stub)
    s3.delete_object(Bucket=BUCKET, Key="code/step.py")
    assert not compile_stub(reference).from_cache
    assert s3.get_object(Bucket=BUCKET, Key="code/step.py")["Body"].read() == b"print('step')\n"


def test_a_code_object_that_somebody_overwrote_runs_the_script(compile_stub: Compiler, reference: str):
    compile_stub(reference)
    s3_client(compile_stub).put_object(Bucket=BUCKET, Key="code/step.py", Body=b"other")
    assert not compile_stub(reference).from_cache


def test_a_profile_of_the_parent_does_not_matter(
    compile_stub: Compiler, reference: str, monkeypatch: pytest.MonkeyPatch
):
    compile_stub(reference)
    monkeypatch.setenv("AWS_PROFILE", "of-the-parent")
    assert compile_stub(reference).from_cache


def test_an_unreadable_entry_is_no_entry(compile_stub: Compiler, reference: str):
    compile_stub(reference)
    for entry in (compile_stub.cache_dir / "definitions").glob("*.json"):
        entry.write_text(entry.read_text()[:100])
    assert not compile_stub(reference).from_cache
    assert compile_stub(reference).from_cache


def test_a_failed_build_is_not_kept(compile_stub: Compiler, write_script: Write):
    reference = write_script("def get_pipeline():\n    raise RuntimeError\n")
    with pytest.raises(Exception, match="RuntimeError"):
        compile_stub(reference)
    assert not list(compile_stub.cache_dir.rglob("*.json"))


def test_a_cache_that_cannot_be_written_to_is_said_and_does_no_harm(compile_stub: Compiler, reference: str):
    compile_stub.cache_dir.mkdir()
    (compile_stub.cache_dir / "definitions").write_text("a file in the way")
    assert compile_stub(reference).name == "uploads"
    assert "could not be kept" in compile_stub.log


def test_another_port_of_the_local_endpoint_is_the_same_account(compile_stub: Compiler, reference: str):
    cold = compile_stub(reference)
    environment = dict(compile_stub.aws_environment)
    environment["AWS_ENDPOINT_URL"] = environment["AWS_ENDPOINT_URL"].replace("127.0.0.1", "localhost")
    warm = compile_stub(reference, aws_environment=environment)
    assert warm.from_cache
    assert warm.definition_text == cold.definition_text
