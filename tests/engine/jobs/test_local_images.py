"""Images of the user's own, as real jobs: their files and program, by hand or off a Dockerfile."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.jobs import ImageCatalog, ImageError, Isolation, IsolationMode, JobContext, JobOutcome
from airflow_sm_pipelines.engine.jobs.local_images import merge_requirements, plan_image

if TYPE_CHECKING:
    from tests.engine.jobs.conftest import RecordedLog, Storage

Run = Callable[..., JobOutcome]
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/churn:3"
WHERE = """\
import json, os, pathlib, sys
print("cwd", os.getcwd())
print("argv", sys.argv)
print("colour", os.environ.get("COLOUR"))
print("here", sorted(str(path) for path in pathlib.Path("/srv-app").rglob("*") if path.is_file()))
"""


@pytest.fixture
def write_table(context: JobContext, tmp_path: Path) -> Callable[[str], JobContext]:
    """Make a context whose table of images has one entry, for the interpreter of the tests."""

    def write_table(lines: str) -> JobContext:
        table = tmp_path / "images.toml"
        table.write_text(f'[[image]]\nmatch = "team/*"\ninterpreter = "{sys.executable}"\n{lines}\n')
        return replace(context, images=ImageCatalog.load(table))

    return write_table


def processing(*entrypoint: str, arguments: tuple[str, ...] = ()) -> dict[str, Any]:
    application: dict[str, Any] = {"ImageUri": IMAGE}
    if entrypoint:
        application["ContainerEntrypoint"] = list(entrypoint)
    if arguments:
        application["ContainerArguments"] = list(arguments)
    cluster = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
    return {"AppSpecification": application, "ProcessingResources": {"ClusterConfig": cluster}}


def training(**changes: Any) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **changes,
    }


def put_program(folder: Path, name: str, text: str, *, first_line: str = "") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{first_line}\n{text}" if first_line else text)
    path.chmod(0o755)
    return path


def test_a_program_runs_at_its_paths_in_the_image(
    run: Run, write_table: Callable[[str], JobContext], log: RecordedLog, tmp_path: Path
) -> None:
    put_program(tmp_path, "src/run.py", WHERE)
    own = write_table(
        'workdir = "/srv-app"\nfiles = { "/srv-app" = "src" }\nenv = { COLOUR = "red" }\n'
        'entrypoint = ["/usr/local/bin/python3.8", "run.py"]\ncommand = ["--all"]'
    )
    outcome = run("Processing", processing(), context=own)
    assert outcome.status == "Completed", outcome
    assert log.lines == [
        "cwd /srv-app",
        "argv ['run.py', '--all']",
        "colour red",
        "here ['/srv-app/run.py']",
    ]
    log.streams.clear()
    assert run("Processing", processing(arguments=("--one",)), context=own).status == "Completed"
    assert "argv ['run.py', '--one']" in log.lines
    log.streams.clear()
    assert run("Processing", processing("python", "/srv-app/run.py"), context=own).status == "Completed"
    assert "argv ['/srv-app/run.py']" in log.lines


def test_a_job_changes_nothing_in_the_folders_of_its_image(
    run: Run, write_table: Callable[[str], JobContext], tmp_path: Path
) -> None:
    script = "open('/srv-app/new', 'w').write('x'); open('run.py', 'w').write('')"
    put_program(tmp_path, "src/run.py", script)
    own = write_table('workdir = "/srv-app"\nfiles = { "/srv-app" = "src" }\nentrypoint = ["python", "run.py"]')
    assert run("Processing", processing(), context=own).status == "Completed"
    assert (tmp_path / "src" / "run.py").read_text() == script
    assert [path.name for path in (tmp_path / "src").iterdir()] == ["run.py"]
    assert not Path("/srv-app").exists()


def test_without_private_mounts_paths_of_the_image_are_rewritten(
    run: Run, write_table: Callable[[str], JobContext], log: RecordedLog, tmp_path: Path
) -> None:
    put_program(tmp_path, "src/run.py", "import os, sys\nprint(os.listdir('.'), os.path.exists(sys.argv[1]))")
    own = write_table(
        'workdir = "/srv-app"\nfiles = { "/srv-app" = "src" }\nentrypoint = ["python", "/srv-app/run.py"]'
    )
    plain = replace(own, isolation=Isolation(IsolationMode.PATHS, "no mounts"))
    outcome = run("Processing", processing(arguments=("/srv-app/run.py",)), context=plain)
    assert outcome.status == "Completed", outcome
    assert log.lines == ["['run.py'] True"]


BRING_YOUR_OWN = """\
# The usual form of an image of one's own
ARG PYTHON=3.10
FROM python:${PYTHON}-slim AS base
RUN apt-get -y update && apt-get install -y --no-install-recommends \\
      # comments may stand in between
      wget python3-yaml \\
      nginx \\
    && rm -rf /var/lib/apt/lists/*
COPY requirements.txt /tmp/requirements.txt
RUN pip --no-cache-dir install -r /tmp/requirements.txt 'flask>=2' sagemaker-training torch==1.12.1+cu113
ENV PYTHONUNBUFFERED=TRUE COLOUR="dark red"
ENV PATH="/opt/program:${PATH}"
COPY program /opt/program
COPY conf/*.json conf/
WORKDIR /opt/program
USER nobody
LABEL a=b
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the usual Dockerfile."""
    folder = tmp_path / "container"
    put_program(folder, "program/train", "print('trained', __file__)", first_line="#!/opt/conda/bin/python3")
    put_program(folder, "program/serve", SERVER, first_line="#!/usr/bin/env python")
    (folder / "program" / "secret.env").write_text("x")
    (folder / "conf").mkdir()
    (folder / "conf" / "a.json").write_text("{}")
    (folder / "Dockerfile").write_text(BRING_YOUR_OWN)
    (folder / ".dockerignore").write_text("# never\nprogram/*.env\n")
    (folder / "requirements.txt").write_text("numpy==1.24.4\n-r more.txt\n")
    (folder / "more.txt").write_text("pandas<2\n")
    return folder


SERVER = """\
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/csv")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(200 if self.path == "/ping" else 404, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b"bad" in body:
            self.answer(415, b"this server takes numbers")
        else:
            self.answer(200, b"".join(b"%d\\n" % (2 * int(line)) for line in body.split()))

HTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
"""


def test_a_dockerfile_says_what_an_image_needs(project: Path, tmp_path: Path) -> None:
    table = tmp_path / "images.toml"
    table.write_text('[[image]]\nmatch = "team/*"\ndockerfile = "container/Dockerfile"\nrequirements = ["numpy>=2"]\n')
    plan = plan_image(ImageCatalog.load(table), IMAGE)
    assert plan.python == "3.10"
    assert {"pip", "pyyaml", "pandas<2", "flask>=2", "torch==1.12.1", "numpy>=2"} < set(plan.requirements)
    assert not any("sagemaker" in one or one.startswith("numpy==") for one in plan.requirements)
    assert plan.notes == ("system packages wget, nginx", "line 16: USER nobody")
    assert plan.contents.env == {
        "PATH": "/opt/program:${PATH}", "PYTHONUNBUFFERED": "TRUE", "COLOUR": "dark red"
    }  # fmt: skip
    assert plan.contents.workdir == "/opt/program"
    assert plan.contents.find_program("train") == "/opt/program/train"


@contextlib.contextmanager
def taken(port: int) -> Iterator[None]:
    """A port of this machine at which another program listens."""
    with socket.socket() as one:
        with contextlib.suppress(OSError):  # it is taken already
            one.bind(("127.0.0.1", port))
            one.listen()
        yield


def test_an_image_with_train_and_serve_trains_and_serves(
    run: Run, write_table: Callable[[str], JobContext], log: RecordedLog, storage: Storage, project: Path
) -> None:
    own = write_table('dockerfile = "container/Dockerfile"')
    outcome = run("Training", training(), context=own)
    assert outcome.status == "Completed", (outcome, log.lines)
    assert "trained /opt/program/train" in log.lines
    assert "Not done here: system packages wget, nginx; line 16: USER nobody." in log.lines[0]

    if not own.isolation.has_private_opt_ml:
        pytest.skip("this machine has no namespaces, and so no second port 8080")
    storage.put("in/a.csv", "1\n20\n")
    request = {
        "ModelName": "m",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in"}},
            "ContentType": "text/csv",
        },
        "TransformOutput": {"S3OutputPath": "s3://bucket/scores"},
        "TransformResources": {"InstanceCount": 1, "InstanceType": "ml.m5.large"},
    }
    with taken(8080):
        outcome = run("Transform", request, context=own, containers=({"Image": IMAGE},))
    assert outcome.status == "Completed", (outcome, log.lines)
    assert storage.get("scores/a.csv.out") == b"2\n40\n"

    storage.put("in/a.csv", "bad")
    outcome = run("Transform", request, context=own, containers=({"Image": IMAGE},))
    assert outcome.failure_reason == "ClientError: /invocations answered 415: this server takes numbers"


def test_what_the_context_ignores_is_not_in_the_image(
    run: Run, write_table: Callable[[str], JobContext], log: RecordedLog, project: Path
) -> None:
    own = write_table('dockerfile = "container/Dockerfile"')
    outcome = run("Processing", processing("sh", "-c", "ls /opt/program /conf"), context=own)
    assert outcome.status == "Completed", outcome
    assert [line for line in log.lines[1:] if line] == ["/conf:", "a.json", "/opt/program:", "serve", "train"]


def test_stages_and_packages_of_the_image_itself(
    run: Run, context: JobContext, log: RecordedLog, tmp_path: Path
) -> None:
    folder = tmp_path / "app"
    put_program(folder, "src/mine/__init__.py", "NAME = 'mine'")
    put_program(folder, "src/setup.py", "from setuptools import setup\nsetup(name='mine', packages=['mine'])")
    (folder / "requirements.txt").write_text("pyyaml\n")
    (folder / "Dockerfile").write_text(
        "FROM python:3.11 AS builder\n"
        "COPY requirements.txt .\nRUN pip install --prefix=/install -r requirements.txt\n"
        "FROM builder AS unused\nRUN curl -O https://example.com/x\n"
        "FROM python:3.11-slim\n"
        "COPY --from=builder /install /usr/local\n"
        "COPY <<EOF /etc/x\nnot read\nEOF\n"
        "WORKDIR /app\nCOPY src .\n"
        "RUN <<END\nset -e\npip install --no-build-isolation .\nEND\n"
        'CMD ["python", "-c", "import mine; print(mine.NAME, mine.__file__)"]\n'
    )
    table = tmp_path / "images.toml"
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    table.write_text(f'[[image]]\nmatch = "team/*"\ndockerfile = "app/Dockerfile"\npython = "{version}"\n')
    own = replace(context, images=ImageCatalog.load(table), cache_dir=Path(os.environ["SM_PIPELINES_CACHE_DIR"]))
    plan = plan_image(own.images, IMAGE)
    assert "pyyaml" in plan.requirements
    assert plan.notes == ("line 8: COPY <<EOF /etc/x",)
    outcome = run("Processing", processing(), context=own)
    assert outcome.status == "Completed", (outcome, log.lines)
    assert log.lines[-1].startswith("mine ")


def test_a_dockerfile_may_begin_with_an_image_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "base.Dockerfile").write_text(
        "FROM 683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3\n"
        'ENV PATH=/opt/base:$PATH\nENTRYPOINT ["python", "base.py"]\nCMD ["--base"]\n'
    )
    (tmp_path / "Dockerfile").write_text(
        "FROM team/base:1\nENV PATH /opt/own:$PATH\nRUN pip install 'scikit-learn==1.5.2' lightgbm\nCMD [\"--own\"]\n"
    )
    (tmp_path / "other.Dockerfile").write_text("FROM somebody/else:1\n")
    table = tmp_path / "images.toml"
    table.write_text(
        '[[image]]\nmatch = "team/base"\ndockerfile = "base.Dockerfile"\n'
        '[[image]]\nmatch = "team/other"\ndockerfile = "other.Dockerfile"\n'
        '[[image]]\nmatch = "team/*"\ndockerfile = "Dockerfile"\n'
    )
    images = ImageCatalog.load(table)
    plan = plan_image(images, IMAGE)
    assert {"scikit-learn==1.5.2", "lightgbm"} < set(plan.requirements)
    assert sum(one.startswith("scikit-learn") for one in plan.requirements) == 1
    assert plan.contents.entrypoint == ("python", "base.py")
    assert plan.contents.command == ("--own",)
    assert plan.contents.env["PATH"] == "/opt/own:/opt/base:${PATH}"
    assert plan_image(images, "team/other").notes == ("FROM somebody/else:1: what it brings is not known",)


@pytest.mark.parametrize(
    ("lines", "finding"),
    [
        ('requirements = []\ninterpreter = "x"', "only one of 'requirements' and 'interpreter' is possible"),
        ('requirements = []\nfiles = { "app" = "src" }', "'files' has 'app', which must be a path in the container"),
        ('requirements = []\nfiles = { "/app" = "nowhere" }', "'files' has 'nowhere', which is not in"),
        ('requirements = []\nentrypoint = "python x.py"', "'entrypoint' must be an array of texts"),
        ("requirements = []\nenv = { A = 1 }", "'env' must be a table of texts"),
        ('requirements = []\nworkdir = "app"', "'workdir' must be a path in the container"),
        ('requirements = []\npython = "py39"', "'python' must be a version"),
        ('requirements = []\nstage = "final"', "'stage' needs 'dockerfile'"),
        ('dockerfile = "none"', "cannot be read: No such file or directory"),
        ('dockerfile = "images.toml"', "has no FROM"),
    ],
)
def test_a_wrong_entry_is_refused(tmp_path: Path, lines: str, finding: str) -> None:
    table = tmp_path / "images.toml"
    table.write_text(f'[[image]]\nmatch = "x"\n{lines}\n')
    with pytest.raises(ImageError, match=finding):
        ImageCatalog.load(table)


def test_the_last_requirement_for_a_package_counts() -> None:
    found = merge_requirements(["pip", "Numpy==1", "a[b]>2", "git+https://x/y", "numpy>=2"])
    assert found == ("pip", "numpy>=2", "a[b]>2", "git+https://x/y")


def test_a_job_without_a_program_says_what_to_write(run: Run, write_table: Callable[[str], JobContext]) -> None:
    reason = run("Processing", processing(), context=write_table("")).failure_reason
    assert reason is not None
    assert 'Give its entry in the table of images `dockerfile = "Dockerfile"`' in reason


def test_without_the_images_python_ours_runs_it_and_the_log_says_what_differs(
    run: Run, context: JobContext, log: RecordedLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    table = tmp_path / "images.toml"
    table.write_text('[[image]]\nmatch = "team/*"\nrequirements = []\npython = "3.99"\n')
    own = replace(context, images=ImageCatalog.load(table), cache_dir=Path(os.environ["SM_PIPELINES_CACHE_DIR"]))
    outcome = run("Processing", processing("python", "-V"), context=own)
    assert outcome.status == "Completed", (outcome, log.lines)
    ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert log.lines[0] == f"The image has Python 3.99; here Python {ours} runs it."
    assert log.lines[-1].startswith(f"Python {ours}")
