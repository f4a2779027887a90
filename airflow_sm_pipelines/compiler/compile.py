"""Compiles a pipeline script: finds its Python, asks the cache, else runs the worker there and reads its answer."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.compiler.build_cache import file_digest, folder_digest, json_digest
from airflow_sm_pipelines.compiler.cache import DefinitionCache, are_uploads_present
from airflow_sm_pipelines.compiler.child_environment import is_loopback_endpoint, plan_child_environment
from airflow_sm_pipelines.compiler.interpreter import find_interpreter
from airflow_sm_pipelines.compiler.metadata import parse_metadata
from airflow_sm_pipelines.compiler.script import parse_reference, read_script
from airflow_sm_pipelines.environments import default_cache_dir
from airflow_sm_pipelines.exceptions import (
    CompileError,
    CompileTimeoutError,
    EndpointUnreachableError,
    ScriptEnvironmentError,
    ScriptFailedError,
    ScriptFunctionError,
)
from airflow_sm_pipelines.processes import run_child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.definition.json_value import JsonObject

_PROTOCOL = 1
_WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True, slots=True)
class CompiledPipeline:
    """A pipeline that a script built.

    :param name: the pipeline's name.
    :param definition_text: the definition, JSON as the SDK wrote it.
    :param description: ``pipeline.description`` where the script sets it; SDK pipelines have none of their own.
    :param tags: ``pipeline.tags`` likewise, ``{"Key": ..., "Value": ...}``.
    :param parallelism: ``pipeline.parallelism_config`` likewise, a ``ParallelismConfiguration``.
    :param sdk_version: distribution and version, such as ``sagemaker 2.257.7``.
    :param from_cache: whether the script was not run.
    :param uploads: S3 URIs of the code objects that the definition relies on.
    """

    name: str
    definition_text: str
    description: str | None
    tags: tuple[dict[str, str], ...]
    parallelism: JsonObject | None
    sdk_version: str
    from_cache: bool
    uploads: tuple[str, ...]


def compile_pipeline(
    reference: str,
    *,
    config: Mapping[str, Any] | None = None,
    role_arn: str | None,
    region: str | None,
    pipeline_name: str | None = None,
    default_bucket: str | None = None,
    interpreter: str | None = None,
    aws_environment: Mapping[str, str],
    cache_dir: Path | None,
    timeout_seconds: float = 600,
    working_folder: Path | None = None,
    log: Callable[[str], None],
) -> CompiledPipeline:
    """Run a SageMaker SDK script's function in an interpreter of its own and give the pipeline it returns.

    The function's parameters are filled by name: ``sagemaker_session``, ``pipeline_session`` or ``session`` (a
    ``PipelineSession``), ``role``, ``role_arn`` or ``execution_role``, ``region``, ``default_bucket``,
    ``pipeline_name``, and the keys of ``config``, which go first.

    The same content gives the same definition. A script is not run again while its folder, the other files and the
    variables it read, its requirements and the arguments are unchanged and the code objects it uploaded are in S3.

    :param reference: ``path.py:function``.
    :param config: JSON values for further parameters of the function.
    :param interpreter: a Python that has the SDK; without it, the script's PEP 723 metadata says what it needs.
    :param aws_environment: credentials, ``AWS_ENDPOINT_URL`` and the like for the child, which gets no others.
    :param cache_dir: see :func:`~airflow_sm_pipelines.environments.default_cache_dir`.
    :param timeout_seconds: for the script; installing its requirements has a limit of its own.
    :param working_folder: where the script runs; its own folder where not given.
    :param log: gets the output of uv, the SDK and the script, line by line, as it comes.
    :raises CompileError: one of its subclasses, by cause.
    """
    target = parse_reference(reference)
    script, source = read_script(target)
    cache_dir = cache_dir or default_cache_dir(os.environ)
    python = find_interpreter(script, source, interpreter=interpreter, cache_dir=cache_dir, log=log)
    env = plan_child_environment(os.environ, aws_environment=aws_environment, region=region)
    metadata = parse_metadata(source, path=script)
    project_root = metadata.project_root if metadata else None

    content: JsonObject = {
        "folder": folder_digest(script.parent),
        "script": script.name,
        "function": target.function,
        "config": _checked_config(config),
        "role_arn": role_arn,
        "region": region,
        "pipeline_name": pipeline_name,
        "default_bucket": default_bucket,
    }
    key = json_digest(
        {
            "content": content,
            "path": str(script),
            **({} if working_folder is None else {"working_folder": str(working_folder)}),
            "interpreter": python.identity,
            "worker": [file_digest(_WORKER), folder_digest(_WORKER.with_name("sdk_side"))],
            "account": _account(role_arn, aws_environment),
        }
    )
    cache = DefinitionCache(cache_dir / "definitions")
    kept = cache.load(key, env=env)
    if kept is not None and are_uploads_present(kept["uploads"], aws_environment=env, region=region):
        log(f"{target} is unchanged: the definition of {kept['name']!r} is taken from {cache_dir / 'definitions'}")
        return _compiled(kept, from_cache=True)

    request = {
        "protocol": _PROTOCOL,
        **content,
        "script": str(script),
        "project_root": str(project_root) if project_root else None,
        "keys_folder": str(cache_dir / "keys"),
    }
    folder = working_folder or script.parent
    answer = _run_worker(str(target), python.path, request, env, folder, timeout_seconds, log)
    try:
        cache.store(key, answer)
    except OSError as error:
        log(f"The definition could not be kept in {cache_dir / 'definitions'}: {error.strerror}")
    return _compiled(answer, from_cache=False)


def _checked_config(config: Mapping[str, Any] | None) -> JsonObject:
    try:
        checked: JsonObject = json.loads(json.dumps(dict(config or {}), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ScriptFunctionError(
            f"`config` goes to the script as JSON, and this one has no JSON form: {error}."
        ) from error
    return checked


def _account(role_arn: str | None, aws_environment: Mapping[str, str]) -> JsonObject:
    """Tell AWS accounts apart as far as that is possible without a call: a definition names its account's buckets."""
    endpoint = aws_environment.get("AWS_ENDPOINT_URL")
    return {
        # A local endpoint has another port each time; whether it still has the uploads is asked anyway.
        "endpoint": "loopback" if is_loopback_endpoint(endpoint) else endpoint,
        "principal": role_arn or aws_environment.get("AWS_ACCESS_KEY_ID"),
    }


def _run_worker(
    reference: str,
    python: Path,
    request: Mapping[str, Any],
    env: Mapping[str, str],
    folder: Path,
    timeout_seconds: float,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Run the worker and give its answer, which comes by a file: what the script prints cannot spoil it."""
    with tempfile.TemporaryDirectory(prefix="sm-pipelines-", ignore_cleanup_errors=True) as scratch:
        asked, answered = Path(scratch, "request.json"), Path(scratch, "answer.json")
        asked.write_text(json.dumps({**request, "scratch": scratch}), encoding="utf-8")
        # `-s`, and no PYTHON variable but the hash seed: `-I` would ignore that one, too.
        command = [str(python), "-s", "-u", str(_WORKER), str(asked), str(answered)]
        try:
            outcome = run_child(command, env=env, cwd=folder, timeout_seconds=timeout_seconds, log=log)
        except OSError as error:
            raise ScriptEnvironmentError(f"Cannot start {python} for {reference}: {error.strerror}.") from error
        if outcome.is_timed_out:
            raise CompileTimeoutError(
                f"The pipeline script {reference} did not end within {timeout_seconds:g} seconds and was ended."
                f"{_last_lines(outcome.tail)}"
            )
        try:
            answer = json.loads(answered.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ScriptFailedError(
                f"The pipeline script {reference} {_describe_exit(outcome.exit_code)} before it gave a pipeline."
                f"{_last_lines(outcome.tail)}"
            ) from None
    if answer["ok"]:
        return dict(answer)
    raise _error_of(answer, reference, python)


def _error_of(answer: Mapping[str, Any], reference: str, python: Path) -> CompileError:
    fault = answer["error"]
    message, trace = fault["message"], fault["traceback"]
    if fault["kind"] in ("function_missing", "arguments"):
        return ScriptFunctionError(message)
    if fault["kind"] == "no_sdk":
        return ScriptEnvironmentError(f"The pipeline script {reference} cannot be run. {message}")
    frames = f"\n{trace}" if trace else ""
    if fault["kind"] == "endpoint":
        endpoint = answer["endpoint"]
        return EndpointUnreachableError(
            f"The pipeline script {reference} needs AWS at {endpoint}, and there is no answer ({message}). "
            f"Is the endpoint running, and does this machine reach it?{frames}",
            endpoint=endpoint,
        )
    return ScriptFailedError(f"The pipeline script {reference} failed. {message}{frames}", traceback_text=trace)


def _describe_exit(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    return f"was killed by {name}"


def _last_lines(tail: tuple[str, ...]) -> str:
    return "\nIts last lines:\n" + "\n".join(tail[-15:]) if tail else ""


def _compiled(answer: Mapping[str, Any], *, from_cache: bool) -> CompiledPipeline:
    return CompiledPipeline(
        name=answer["name"],
        definition_text=answer["definition_text"],
        description=answer["description"],
        tags=tuple(answer["tags"]),
        parallelism=answer["parallelism"],
        sdk_version=answer["sdk_version"],
        from_cache=from_cache,
        uploads=tuple(upload["uri"] for upload in answer["uploads"]),
    )
