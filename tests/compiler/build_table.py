"""Builds the same pipelines under changed circumstances, and says which steps came out differently.

A row is a kind of step with code of its own, a column is a circumstance. Each cell says whether that row's steps are
what they were; in the last column, whether they alone have changed when their own code did.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.compiler import CompiledPipeline, compile_pipeline
from airflow_sm_pipelines.environments import ensure_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SCRIPTS = Path(__file__).parent.parent / "data" / "scripts" / "builds"
ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
DAYS_AHEAD = 400

SHARED = {
    "Processor": ("Processor (local inputs)", "code/processor/data.csv"),
    "ScriptProcessor": ("ScriptProcessor", "code/script_processor/run.py"),
    "FrameworkProcessor": ("FrameworkProcessor", "code/framework_processor/run.py"),
    "PySpark": ("PySpark with configuration", "code/pyspark/extra.py"),
    "LocalInputs": ("training with local data", "code/local_inputs/data.csv"),
    "Tuner": ("tuner", "code/tuner/train.py"),
    "ModelCode": ("model with code, created", "code/model/inference.py"),
    "ModelRegister": ("model with code, registered", "code/model/inference.py"),
    "RepackSourceDir": ("repacking with source_dir", "code/repack_source_dir/inference.py"),
    "Transform": ("Transform", None),
    "ClarifyCheck": ("Clarify check", None),
    "QualityCheck": ("quality check", "code/quality_check/preprocess.py"),
    "MonitorBatchTransform": ("MonitorBatchTransform", "code/quality_check/preprocess.py"),
    "NotebookNamed": ("notebook, named", "code/notebook_named/run.ipynb"),
    "Notebook-ipynb": ("notebook, unnamed", "code/notebook/Notebook.ipynb"),
    "Lambda": ("Lambda", None),
    "Emr": ("EMR", None),
    "FunctionPlain": ("@step", "SCRIPT:value + 1:value + 2"),
    "FunctionDependencies": ("@step with dependencies", "SCRIPT:2 * value:3 * value"),
    "FunctionClosure": ("@step, closure", "helpers.py:return 3:return 4"),
    "FunctionClass": ("@step that uses a class", "SCRIPT:hello:good day"),
    "add_one": ("@step, unnamed", "SCRIPT:value + 1:value + 2"),
}
"""By the beginning of its steps' names: a row's words, and the file that is its own, with a text in it and another.

`SCRIPT` is the pipeline script itself. What lies below `GIT` is in the repository that a step's code is cloned from.
"""

V2 = SHARED | {
    "EstimatorStepArgs": ("estimator, step_args", "code/estimator_step_args/train.py"),
    "Estimator": ("estimator, estimator=", "code/estimator/train.py"),
    "DebuggerRules": ("estimator with debugger rules", None),
    "TunerSeveral": ("tuner of several estimators", "code/tuner_several/train.py"),
    "ModelCreate": ("model without code, created", None),
    "PipelineModel": ("PipelineModel, created and registered", "code/pipeline_model/inference.py"),
    "Repack": ("repacking without source_dir", "code/repack/inference.py"),
    "AutoML": ("AutoML", None),
    "GitConfig": ("estimator with git_config", "GIT/code/estimator/train.py"),
}
V3 = SHARED | {
    "ModelTrainer": ("ModelTrainer", "code/estimator/train.py"),
    "Recipe": ("ModelTrainer with a recipe", "code/recipe/recipe.yaml:1024:2048"),
    "SecondTuner": ("a second tuner", "code/tuner_several/train.py"),
    "ModelBuilder": ("ModelBuilder", None),
    "PipelineModel": ("ModelBuilder of several models", None),
    "Repack": ("repacking without source_dir", "code/repack/inference.py"),
}
WORKSPACE = {"FunctionWorkspace": ("@step with its workspace", "workspace/greeting.py:hello:good day")}
SHARED_FILES = {
    "FunctionPlain": {"add_one"},
    "add_one": {"FunctionPlain"},
    "ModelCode": {"ModelRegister"},
    "ModelRegister": {"ModelCode"},
    "QualityCheck": {"MonitorBatchTransform"},
    "MonitorBatchTransform": {"QualityCheck"},
}
"""Rows whose own file is another row's own, too."""


@dataclass
class Sdk:
    """An SDK to build with: its script, and which rows that has."""

    name: str
    script: str
    requirements: tuple[str, ...]
    rows: Mapping[str, tuple[str, str | None]]


SDKS = {
    "v2": Sdk("v2", "builds_v2.py", ("sagemaker>=2.257,<3",), V2),
    "v3": Sdk("v3", "builds_v3.py", ("sagemaker-mlops>=1.27,<2",), V3),
    "v2, workspace": Sdk("v2, workspace", "workspace/workspace_v2.py", ("sagemaker>=2.257,<3",), WORKSPACE),
    "v3, workspace": Sdk("v3, workspace", "workspace/workspace_v3.py", ("sagemaker-mlops>=1.27,<2",), WORKSPACE),
}
GIT_REPOSITORY = "https://git.example.com/team/steps.git"


@dataclass
class Bench:
    """Where the table's builds are made.

    :param work: a folder for copies of the scripts; the cache lies in it.
    """

    sdk: Sdk
    work: Path
    environment: Mapping[str, str]
    environments: Path
    _count: int = field(default=0)

    def __post_init__(self) -> None:
        self.cache = self.work / "cache"
        self.cache.mkdir(parents=True)
        (self.cache / "environments").symlink_to(self.environments)
        self.source = self.copy(SCRIPTS, "first")
        self.origin = origin = self.copy(SCRIPTS, "git-config")
        commit(origin)
        # Git finds the repository here instead of on a server.
        self.git = {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{origin}.insteadOf",
            "GIT_CONFIG_VALUE_0": GIT_REPOSITORY,
        }

    def copy(self, folder: Path, name: str) -> Path:
        """Give a copy of the scripts in a folder of its own."""
        self._count += 1
        return Path(shutil.copytree(folder, self.work / f"{self._count}-{name}" / "pipelines"))

    def build(self, folder: Path, *, interpreter: str | None = None, **env: str) -> CompiledPipeline:
        """Build once, without taking an earlier build."""
        lines: list[str] = []
        with environment(**self.git, **env):
            return compile_pipeline(
                f"{folder / self.sdk.script}:get_pipeline",
                config={"git_repository": GIT_REPOSITORY} if "GitConfig" in self.sdk.rows else None,
                role_arn=ROLE,
                region="us-east-1",
                interpreter=interpreter,
                aws_environment=self.environment,
                cache_dir=self.cache,
                timeout_seconds=500,
                cache=False,
                log=lines.append,
            )

    @property
    def python(self) -> Path:
        """The SDK's own interpreter."""
        return ensure_environment(self.sdk.requirements, cache_dir=self.cache)


@contextmanager
def environment(**changes: str) -> Iterator[None]:
    """Change environment variables for a while."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def rows_of(sdk: Sdk, definition_text: str) -> dict[str, str]:
    """Give the text of each row's steps, the longest beginning of a step's name deciding on its row."""
    found: dict[str, list[str]] = defaultdict(list)
    for step in json.loads(definition_text)["Steps"]:
        row = max((row for row in sdk.rows if step["Name"].startswith(row)), key=len, default=None)
        if row is not None:
            found[row].append(json.dumps(step, sort_keys=True))
    return {row: "\n".join(texts) for row, texts in found.items()}


def edit(folder: Path, change: str) -> None:
    """Change a file: `FILE:TEXT:OTHER`, or `FILE` for whatever changes its content and keeps it valid."""
    name, _, rest = change.partition(":")
    path = folder / name
    text = path.read_text()
    if rest:
        old, _, new = rest.partition(":")
        assert old in text, (name, old)
        path.write_text(text.replace(old, new))
    elif path.suffix == ".ipynb":
        path.write_text(text.replace('"metadata": {}', '"metadata": {"edited": true}'))
    else:
        path.write_text(text + ("OTHER = 1\n" if path.suffix == ".py" else "3,4\n"))


def add_comment(folder: Path) -> None:
    """Move every function of the scripts down by two lines, which change nothing."""
    for path in folder.glob("*.py"):
        lines = path.read_text().splitlines(keepends=True)
        at = next(index for index, line in enumerate(lines) if line.startswith('"""')) + 1
        while at < len(lines) and lines[at].strip():
            at += 1
        path.write_text("".join([*lines[:at], "\n# A comment.\n# Another one.\n", *lines[at:]]))


def commit(folder: Path) -> None:
    """Make a folder a repository with one commit."""
    settings = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*settings, "commit", "-q", "-m", "One"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)


def clone(bench: Bench) -> Path:
    """Commit the scripts to a repository and clone it, as somebody whose files nobody else may read."""
    origin = bench.copy(SCRIPTS, "origin")
    commit(origin)
    target = bench.work / "clones" / "deep" / "down"
    subprocess.run(["git", "clone", "-q", str(origin), str(target)], check=True, capture_output=True, umask=0o077)
    return target


LATER = f"""import time

AHEAD = {DAYS_AHEAD} * 86400


class Later:
    __module__ = "time"

    def __init__(self, name, call):
        self.__name__, self.call = name, call

    def __call__(self, *given):
        return self.call(*given)


def change(name, make):
    setattr(time, name, Later(name, make(getattr(time, name))))


change("time", lambda real: lambda: real() + AHEAD)
change("time_ns", lambda real: lambda: real() + AHEAD * 10**9)
for name in ("gmtime", "localtime"):
    change(name, lambda real: lambda *given: real(*(given or (time.time(),))))
"""
"""A module that makes Python's clock run ahead."""


def python_ahead(bench: Bench) -> str:
    """Give a Python with the SDK in which it is some hundred days later."""
    target = bench.work / "ahead"
    if not target.exists():
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(target)], check=True)
        packages = next(target.glob("lib/python*/site-packages"))
        own = next(bench.python.parent.parent.glob("lib/python*/site-packages"))
        (packages / "later.py").write_text(LATER)
        # The distributions' records must lie here, too: the compiler looks for the SDK by them.
        (packages / "later.pth").write_text(f"{own}\nimport later\n")
    return str(target / "bin" / "python")


def python_on_another_host(bench: Bench) -> str | None:
    """Give a Python that runs on a machine of another name; None where this machine cannot pretend."""
    path = bench.work / "elsewhere"
    inner = 'hostname elsewhere && exec "$0" "$@"'
    path.write_text(f"#!/bin/sh\nexec unshare --uts sh -c '{inner}' {bench.python} \"$@\"\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    probe = [str(path), "-c", "import socket; print(socket.gethostname())"]
    done = subprocess.run(probe, capture_output=True, text=True)
    return str(path) if done.stdout.strip() == "elsewhere" else None


def other_user(bench: Bench) -> dict[str, str]:
    """Give the variables of another user."""
    home = bench.work / "home-of-another"
    home.mkdir(exist_ok=True)
    return {"HOME": str(home), "USER": "another", "LOGNAME": "another"}


def build_everywhere_else(bench: Bench) -> CompiledPipeline:
    """Change every circumstance at once, and build."""
    folder = clone(bench)
    add_comment(folder)
    (folder / "NOTES.md").write_text("Nothing that a step uses.\n")
    return bench.build(folder, interpreter=python_ahead(bench), PYTHONHASHSEED="7", **other_user(bench))


def _in_other_folder(bench: Bench) -> CompiledPipeline:
    return bench.build(bench.copy(SCRIPTS, "other/and/deeper"))


def _with_a_file_outside(bench: Bench) -> CompiledPipeline:
    folder = bench.copy(SCRIPTS, "outside")
    (folder / "NOTES.md").write_text("Nothing that a step uses.\n")
    (folder / "another_module.py").write_text("UNUSED = 1\n")
    return bench.build(folder)


def _with_a_comment(bench: Bench) -> CompiledPipeline:
    folder = bench.copy(SCRIPTS, "comment")
    add_comment(folder)
    return bench.build(folder)


def _on_another_host(bench: Bench) -> CompiledPipeline | None:
    python = python_on_another_host(bench)
    return None if python is None else bench.build(bench.source, interpreter=python)


CIRCUMSTANCES: dict[str, Callable[[Bench], CompiledPipeline | None]] = {
    "again in place": lambda bench: bench.build(bench.source),
    "other folder": _in_other_folder,
    "other user": lambda bench: bench.build(bench.source, **other_user(bench)),
    "other host name": _on_another_host,
    "other hash seed": lambda bench: bench.build(bench.source, PYTHONHASHSEED="7"),
    f"{DAYS_AHEAD} days on": lambda bench: bench.build(bench.source, interpreter=python_ahead(bench)),
    "new clone": lambda bench: bench.build(clone(bench)),
    "a file outside": _with_a_file_outside,
    "a comment above functions": _with_a_comment,
}
"""By its words, how a circumstance is made; None where this machine cannot."""


def changed_rows(bench: Bench, before: dict[str, str], compiled: CompiledPipeline) -> set[str]:
    """Give the rows whose steps are other ones than before."""
    after = rows_of(bench.sdk, compiled.definition_text)
    return {row for row in before | after if before.get(row) != after.get(row)}


def build_with_edit(bench: Bench, row: str) -> CompiledPipeline:
    """Change a row's own code, and build."""
    folder = bench.copy(SCRIPTS, f"edit-{row}")
    change = bench.sdk.rows[row][1]
    assert change is not None, row
    if not change.startswith("GIT/"):
        edit(folder, change.replace("SCRIPT", bench.sdk.script))
        return bench.build(folder)
    edit(bench.origin, change.removeprefix("GIT/"))
    commit(bench.origin)
    compiled = bench.build(folder)
    subprocess.run(["git", "reset", "-q", "--hard", "HEAD~1"], cwd=bench.origin, check=True, capture_output=True)
    return compiled


def prepare_aws(endpoint: str) -> dict[str, str]:
    """Make what the scripts expect to find there, and give the variables of a child that uses it."""
    import io
    import tarfile

    import boto3

    keys = {"aws_access_key_id": "test-access", "aws_secret_access_key": "test-secret"}

    def client(service: str) -> Any:
        return boto3.client(service, region_name="us-east-1", endpoint_url=endpoint, **keys)

    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam = client("iam")
    if not any(role["Arn"] == ROLE for role in iam.list_roles()["Roles"]):
        policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam.create_role(RoleName=ROLE.rpartition("/")[2], AssumeRolePolicyDocument=policy)
    model = io.BytesIO()
    with tarfile.open(fileobj=model, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("model.txt"))
    client("s3").create_bucket(Bucket="bucket")
    client("s3").put_object(Bucket="bucket", Key="model.tar.gz", Body=model.getvalue())
    return {
        "AWS_ACCESS_KEY_ID": keys["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": keys["aws_secret_access_key"],
        "AWS_ENDPOINT_URL": endpoint,
    }


PAGE = """# What a build depends on

The tables say what changes a definition and what does not. `make builds` makes this page; edit
`tests/compiler/build_table.py` instead. Each row is a kind of step. Each column is a circumstance under which the
whole pipeline was built again without the cache. *same*: the row's steps are equal, byte for byte. The last column
changes what only this row uses. *alone*: this row's steps changed, and all others stayed. A dash: the row has no code
of its own, or the circumstance could not be made.

"""
GAPS = """
## What is not in the table

- Objects whose key the script itself chooses, such as `upload_data(..., key_prefix="data")`. They are uploaded under
  that key. A change of their bytes alone does not change the definition.
- A `@step` function from an imported module. It travels by the module's name, as the SDK does it. Its code is part of
  the definition only with the workspace (`IncludeLocalWorkDir`). Functions of the pipeline script itself travel whole.
- `@step` of SDK v3 signs its payload. The key is a secret of the machine that built first. Once the pipeline is
  deployed, an unchanged function keeps the deployed key and payload on every machine. Two machines that build before
  anything is deployed have different keys.
- `AutoMLStep` of SDK v3 (3.27). Its constructor asks for `Session.auto_ml`, which v3 no longer has. So no script can
  make one.
- A tuner of several trainers of SDK v3 (1.27). Its `TuningStep` reads the one trainer that such a tuner does not have.
  So no script can make one. The trainers and estimators of v3 take no `git_config` and no debugger rules.
- `SFTTrainer` and its kin, and recipes of `ModelTrainer` that are named or made for GPUs. They ask SageMaker's hub and
  GitHub. No test on this machine can reach these.
- An older v3. The oldest that docs/scripts.md supports, 1.27, is also the newest on the index today.
- Clients that pass botocore by, such as the S3 client of pyarrow. They are neither held back nor asked again.
- The clock's column shifts Python's `time` module; the user's changes `HOME`, `USER` and `LOGNAME`.
- A build with `git_config` runs each time: what a branch names can change.
"""


def main(path: str) -> int:
    """Make the whole table and write the page."""
    import tempfile

    from moto.server import ThreadedMotoServer

    from airflow_sm_pipelines.environments import default_cache_dir

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"
    aws = prepare_aws(f"http://{host}:{port}")
    parts, is_good = [], True
    with tempfile.TemporaryDirectory(prefix="builds-") as work:
        for number, sdk in enumerate(SDKS.values()):
            environments = default_cache_dir(os.environ) / "environments"
            part, is_part_good = table_of(Bench(sdk, Path(work, str(number)), aws, environments))
            parts.append(part)
            is_good &= is_part_good
    server.stop()
    Path(path).write_text(PAGE + "\n".join(parts) + GAPS)
    return 0 if is_good else 1


def table_of(bench: Bench) -> tuple[str, bool]:
    """Build under each circumstance and with each row's change; give the table, and whether every cell is good."""
    first = bench.build(bench.source)
    before = rows_of(bench.sdk, first.definition_text)
    cells: dict[str, list[str]] = {row: [] for row in bench.sdk.rows}
    for words, build in CIRCUMSTANCES.items():
        compiled = build(bench)
        changed = None if compiled is None else changed_rows(bench, before, compiled)
        print(bench.sdk.name, words, "not possible here" if changed is None else sorted(changed), flush=True)
        for row, found in cells.items():
            found.append("-" if changed is None else "**changes**" if row in changed else "same")
    for row, (_, change) in bench.sdk.rows.items():
        if change is None:
            cells[row].append("-")
            continue
        changed = changed_rows(bench, before, build_with_edit(bench, row))
        others = changed - {row} - SHARED_FILES.get(row, set())
        print(bench.sdk.name, "edited", row, sorted(changed), flush=True)
        cells[row].append(
            "**unchanged**" if row not in changed else f"**with {', '.join(sorted(others))}**" if others else "alone"
        )
    head = ["step", *CIRCUMSTANCES, "its own change"]
    lines = [f"## {bench.sdk.name}: {first.sdk_version}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [f"| {bench.sdk.rows[row][0]} | {' | '.join(found)} |" for row, found in cells.items()]
    return "\n".join([*lines, ""]), "**" not in "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
