"""Compiles a pipeline script: finds its Python, looks into the cache, or runs the worker and reads its answer."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.compiler.build_cache import (
    BuildCache,
    file_digest,
    find_change_in_aws,
    folder_digest,
    json_digest,
)
from airflow_sm_pipelines.compiler.child_environment import plan_child_environment
from airflow_sm_pipelines.compiler.interpreter import find_interpreter
from airflow_sm_pipelines.compiler.script import parse_metadata, parse_reference, read_script
from airflow_sm_pipelines.environments import default_cache_dir
from airflow_sm_pipelines.exceptions import (
    CompileError,
    CompileTimeoutError,
    EndpointUnreachableError,
    ScriptEnvironmentError,
    ScriptFailedError,
    ScriptFunctionError,
)
from airflow_sm_pipelines.loopback import is_loopback_url
from airflow_sm_pipelines.processes import run_child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.definition.json_value import JsonObject

_PROTOCOL = 2
_WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True, slots=True)
class CompiledPipeline:
    """A pipeline that a script built.

    :param name: the pipeline's name.
    :param definition_text: the definition, as the JSON that the SDK wrote.
    :param description: ``pipeline.description``, if the script sets it; SDK pipelines have none of their own.
    :param tags: ``pipeline.tags``, if the script sets them: ``{"Key": ..., "Value": ...}`` each.
    :param parallelism: ``pipeline.parallelism_config``, if the script sets it, as a ``ParallelismConfiguration``.
    :param sdk_version: the SDK's distribution and version: ``sagemaker 2.257.7``.
    :param from_cache: whether an earlier build was taken and the script did not run.
    :param uploads: the S3 URIs of the code objects that the definition names.
    :param sent: those of them that were not in S3 before; empty for an earlier build.
    :param aws_changes: what else the build changed in AWS, such as ``lambda:CreateFunction score``.
    :param not_sent: the calls that would have changed SageMaker; they were answered here instead of being sent.
    :param built_each_time: why no earlier build of this script is ever taken, with file and line. Empty for most.
    """

    name: str
    definition_text: str
    description: str | None
    tags: tuple[dict[str, str], ...]
    parallelism: JsonObject | None
    sdk_version: str
    from_cache: bool
    uploads: tuple[str, ...]
    sent: tuple[str, ...] = ()
    aws_changes: tuple[str, ...] = ()
    not_sent: tuple[str, ...] = ()
    built_each_time: tuple[str, ...] = ()


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
    cache: bool = True,
    log: Callable[[str], None],
) -> CompiledPipeline:
    """Run the function of a SageMaker SDK script in an interpreter of its own, and return the pipeline that it built.

    The function's parameters are filled by name: ``sagemaker_session``, ``pipeline_session`` or ``session`` (a
    ``PipelineSession``), ``role``, ``role_arn`` or ``execution_role``, ``region``, ``default_bucket``,
    ``pipeline_name``, and the keys of ``config``, which come before all others.

    With the same SDK and Python, the same content gives the same definition, in every folder, on every machine, at any
    time. A script runs again only if something that it depends on has changed: its folder, the other files and
    variables that it read, its requirements, the arguments, what AWS answered, or the code objects that it uploaded to
    S3. A script that asks for the time, for randomness or for what only its machine knows runs each time.

    A build changes nothing in SageMaker: calls that would are answered without being sent.

    :param reference: ``path.py:function``.
    :param config: JSON values for further parameters of the function.
    :param interpreter: a Python that has the SDK. Without it, one is made by the script's PEP 723 metadata.
    :param role_arn: passed to the function as its role.
    :param aws_environment: the AWS variables of the script: credentials, ``AWS_ENDPOINT_URL`` and so on. It gets no
        others.
    :param cache_dir: see :func:`~airflow_sm_pipelines.environments.default_cache_dir`.
    :param timeout_seconds: for the script. Installing its requirements has a limit of its own.
    :param working_folder: where the script runs; by default its own folder.
    :param cache: whether an earlier build may be taken.
    :param log: called with each output line of uv, the SDK and the script as it comes.
    :raises CompileError: the subclass names the cause.
    """
    target = parse_reference(reference)
    script, source = read_script(target.path)
    cache_dir = cache_dir or default_cache_dir(os.environ)
    python = find_interpreter(script, source, interpreter=interpreter, cache_dir=cache_dir, log=log)
    env = plan_child_environment(os.environ, aws_environment=aws_environment, region=region)
    content: JsonObject = {
        "folder": folder_digest(script.parent),
        "script": script.name,
        "function": target.function,
        "config": _to_json(config),
        "role_arn": role_arn,
        "region": region,
        "pipeline_name": pipeline_name,
        "default_bucket": default_bucket,
    }
    key = json_digest(
        {
            "content": content,
            "working_folder": None if working_folder is None else os.path.relpath(working_folder, script.parent),
            "interpreter": python.identity,
            "worker": [file_digest(_WORKER), folder_digest(_WORKER.with_name("sdk_side"))],
            "account": _identify_account(role_arn, aws_environment),
        }
    )
    kept_builds = BuildCache(cache_dir / "definitions")
    kept = kept_builds.load(key, folder=script.parent, env=env) if cache else None
    if kept is not None:
        change = find_change_in_aws(kept, aws_environment=env, region=region)
        if change is None:
            log(f"{target} is unchanged: the definition of {kept['name']!r} is taken from {cache_dir / 'definitions'}")
            return _make_compiled(kept, from_cache=True)
        log(f"{target} is built again: {change}")
    answer = _run_worker(
        str(target),
        python.path,
        _make_request(script, source, content, cache_dir),
        env=env,
        folder=working_folder or script.parent,
        timeout_seconds=timeout_seconds,
        log=log,
    )
    for reason in answer["unrepeatable"]:
        log(f"{target} is built each time: {reason}")
    if not answer["unrepeatable"]:
        try:
            kept_builds.store(key, answer)
        except OSError as error:
            log(f"The definition could not be kept in {cache_dir / 'definitions'}: {error.strerror}")
    return _make_compiled(answer, from_cache=False)


def _make_request(script: Path, source: str, content: JsonObject, cache_dir: Path) -> JsonObject:
    """The request to the worker."""
    metadata = parse_metadata(source, path=script)
    root = metadata.project_root if metadata else None
    return {
        "protocol": _PROTOCOL,
        **content,
        "script": str(script),
        "project_root": str(root) if root else None,
        "keys_folder": str(cache_dir / "keys"),
    }


def _to_json(config: Mapping[str, Any] | None) -> JsonObject:
    try:
        checked: JsonObject = json.loads(json.dumps(dict(config or {}), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ScriptFunctionError(
            f"`config` is passed to the script as JSON, and this one cannot be written as JSON: {error}."
        ) from error
    return checked


def _identify_account(role_arn: str | None, aws_environment: Mapping[str, str]) -> JsonObject:
    """What tells AWS accounts apart without a call. A definition names buckets of its account, so it fits no other."""
    endpoint = aws_environment.get("AWS_ENDPOINT_URL")
    return {
        # A local endpoint has a new port at each start. Whether it still has the uploads is checked anyway.
        "endpoint": "loopback" if is_loopback_url(endpoint) else endpoint,
        "principal": role_arn or aws_environment.get("AWS_ACCESS_KEY_ID"),
    }


def _run_worker(
    reference: str,
    python: Path,
    request: JsonObject,
    *,
    env: Mapping[str, str],
    folder: Path,
    timeout_seconds: float,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Run the worker and read its answer from a file: what the script prints cannot damage that."""
    with tempfile.TemporaryDirectory(prefix="sm-pipelines-", ignore_cleanup_errors=True) as scratch:
        asked, answered = Path(scratch, "request.json"), Path(scratch, "answer.json")
        asked.write_text(json.dumps({**request, "scratch": scratch}), encoding="utf-8")
        # `-s`, and no PYTHON variable but the hash seed, which `-I` would ignore, too.
        command = [str(python), "-s", "-u", str(_WORKER), str(asked), str(answered)]
        try:
            outcome = run_child(command, env=env, cwd=folder, timeout_seconds=timeout_seconds, log=log)
        except OSError as error:
            raise ScriptEnvironmentError(f"Cannot start {python} for {reference}: {error.strerror}.") from error
        if outcome.is_timed_out:
            raise CompileTimeoutError(
                f"The pipeline script {reference} did not end within {timeout_seconds:g} seconds and was stopped."
                f"{_last_lines(outcome.tail)}"
            )
        try:
            answer = json.loads(answered.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ScriptFailedError(
                f"The pipeline script {reference} {_format_exit(outcome.exit_code)} before it gave a pipeline."
                f"{_last_lines(outcome.tail)}"
            ) from None
    if answer["ok"]:
        return dict(answer)
    raise _make_error(answer, reference, python)


def _make_error(answer: Mapping[str, Any], reference: str, python: Path) -> CompileError:
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
            f"The pipeline script {reference} needs AWS at {endpoint}, which does not answer ({message}). "
            f"Is the endpoint running, and can this machine reach it?{frames}",
            endpoint=endpoint,
        )
    return ScriptFailedError(f"The pipeline script {reference} failed. {message}{frames}", traceback_text=trace)


def _format_exit(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    return f"was killed by {name}"


def _last_lines(tail: tuple[str, ...]) -> str:
    return "\nIts last lines:\n" + "\n".join(tail[-15:]) if tail else ""


def _make_compiled(answer: Mapping[str, Any], *, from_cache: bool) -> CompiledPipeline:
    return CompiledPipeline(
        name=answer["name"],
        definition_text=answer["definition_text"],
        description=answer["description"],
        tags=tuple(answer["tags"]),
        parallelism=answer["parallelism"],
        sdk_version=answer["sdk_version"],
        from_cache=from_cache,
        uploads=tuple(upload["uri"] for upload in answer["uploads"]),
        sent=() if from_cache else tuple(answer["sent"]),
        aws_changes=() if from_cache else tuple(answer["writes"]),
        not_sent=tuple(answer["answered"]),
        built_each_time=tuple(answer["unrepeatable"]),
    )
