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
from airflow_sm_pipelines.compiler.interpreter import find_interpreter
from airflow_sm_pipelines.compiler.script import check_name, parse_metadata, parse_reference, read_script
from airflow_sm_pipelines.environments import default_cache_dir
from airflow_sm_pipelines.exceptions import (
    CompileError,
    CompileTimeoutError,
    EndpointUnreachableError,
    ScriptEnvironmentError,
    ScriptFailedError,
    ScriptFunctionError,
)
from airflow_sm_pipelines.local_endpoint import LOOPBACK_HOSTS, NO_PROXY_VARIABLES, join_no_proxy
from airflow_sm_pipelines.loopback import is_loopback_url
from airflow_sm_pipelines.processes import run_child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.compiler.interpreter import ScriptInterpreter
    from airflow_sm_pipelines.compiler.script import ScriptReference
    from airflow_sm_pipelines.definition.json_value import JsonObject

_PROTOCOL = 2
_WORKER = Path(__file__).with_name("worker.py")

_WITHHELD_PREFIXES = ("AWS_", "AIRFLOW_", "_AIRFLOW_", "PYTHON")
"""``AWS_*`` may be of another account than the script's; ``AIRFLOW_*`` holds connections and keys of the deployment;
``PYTHON*`` would change what the child's interpreter imports."""

_WITHHELD = frozenset({"VIRTUAL_ENV", "CONDA_PREFIX"})
"""They name another environment than the child's."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A code object in S3 that a definition names."""

    uri: str
    size_bytes: int


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
    :param uploads: the code objects that the definition names.
    :param sent: the S3 URIs of those that were not in S3 before; empty for an earlier build.
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
    uploads: tuple[Upload, ...]
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

    The same content gives the same definition everywhere. A script runs again only if what it read, its requirements,
    the arguments, AWS's answers or its uploads have changed, or if it asks for what differs each time. A build changes
    nothing in SageMaker: calls that would are answered without being sent.

    :param reference: ``path.py:function``; ``path.py:name`` for a pipeline that the script makes at its top level;
        ``path.py`` for a script with a ``get_pipeline`` or with one pipeline.
    :param config: JSON values for further parameters of the function.
    :param interpreter: a Python that has the SDK. Without it, one is made by the script's PEP 723 metadata.
    :param role_arn: passed to the function as its role.
    :param aws_environment: the script's only AWS variables: credentials, ``AWS_ENDPOINT_URL`` and so on.
    :param cache_dir: see :func:`~airflow_sm_pipelines.environments.default_cache_dir`.
    :param timeout_seconds: for the script. Installing its requirements has a limit of its own.
    :param working_folder: where the script runs; by default its own folder.
    :param cache: whether an earlier build may be taken. The new build is kept either way.
    :param log: called with each output line of uv, the SDK and the script as it comes.
    :raises CompileError: the subclass names the cause.
    """
    target = parse_reference(reference)
    script, source = read_script(target.path)
    check_name(target, script, source)
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
    build = _Build(target, script, source, python, content, env, working_folder, log)
    key = build.make_key(_identify_account(role_arn, aws_environment))
    kept_builds = BuildCache(cache_dir / "definitions")
    kept = build.load(kept_builds, key, region=region, is_allowed=cache)
    return kept or build.run(kept_builds, key, keys_folder=cache_dir / "keys", timeout_seconds=timeout_seconds)


@dataclass(frozen=True, slots=True)
class _Build:
    """One build of one script.

    :param content: what the definition depends on, but for what the script itself reads.
    :param env: the worker's environment variables.
    """

    target: ScriptReference
    script: Path
    source: str
    python: ScriptInterpreter
    content: JsonObject
    env: Mapping[str, str]
    working_folder: Path | None
    log: Callable[[str], None]

    def make_key(self, account: JsonObject) -> str:
        """The name of the build in the cache. It holds no path, so that a fresh clone finds it, too."""
        folder = self.working_folder
        return json_digest(
            {
                "content": self.content,
                "working_folder": None if folder is None else os.path.relpath(folder, self.script.parent),
                "interpreter": self.python.identity,
                "worker": [file_digest(_WORKER), folder_digest(_WORKER.with_name("sdk_side"))],
                "account": account,
            }
        )

    def load(self, cache: BuildCache, key: str, *, region: str | None, is_allowed: bool) -> CompiledPipeline | None:
        """Take the pipeline of an earlier build, if the options allow it and all that it depends on is unchanged."""
        if not is_allowed:
            self.log(f"{self.target} is built anew: the options say that no earlier build is to be taken.")
            return None
        kept = cache.load(key, folder=self.script.parent, env=self.env)
        if kept is None:
            return None
        change = find_change_in_aws(kept, aws_environment=self.env, region=region)
        if change is not None:
            self.log(f"{self.target} is built again: {change}")
            return None
        self.log(f"{self.target} is unchanged: the definition of {kept['name']!r} is taken from {cache.directory}")
        return _make_compiled(kept, from_cache=True)

    def run(self, cache: BuildCache, key: str, *, keys_folder: Path, timeout_seconds: float) -> CompiledPipeline:
        """Run the worker and keep its answer, unless another run could give another one."""
        answer = self._run_worker(keys_folder, timeout_seconds)
        for reason in answer["unrepeatable"]:
            self.log(f"{self.target} is built each time: {reason}")
        if not answer["unrepeatable"]:
            try:
                cache.store(key, answer)
            except OSError as error:
                self.log(f"The definition could not be kept in {cache.directory}: {error.strerror}")
        return _make_compiled(answer, from_cache=False)

    def _run_worker(self, keys_folder: Path, timeout_seconds: float) -> dict[str, Any]:
        """Run the worker and read its answer from a file: what the script prints cannot damage that."""
        with tempfile.TemporaryDirectory(prefix="sm-pipelines-", ignore_cleanup_errors=True) as scratch:
            asked, answered = Path(scratch, "request.json"), Path(scratch, "answer.json")
            request = self._make_request() | {"scratch": scratch, "keys_folder": str(keys_folder)}
            asked.write_text(json.dumps(request), encoding="utf-8")
            # `-s`, and no PYTHON variable but the hash seed, which `-I` would ignore, too.
            command = [str(self.python.path), "-s", "-u", str(_WORKER), str(asked), str(answered)]
            folder = self.working_folder or self.script.parent
            try:
                outcome = run_child(command, env=self.env, cwd=folder, timeout_seconds=timeout_seconds, log=self.log)
            except OSError as error:
                raise ScriptEnvironmentError(
                    f"Cannot start {self.python.path} for {self.target}: {error.strerror}."
                ) from error
            if outcome.is_timed_out:
                raise CompileTimeoutError(
                    f"The pipeline script {self.target} did not end within {timeout_seconds:g} seconds and was stopped."
                    f"{_format_last_lines(outcome.tail)}"
                )
            try:
                answer = json.loads(answered.read_text(encoding="utf-8"))
            except FileNotFoundError:
                raise ScriptFailedError(
                    f"The pipeline script {self.target} {_format_exit(outcome.exit_code)} before it gave a pipeline."
                    f"{_format_last_lines(outcome.tail)}"
                ) from None
        if answer["ok"]:
            return dict(answer)
        raise _make_error(answer, str(self.target))

    def _make_request(self) -> JsonObject:
        metadata = parse_metadata(self.source, path=self.script)
        root = metadata.project_root if metadata else None
        return {
            "protocol": _PROTOCOL,
            **self.content,
            "script": str(self.script),
            "project_root": str(root) if root else None,
        }


def plan_child_environment(
    parent: Mapping[str, str], *, aws_environment: Mapping[str, str], region: str | None
) -> dict[str, str]:
    """The child's variables: the parent's without those of AWS and Airflow, and the AWS variables for the child.

    The child does not read the user's AWS configuration files: it has the credentials in ``aws_environment``, or none.

    :param parent: the variables of this process.
    :param aws_environment: of its variables, only ``AWS_*`` are passed on.
    :param region: goes before the regions in ``aws_environment``.
    """
    env = {
        name: value
        for name, value in parent.items()
        if not name.startswith(_WITHHELD_PREFIXES) and name not in _WITHHELD
    }
    env |= dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG"), os.devnull)
    if "AWS_ACCESS_KEY_ID" in aws_environment:
        env["AWS_EC2_METADATA_DISABLED"] = "true"
    env |= {name: value for name, value in aws_environment.items() if name.startswith("AWS_")}
    if region:
        env |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    if is_loopback_url(env.get("AWS_ENDPOINT_URL")):
        env |= {name: join_no_proxy(env.get(name), LOOPBACK_HOSTS) for name in NO_PROXY_VARIABLES}
    # Sets of strings have one order then, and what is made from them is the same at every build.
    env["PYTHONHASHSEED"] = "0"
    # The script chose its SDK. Advice to use another one only fills the task log.
    env.setdefault("SAGEMAKER_SUPPRESS_V2_WARNING", "1")
    return env


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


def _make_error(answer: Mapping[str, Any], reference: str) -> CompileError:
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


def _format_last_lines(tail: tuple[str, ...]) -> str:
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
        uploads=tuple(Upload(upload["uri"], upload["size"]) for upload in answer["uploads"]),
        sent=() if from_cache else tuple(answer["sent"]),
        aws_changes=() if from_cache else tuple(answer["writes"]),
        not_sent=tuple(answer["answered"]),
        built_each_time=tuple(answer["unrepeatable"]),
    )
