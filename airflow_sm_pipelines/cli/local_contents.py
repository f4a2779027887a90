"""What a DAG expects to find on a local endpoint: pipelines, S3 objects, functions and model groups, made by options.

An endpoint starts empty. A DAG that starts a pipeline which somebody else has deployed, or reads what another job has
written, finds it only if one of these options has made it. When a command has failed, what it asked for and did not
find is named, each with the option that makes it.
"""

from __future__ import annotations

import ast
import io
import re
import shlex
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.s3_uri import S3Location, parse_s3_uri
from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.local_endpoint import ACCOUNT_ID

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.client.session_calls import SessionCalls
    from airflow_sm_pipelines.server import RunningServer

ROLE_ARN = f"arn:aws:iam::{ACCOUNT_ID}:role/SageMakerExecution"
"""The execution role of pipelines and functions that these options make."""

_HANDLERS = ("lambda_handler", "handler", "main")
_MISSED_BY_STEPS = (
    ("object", re.compile(r"S3 key: (s3://\S+) matched no files")),
    ("function", re.compile(r"Function not found: \S*:function:([^:\s]+)")),
)
"""In a step's reason: what it asked for, by kind."""

_ENTERED = ("processing-job", "training-job", "transform-job", "hyper-parameter-tuning-job")
"""What the ARN of a job that can be entered says it is."""
_MOST_ENTERABLE = 3

_OPTIONS = ("pipeline", "upload", "function", "model_group")


@dataclass(frozen=True)
class _Upload:
    bucket: str
    files: tuple[tuple[Path, str], ...]
    """Each file with its key."""


@dataclass(frozen=True)
class _Function:
    name: str
    handler: str
    code: bytes
    """A zip archive."""


@dataclass(frozen=True)
class Contents:
    """What the options ask for, read and found to be there.

    :param pipelines: each pipeline's name, or None where its script gives it, and the source of its definition.
    """

    pipelines: tuple[tuple[str | None, str], ...] = ()
    uploads: tuple[_Upload, ...] = ()
    functions: tuple[_Function, ...] = ()
    model_groups: tuple[str, ...] = ()


def add_contents_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--pipeline``, ``--upload``, ``--function`` and ``--model-group``; each may be given again and again."""
    group = parser.add_argument_group("what the endpoint holds from the start")
    group.add_argument(
        "--pipeline",
        action="append",
        default=[],
        metavar="[NAME=]SOURCE",
        dest="pipeline",
        help="a pipeline, from a definition file or 'script.py:function'; the name is the file's, or the script's own, "
        "where not given",
    )
    group.add_argument(
        "--upload",
        action="append",
        default=[],
        metavar="s3://BUCKET/KEY=PATH",
        help="a file, or the files of a folder below that key; 's3://BUCKET' alone makes an empty bucket",
    )
    group.add_argument(
        "--function",
        action="append",
        default=[],
        metavar="NAME=FILE.py[:HANDLER]",
        help="a Lambda function from a Python file, or from a folder (FOLDER:module.handler)",
    )
    group.add_argument(
        "--model-group",
        action="append",
        default=[],
        metavar="NAME",
        help="a model package group without versions, for a script that looks there for the best model so far",
    )


def to_words(arguments: argparse.Namespace) -> list[str]:
    """The same options as words of a command line, for another command that takes them."""
    return [f"--{option.replace('_', '-')}={text}" for option in _OPTIONS for text in getattr(arguments, option)]


def read_contents(arguments: argparse.Namespace) -> Contents:
    """Read what the options of :func:`add_contents_options` name, before anything is started.

    :raises LocalEndpointError: naming the option that is wrong, or whose file is not there.
    """
    return Contents(
        tuple(_read_pipeline(text) for text in arguments.pipeline),
        tuple(_read_upload(text) for text in arguments.upload),
        tuple(_read_function(text) for text in arguments.function),
        tuple(arguments.model_group),
    )


def fill(server: RunningServer, contents: Contents) -> None:
    """Make everything on an endpoint. What is there already is replaced; a pipeline that is the same stays as it is.

    :raises LocalEndpointError: if something could not be made.
    """
    _upload_files(server, contents.uploads)
    _make_functions(server, contents.functions)
    _make_model_groups(server, contents.model_groups)
    for name, source in contents.pipelines:
        words = ["deploy", source, "--role-arn", ROLE_ARN, *([] if name is None else ["--pipeline-name", name])]
        command = [sys.executable, "-m", "airflow_sm_pipelines.cli", *words]
        if subprocess.run(command, env=server.environment(), check=False).returncode:
            raise LocalEndpointError(f"--pipeline {name or source}: the pipeline could not be made; see above.")


def find_missing(server: RunningServer, since: datetime) -> list[str]:
    """What was asked for and is still not there: an option that makes it, each.

    :param since: only failed steps of executions that started from then on are looked at.
    """
    asked = list(server.missing_names)
    asked += _find_missed_by_steps(server, since)
    missing = [(kind, name) for kind, name in dict.fromkeys(asked) if _is_missing(server, kind, name)]
    return [f"--{_OPTION_OF[kind][0]} {shlex.quote(_OPTION_OF[kind][1].format(name))}" for kind, name in missing]


def find_enterable(server: RunningServer, since: datetime) -> list[str]:
    """For the last failed jobs of executions that started from a moment on, the command that enters each."""
    calls = _open_calls(server)
    reports = [calls.describe_report(arn) for arn in _list_started(server, since)]
    return [line for report in reports for line in render_enterable(report)][-_MOST_ENTERABLE:]


def render_enterable(report: ExecutionReport) -> list[str]:
    """The command that enters the job of each failed step of an execution on a local endpoint."""
    return [
        shlex.join(["sm-pipelines", "local", "shell", report.pipeline_name, step.name])
        for step in report.steps
        if step.is_failed and (step.job_arn or "").rpartition(":")[2].partition("/")[0] in _ENTERED
    ]


def find_running(server: RunningServer, since: datetime) -> list[str]:
    """The ARNs of executions that started from a moment on and have not ended."""
    calls = _open_calls(server)
    return [arn for arn in _list_started(server, since) if not calls.describe_execution(arn).is_terminal]


def now() -> datetime:
    """The moment, in whole seconds: the service's times have fewer digits than ours."""
    return datetime.now(timezone.utc).replace(microsecond=0)


def _read_pipeline(text: str) -> tuple[str | None, str]:
    from airflow_sm_pipelines.client.valid_names import is_pipeline_name
    from airflow_sm_pipelines.compiler.script import find_reference
    from airflow_sm_pipelines.documents import split_name

    name, separator, source = text.partition("=")
    if not separator:
        name, source = "", text
    reference = find_reference(source)
    file, wanted = split_name(source, exists=lambda path: Path(path).exists())
    path = Path(file) if reference is None else reference.path
    if not path.exists():
        raise LocalEndpointError(f"--pipeline {text}: there is no file {path}.")
    if not name and reference is None:
        name = re.sub(r"[^A-Za-z0-9-]+", "-", wanted or path.name.partition(".")[0]).strip("-")
    if name and not is_pipeline_name(name):
        raise LocalEndpointError(f"--pipeline {text}: {name!r} is no name that a pipeline may have.")
    return name or None, source


def _read_upload(text: str) -> _Upload:
    uri, separator, name = text.partition("=")
    try:
        location = parse_s3_uri(uri)
    except ValueError as error:
        raise LocalEndpointError(f"--upload {text}: {error}") from None
    if not separator:
        if location.key:
            raise LocalEndpointError(f"--upload {text}: which file? Write --upload {uri}=PATH.")
        return _Upload(location.bucket, ())
    path = Path(name).expanduser()
    if path.is_dir():
        prefix = f"{location.key.rstrip('/')}/" if location.key else ""
        files = sorted(one for one in path.rglob("*") if one.is_file())
        return _Upload(location.bucket, tuple((one, f"{prefix}{one.relative_to(path).as_posix()}") for one in files))
    if not path.is_file():
        raise LocalEndpointError(f"--upload {text}: there is no file or folder {path}.")
    is_folder = not location.key or location.key.endswith("/")
    return _Upload(location.bucket, ((path, f"{location.key}{path.name}" if is_folder else location.key),))


def _read_function(text: str) -> _Function:
    name, separator, source = text.partition("=")
    file, _, handler = source.partition(":")
    path = Path(file).expanduser()
    if not separator or not name or not file:
        raise LocalEndpointError(f"--function {text}: expected NAME=FILE.py, or NAME=FILE.py:HANDLER.")
    if path.is_dir():
        if "." not in handler:
            raise LocalEndpointError(f"--function {text}: say which function: {name}={file}:module.function")
        files = [(one, one.relative_to(path).as_posix()) for one in sorted(path.rglob("*")) if one.is_file()]
    elif path.is_file():
        handler = f"{path.stem}.{handler or _find_handler(path, text)}"
        files = [(path, path.name)]
    else:
        raise LocalEndpointError(f"--function {text}: there is no file or folder {path}.")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for one, place in files:
            archive.write(one, place)
    return _Function(name, handler, buffer.getvalue())


def _find_handler(path: Path, text: str) -> str:
    """The function that Lambda is to call; the file is read and not run."""
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:
        raise LocalEndpointError(f"--function {text}: {path} is not Python: {error}") from None
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    known = [name for name in _HANDLERS if name in names]
    if known or len(names) == 1:
        return (known or names)[0]
    raise LocalEndpointError(
        f"--function {text}: {path} has no function called {' or '.join(_HANDLERS)}. Say which one: {text}:FUNCTION"
    )


def _upload_files(server: RunningServer, uploads: tuple[_Upload, ...]) -> None:
    if not uploads:
        return
    from botocore.exceptions import BotoCoreError, ClientError

    s3 = server.make_client("s3")
    for upload in uploads:
        try:
            server.make_bucket(upload.bucket)
            for path, key in upload.files:
                s3.upload_file(str(path), upload.bucket, key)
        except (BotoCoreError, ClientError, OSError) as error:
            raise LocalEndpointError(f"--upload s3://{upload.bucket}/...: {error}") from error


def _make_functions(server: RunningServer, functions: tuple[_Function, ...]) -> None:
    if not functions:
        return
    from botocore.exceptions import ClientError

    client = server.make_client("lambda")
    for one in functions:
        configuration = {"FunctionName": one.name, "Handler": one.handler, "Runtime": _runtime(), "Role": ROLE_ARN}
        try:
            try:
                client.create_function(**configuration, Code={"ZipFile": one.code}, Timeout=900)
            except client.exceptions.ResourceConflictException:
                client.update_function_code(FunctionName=one.name, ZipFile=one.code)
                client.update_function_configuration(**configuration)
        except ClientError as error:
            raise LocalEndpointError(f"--function {one.name}: {error}") from error


def _make_model_groups(server: RunningServer, names: tuple[str, ...]) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    for name in names:
        if _is_missing(server, "model group", name):
            try:
                server.make_client("sagemaker").create_model_package_group(ModelPackageGroupName=name)
            except (BotoCoreError, ClientError) as error:
                raise LocalEndpointError(f"--model-group {name}: {error}") from error


def _runtime() -> str:
    return f"python3.{sys.version_info.minor}"


def _open_calls(server: RunningServer) -> SessionCalls:
    from airflow_sm_pipelines.client.session_calls import SessionCalls

    return SessionCalls.at_endpoint(server.environment())


def _list_started(server: RunningServer, since: datetime) -> list[str]:
    from airflow_sm_pipelines.cli.execution_view import ExecutionReader

    return ExecutionReader(_open_calls(server), log_lines=0, is_live=False).list_started_since(since)


def _find_missed_by_steps(server: RunningServer, since: datetime) -> Iterator[tuple[str, str]]:
    calls = _open_calls(server)
    for arn in _list_started(server, since):
        for step in calls.describe_execution_steps(arn):
            for kind, pattern in _MISSED_BY_STEPS:
                for found in pattern.finditer(step.failure_reason or ""):
                    yield kind, str(found[1]).rstrip(".")


_OPTION_OF = {
    "pipeline": ("pipeline", "{0}=FILE"),
    "bucket": ("upload", "s3://{0}"),
    "object": ("upload", "{0}=PATH"),
    "function": ("function", "{0}=FILE.py"),
    "model group": ("model-group", "{0}"),
}


def _is_missing(server: RunningServer, kind: str, name: str) -> bool:
    """Whether something that was asked for has not been made since."""
    from botocore.exceptions import BotoCoreError, ClientError

    location = parse_s3_uri(name) if kind == "object" else S3Location(name, "")
    try:
        if kind == "pipeline":
            server.make_client("sagemaker").describe_pipeline(PipelineName=name)
        elif kind == "function":
            server.make_client("lambda").get_function(FunctionName=name)
        elif kind == "model group":
            server.make_client("sagemaker").describe_model_package_group(ModelPackageGroupName=name)
        elif kind == "bucket":
            server.make_client("s3").head_bucket(Bucket=name)
        else:
            found = server.make_client("s3").list_objects_v2(Bucket=location.bucket, Prefix=location.key, MaxKeys=1)
            return not found.get("Contents", [])
    except (BotoCoreError, ClientError):
        return True
    return False
