"""Compiles a pipeline script: finds its Python, looks into the cache, or runs the worker and reads its answer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
import time
from collections import deque
from dataclasses import dataclass, replace
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
from airflow_sm_pipelines.compiler.notebook import copy_surroundings, parse_notebook
from airflow_sm_pipelines.compiler.script import check_name, parse_metadata, parse_reference, read_script
from airflow_sm_pipelines.compiler.sdk_side.chatter import MARK
from airflow_sm_pipelines.compiler.sdk_side.project_roots import iter_projects
from airflow_sm_pipelines.environments import default_cache_dir, keep_cache_closed
from airflow_sm_pipelines.exceptions import (
    CompileError,
    CompileTimeoutError,
    EndpointUnreachableError,
    EnvironmentBuildError,
    ScriptEnvironmentError,
    ScriptFailedError,
    ScriptFunctionError,
)
from airflow_sm_pipelines.local_endpoint import LOOPBACK_HOSTS, NO_PROXY_VARIABLES, join_no_proxy
from airflow_sm_pipelines.loopback import is_loopback_url
from airflow_sm_pipelines.option_reader import WITHHELD_PREFIXES
from airflow_sm_pipelines.processes import run_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_sm_pipelines.compiler.interpreter import ScriptInterpreter
    from airflow_sm_pipelines.compiler.notebook import Notebook
    from airflow_sm_pipelines.compiler.script import ScriptMetadata, ScriptReference
    from airflow_sm_pipelines.definition.json_value import JsonObject

_PROTOCOL = 3
_WORKER = Path(__file__).with_name("worker.py")

_KEPT_LINES = 20
"""Last lines of packages that are told after a failure."""

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
    requirements: Sequence[str] = (),
    script_args: Sequence[str] = (),
    script_env: Mapping[str, str] | None = None,
    aws_environment: Mapping[str, str],
    cache_dir: Path | None,
    timeout_seconds: float = 600,
    working_folder: Path | None = None,
    project_root: Path | None = None,
    base_folder: Path | None = None,
    cache: bool = True,
    log: Callable[[str], None],
    chatter: Callable[[str], None] | None = None,
) -> CompiledPipeline:
    """Build the pipeline of a SageMaker SDK script or notebook in an interpreter of its own.

    The function's parameters are filled by name: ``sagemaker_session``, ``pipeline_session`` or ``session`` (a
    ``PipelineSession``), ``role``, ``role_arn`` or ``execution_role``, ``region``, ``default_bucket``,
    ``pipeline_name``, and the keys of ``config``, which come before all others.

    The same content gives the same definition everywhere. A script runs again only if what it read, its requirements,
    the arguments, AWS's answers or its uploads have changed, or if it asks for what differs each time. A build changes
    nothing in SageMaker: calls that would are answered without being sent.

    :param reference: ``path.py:function``; ``path.py:name`` for a pipeline that the script makes at its top level;
        ``path.py`` for a script with a ``get_pipeline`` or with one pipeline. Notebooks (``.ipynb``) are named alike.
    :param config: JSON values for further parameters of the function.
    :param interpreter: a Python that has the SDK. Without it, one is made by the script's PEP 723 metadata.
    :param requirements: make one with these instead (PEP 508).
    :param script_args: the script's command line, as its ``sys.argv`` has it after the script.
    :param script_env: environment variables of the script, besides those of this process.
    :param role_arn: passed to the function as its role, and what ``get_execution_role()`` gives.
    :param aws_environment: the script's only AWS variables: credentials, ``AWS_ENDPOINT_URL`` and so on.
    :param cache_dir: see :func:`~airflow_sm_pipelines.environments.default_cache_dir`.
    :param timeout_seconds: for the script. Installing its requirements has a limit of its own.
    :param working_folder: where the script runs; by default the header's ``working-dir``, else the script's own folder.
        What is only at the project's root is taken from there, and the log says so.
    :param project_root: where its imports start, besides its own folder; by default the header's ``project-root``, else
        its ``working-dir``.
    :param base_folder: the folder that counts as the project's root for a script below it that is in no repository.
    :param cache: whether an earlier build may be taken. The new build is kept either way.
    :param log: called with each output line of the script, and with what the user should know.
    :param chatter: called with each output line of uv, the SDK and other packages. Where not given, they go to ``log``
        if the build fails.
    :raises CompileError: the subclass names the cause.
    """
    target = parse_reference(reference)
    script = _Script.read(target)
    cache_dir = cache_dir or default_cache_dir(os.environ)
    voice = _Voice(log, chatter)
    content: JsonObject = {
        "script": script.path.name,
        "function": target.function,
        "config": _to_json(config),
        "role_arn": role_arn,
        "region": region,
        "pipeline_name": pipeline_name,
        "default_bucket": default_bucket,
        "script_args": list(script_args),
    }
    with voice.telling_all_on_failure():
        _keep_closed(cache_dir, voice.log)
        python = script.find_interpreter(interpreter, requirements, cache_dir=cache_dir, voice=voice)
        build = _Build(
            target,
            script,
            python,
            content | {"folder": folder_digest(script.path.parent)},
            plan_child_environment(
                {**os.environ, **(script_env or {})}, aws_environment=aws_environment, region=region
            ),
            script.find_place(working_folder, project_root, base_folder),
            voice,
            timeout_seconds,
        )
        return build.make(cache_dir, account=_identify_account(role_arn, aws_environment), takes_kept=cache)


@dataclass(frozen=True, slots=True)
class _Script:
    """A script or notebook.

    :param source: its Python.
    """

    path: Path
    source: str
    notebook: Notebook | None
    metadata: ScriptMetadata | None

    @classmethod
    def read(cls, target: ScriptReference) -> _Script:
        """Read it, and check that it defines what is named."""
        path, text = read_script(target.path)
        notebook = parse_notebook(text, path=path) if path.suffix == ".ipynb" else None
        source = text if notebook is None else notebook.source
        check_name(target, path, source)
        return cls(path, source, notebook, parse_metadata(source, path=path))

    def find_interpreter(
        self, interpreter: str | None, requirements: Sequence[str], *, cache_dir: Path, voice: _Voice
    ) -> ScriptInterpreter:
        """Find the Python that has its SDK."""
        own = self.notebook.requirements if self.notebook and self.metadata is None else ()
        return find_interpreter(
            self.path,
            self.source,
            metadata=self.metadata,
            interpreter=interpreter,
            requirements=requirements or own,
            cache_dir=cache_dir,
            log=voice.log,
            chatter=voice.chatter,
        )

    def find_place(self, working_folder: Path | None, project_root: Path | None, base: Path | None) -> _Place:
        """Find where it runs: what is given goes before its header."""
        named = (self.metadata.working_dir, self.metadata.project_root) if self.metadata else (None, None)
        return _Place(
            self.path.parent,
            working_folder=working_folder or named[0],
            project_root=project_root or named[1] or named[0],
            roots=_find_roots(self.path.parent, base),
        )


def _keep_closed(cache_dir: Path, log: Callable[[str], None]) -> None:
    """Refuse to take definitions and interpreters from where another user could have put them."""
    try:
        keep_cache_closed(cache_dir, log)
    except (EnvironmentBuildError, OSError) as error:
        raise ScriptEnvironmentError(str(error)) from error


def _find_roots(folder: Path, base: Path | None) -> tuple[Path, ...]:
    """The folders above a script that may be its project's root: repositories and Python projects, the nearest first.

    :param base: counts, too, if it is above.
    """
    found = [root for root in iter_projects(folder) if root != folder]
    if base is not None and base.absolute() in folder.parents:
        found.append(base.absolute())
    return tuple(dict.fromkeys(found))


class _Voice:
    """Tells the user what the script prints, and what packages print only where it is asked for or helps.

    :param chatter: takes what packages print; None to tell it only after a failure.
    """

    def __init__(self, log: Callable[[str], None], chatter: Callable[[str], None] | None) -> None:
        self.log = log
        self._chatter = chatter
        self._kept: deque[str] = deque(maxlen=_KEPT_LINES)

    def chatter(self, line: str) -> None:
        """Tell, or keep, a line of a package."""
        if self._chatter is not None:
            self._chatter(line)
        else:
            self._kept.append(line)

    def hear(self, line: str) -> None:
        """Take a line of the worker."""
        if line.startswith(MARK):
            self.chatter(line.removeprefix(MARK))
        else:
            self.log(line)

    @contextlib.contextmanager
    def telling_all_on_failure(self) -> Iterator[None]:
        """Tell the lines that were kept if what runs inside fails."""
        try:
            yield
        except ScriptEnvironmentError:
            raise  # its message has uv's own reason
        except CompileError:
            for line in self._kept:
                self.log(line)
            raise
        finally:
            self._kept.clear()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a script runs.

    :param folder: its own.
    :param working_folder: where it runs instead.
    :param project_root: where its imports start, besides its own folder.
    :param roots: where else files and modules are looked for that are missing.
    """

    folder: Path
    working_folder: Path | None
    project_root: Path | None
    roots: tuple[Path, ...]

    def moved(self, old: Path, new: Path) -> _Place:
        """The place as seen in a copy of the folder ``old``, or of one above, at ``new``."""

        def move(path: Path | None) -> Path | None:
            if path is None:
                return None
            return Path(os.path.normpath(new / os.path.relpath(path, old)))

        own = move(self.folder)
        assert own is not None  # noqa: S101 - of a path that is one
        roots = tuple(found for root in self.roots if (found := move(root)) is not None and found.is_dir())
        return _Place(own, move(self.working_folder), move(self.project_root), roots)


@dataclass(frozen=True, slots=True)
class _Build:
    """One build of one script.

    :param content: what the definition depends on, but for what the script itself reads.
    :param env: the worker's environment variables.
    """

    target: ScriptReference
    script: _Script
    python: ScriptInterpreter
    content: JsonObject
    env: Mapping[str, str]
    place: _Place
    voice: _Voice
    timeout_seconds: float

    def make(self, cache_dir: Path, *, account: JsonObject, takes_kept: bool) -> CompiledPipeline:
        """Take an earlier build if one fits and may be taken, else build."""
        cache, key = BuildCache(cache_dir / "definitions"), self.make_key(account)
        region = self.content["region"]
        kept = None
        if takes_kept:
            kept = self.load(cache, key, region=None if region is None else str(region))
        else:
            self.voice.log(f"{self.target} is built anew: the options say that no earlier build is to be taken.")
        return kept or self.run(cache, key, keys_folder=cache_dir / "keys")

    def make_key(self, account: JsonObject) -> str:
        """The name of the build in the cache. It holds no path, so that a fresh clone finds it, too."""
        folder, root = self.place.working_folder, self.place.project_root
        return json_digest(
            {
                "content": self.content,
                "working_folder": None if folder is None else os.path.relpath(folder, self.script.path.parent),
                "project_root": None if root is None else os.path.relpath(root, self.script.path.parent),
                "roots": [os.path.relpath(above, self.script.path.parent) for above in self.place.roots],
                "interpreter": self.python.identity,
                "worker": [file_digest(_WORKER), folder_digest(_WORKER.with_name("sdk_side"))],
                "account": account,
            }
        )

    def load(self, cache: BuildCache, key: str, *, region: str | None) -> CompiledPipeline | None:
        """Take the pipeline of an earlier build, if all that it depends on is unchanged."""
        kept = cache.load(key, folder=self.script.path.parent, env=self.env)
        if kept is None:
            return None
        change = find_change_in_aws(kept, aws_environment=self.env, region=region)
        if change is not None:
            self.voice.log(f"{self.target} is built again: {change}")
            return None
        self.voice.log(
            f"{self.target} is unchanged: the definition of {kept['name']!r} is taken from {cache.directory}"
        )
        return _make_compiled(kept, from_cache=True)

    def run(self, cache: BuildCache, key: str, *, keys_folder: Path) -> CompiledPipeline:
        """Run the worker and keep its answer, unless another run could give another one."""
        deadline = time.monotonic() + self.timeout_seconds
        answer = self._run_worker(self.place, keys_folder, deadline)
        if not answer["ok"] and (missing := answer.get("missing")):
            answer = self._run_at_root(missing["name"], Path(missing["root"]), keys_folder, deadline)
        if not answer["ok"]:
            raise _make_error(answer, str(self.target))
        for module, root in answer["at_root"].items():
            self._tell_root(f"module '{module}'", Path(root))
        for reason in answer["unrepeatable"]:
            self.voice.log(f"{self.target} is built each time: {reason}")
        if not answer["unrepeatable"]:
            try:
                cache.store(key, answer)
            except OSError as error:
                self.voice.log(f"The definition could not be kept in {cache.directory}: {error.strerror}")
        return _make_compiled(answer, from_cache=False)

    def _run_at_root(self, missing: str, root: Path, keys_folder: Path, deadline: float) -> dict[str, Any]:
        """Build once more, in the folder above that has a file which the script's own folder has not."""
        self._tell_root(f"'{missing}'", root)
        place = replace(self.place, working_folder=root, project_root=root)
        return self._run_worker(place, keys_folder, deadline)

    def _tell_root(self, what: str, root: Path) -> None:
        seen = os.path.relpath(root, self.script.path.parent)
        self.voice.log(
            f"{what[0].upper()}{what[1:]} is not in {self.script.path.parent}; {self.target} is built with the "
            f"project's root, {root}. To settle it, give working_dir= (--working-dir {root}), or write into the "
            f'script\'s header:\n# [tool.sm-pipelines]\n# working-dir = "{seen}"'
        )

    def _run_worker(self, place: _Place, keys_folder: Path, deadline: float) -> dict[str, Any]:
        """Run the worker and read its answer from a file: what the script prints cannot damage that."""
        with tempfile.TemporaryDirectory(prefix="sm-pipelines-", ignore_cleanup_errors=True) as scratch:
            if self.script.notebook is None:
                return self._run_worker_in(place, Path(scratch), keys_folder, deadline)
            # The copy may be named in messages, but only the user's folder is known to the user.
            top = place.roots[-1] if place.roots else place.folder
            copy = copy_surroundings(place.folder, root=top, into=Path(scratch, "copy"))
            moved = place.moved(place.folder, copy)
            text = json.dumps(self._run_worker_in(moved, Path(scratch), keys_folder, deadline))
            for outside in (place.folder, *place.roots):
                inside = os.path.normpath(copy / os.path.relpath(outside, place.folder))
                text = text.replace(json.dumps(inside)[1:-1], json.dumps(str(outside))[1:-1])
            return dict(json.loads(text))

    def _run_worker_in(self, place: _Place, scratch: Path, keys_folder: Path, deadline: float) -> dict[str, Any]:
        asked, answered = Path(scratch, "request.json"), Path(scratch, "answer.json")
        request = self._make_request(place) | {"scratch": str(scratch), "keys_folder": str(keys_folder)}
        asked.write_text(json.dumps(request), encoding="utf-8")
        # `-s`, and no PYTHON variable but the hash seed, which `-I` would ignore, too.
        command = [str(self.python.path), "-s", "-u", str(_WORKER), str(asked), str(answered)]
        folder = place.working_folder or place.folder
        try:
            outcome = run_child(
                command, env=self.env, cwd=folder, timeout_seconds=deadline - time.monotonic(), log=self.voice.hear
            )
        except OSError as error:
            raise ScriptEnvironmentError(
                f"Cannot start {self.python.path} for {self.target}: {error.strerror}."
            ) from error
        if outcome.is_timed_out:
            raise CompileTimeoutError(
                f"The pipeline script {self.target} did not end within {self.timeout_seconds:g} seconds and was "
                f"stopped.{_format_last_lines(outcome.tail)}"
            )
        try:
            return dict(json.loads(answered.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise ScriptFailedError(
                f"The pipeline script {self.target} {_format_exit(outcome.exit_code)} before it gave a pipeline."
                f"{_format_last_lines(outcome.tail)}"
            ) from None

    def _make_request(self, place: _Place) -> JsonObject:
        cells = None if self.script.notebook is None else self.script.notebook.cells_for(self.target.function)
        return {
            "protocol": _PROTOCOL,
            **self.content,
            "script": str(place.folder / self.script.path.name),
            "shown_as": str(self.target.path),
            "source": self.script.source,
            "cells": None if cells is None else [cell.to_json() for cell in cells],
            "project_root": str(place.project_root) if place.project_root else None,
            "roots": [str(root) for root in place.roots],
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
        if not name.startswith(WITHHELD_PREFIXES) and name not in _WITHHELD
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
    return "\nIts last lines:\n" + "\n".join(line.removeprefix(MARK) for line in tail[-15:]) if tail else ""


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
