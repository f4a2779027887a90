"""Loads a pipeline definition from what an author gives: a script, a file, an S3 object, JSON text or a dict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.s3_uri import is_s3_uri
from airflow_sm_pipelines.deployment.options import resolve_path
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.compiler import CompiledPipeline
    from airflow_sm_pipelines.deployment.options import DeployOptions


class SourceKind(str, Enum):
    """The forms in which an author may give a pipeline."""

    DOCUMENT = "dict"
    TEXT = "JSON text"
    S3 = "S3 object"
    SCRIPT = "script"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class LoadedDefinition:
    """A definition's text, with the settings that a script gives beside it.

    :param name: the pipeline's name in the script; None for other sources.
    :param tags: by key.
    :param origin: where it came from, for messages.
    """

    text: str
    origin: str
    name: str | None = None
    description: str | None = None
    tags: Mapping[str, str] | None = None
    parallelism: Mapping[str, Any] | None = None


def parse_source(pipeline: Any) -> SourceKind:
    """The form in which a pipeline is given.

    :raises DefinitionError: if it is none of the known ones.
    """
    if isinstance(pipeline, Mapping):
        return SourceKind.DOCUMENT
    if isinstance(pipeline, str) and pipeline.strip():
        text = pipeline.strip()
        if text.startswith("{"):
            return SourceKind.TEXT
        if is_s3_uri(text):
            return SourceKind.S3
        path, colon, function = text.rpartition(":")
        if colon and path.endswith(".py") and function.isidentifier():
            return SourceKind.SCRIPT
        if text.endswith(".py"):
            raise DefinitionError(f"'{text}' names no function: expected '{text}:get_pipeline'.")
        return SourceKind.FILE
    raise DefinitionError(
        "pipeline must be 'script.py:function', the path of a JSON file, 's3://bucket/key', JSON text or a dict; "
        f"found {pipeline!r}."
    )


def resolve_code_path(pipeline: Any, *, folder: str) -> Path | None:
    """The file that a pipeline comes from; None if it is no file of this machine.

    :raises DefinitionError: if the source has no known form.
    """
    kind = parse_source(pipeline)
    if kind is SourceKind.SCRIPT:
        return resolve_path(str(pipeline).strip().rpartition(":")[0], folder=folder)
    return resolve_path(str(pipeline).strip(), folder=folder) if kind is SourceKind.FILE else None


def load_definition(calls: SageMakerCalls, options: DeployOptions, *, log: Callable[[str], None]) -> LoadedDefinition:
    """The definition's text.

    :param log: told what a script prints.
    :raises DefinitionError: if a file is missing or the source has no known form.
    :raises CompileError: if a script gives no pipeline.
    """
    kind = parse_source(options.pipeline)
    if kind is SourceKind.DOCUMENT:
        return LoadedDefinition(text=json.dumps(options.pipeline), origin="the dict given as pipeline")
    text = str(options.pipeline).strip()
    if kind is SourceKind.TEXT:
        return LoadedDefinition(text=text, origin="the JSON text given as pipeline")
    if kind is SourceKind.S3:
        return LoadedDefinition(text=calls.read_s3_text(text), origin=text)
    if kind is SourceKind.FILE:
        path = options.resolve_path(text)
        try:
            return LoadedDefinition(text=path.read_text(encoding="utf-8"), origin=str(path))
        except OSError as error:
            raise DefinitionError(f"The definition file {path} cannot be read: {error.strerror or error}.") from error
    return _load_script(calls, options, log=log)


def compile_script(calls: SageMakerCalls, options: DeployOptions, *, log: Callable[[str], None]) -> CompiledPipeline:
    """The pipeline that a script's function returns, compiled in an interpreter of its own.

    :param options: ``pipeline`` is ``script.py:function``.
    :param log: told what the script and the SDK print.
    :raises CompileError: one of its subclasses, by cause.
    """
    from airflow_sm_pipelines.compiler import compile_pipeline

    script, _, function = str(options.pipeline).strip().rpartition(":")
    return compile_pipeline(
        f"{options.resolve_path(script)}:{function}",
        config=options.config,
        role_arn=options.role_arn,
        region=calls.conn_region_name,
        pipeline_name=options.pipeline_name,
        default_bucket=options.default_bucket,
        interpreter=None if options.interpreter is None else str(options.resolve_path(options.interpreter)),
        aws_environment=calls.child_environment(),
        cache_dir=None,
        timeout_seconds=options.compile_timeout_seconds,
        cache=options.cache,
        working_folder=Path(options.folder) if options.is_run_in_folder else None,
        log=log,
    )


def _load_script(calls: SageMakerCalls, options: DeployOptions, *, log: Callable[[str], None]) -> LoadedDefinition:
    # Airflow's UI and GitHub's fold what stands between these two lines.
    log(f"::group::Compile {str(options.pipeline).strip()}")
    try:
        compiled = compile_script(calls, options, log=log)
    finally:
        log("::endgroup::")
    script, _, function = str(options.pipeline).strip().rpartition(":")
    origin = f"{options.resolve_path(script)}:{function}"
    log(
        f"Compiled {origin} with SageMaker SDK {compiled.sdk_version}"
        + (", from the cache" if compiled.from_cache else "")
        + (f"; uploaded {', '.join(compiled.sent)}" if compiled.sent else "")
    )
    return LoadedDefinition(
        text=compiled.definition_text,
        origin=origin,
        name=compiled.name,
        description=compiled.description,
        tags={item["Key"]: item["Value"] for item in compiled.tags},
        parallelism=compiled.parallelism,
    )
