"""Where a pipeline definition comes from: a script, a file, an S3 object, JSON text or a dict; and how it is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.client.calls import SageMakerCalls


class SourceKind(str, Enum):
    """The forms in which an author may give a pipeline."""

    DOCUMENT = "dict"
    TEXT = "JSON text"
    S3 = "S3 object"
    SCRIPT = "script"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class LoadedDefinition:
    """A definition's text, with what its script says beside it.

    :param name: the pipeline's name, as the script has it; None for other sources.
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
    """Which form it is.

    :raises DefinitionError: if it is none of them.
    """
    if isinstance(pipeline, Mapping):
        return SourceKind.DOCUMENT
    if isinstance(pipeline, str) and pipeline.strip():
        text = pipeline.strip()
        if text.startswith("{"):
            return SourceKind.TEXT
        if text.startswith("s3://"):
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


def resolve_path(text: str, *, folder: str) -> Path:
    """The absolute path of a file, relative ones taken from the DAG file's folder."""
    path = Path(text).expanduser()
    return path if path.is_absolute() else Path(folder) / path


def resolve_code_path(pipeline: Any, *, folder: str) -> Path | None:
    """The file that a pipeline comes from; None for what is not a file of this machine.

    :raises DefinitionError: if the source has no known form.
    """
    kind = parse_source(pipeline)
    if kind is SourceKind.SCRIPT:
        return resolve_path(str(pipeline).strip().rpartition(":")[0], folder=folder)
    return resolve_path(str(pipeline).strip(), folder=folder) if kind is SourceKind.FILE else None


@dataclass(frozen=True, slots=True)
class ScriptSettings:
    """What a pipeline script is compiled with.

    :param working_folder: where it runs; its own folder where not given.
    """

    config: Mapping[str, Any] | None
    role_arn: str | None
    pipeline_name: str | None
    default_bucket: str | None
    interpreter: str | None
    timeout_seconds: float
    working_folder: str | None = None


def load_definition(
    pipeline: Any, *, folder: str, calls: SageMakerCalls, settings: ScriptSettings, log: Callable[[str], None]
) -> LoadedDefinition:
    """The definition's text, from wherever it is.

    :param folder: the DAG file's folder.
    :param log: told what a script prints.
    :raises DefinitionError: if a file is missing or the source has no known form.
    :raises CompileError: if a script gives no pipeline.
    """
    kind = parse_source(pipeline)
    if kind is SourceKind.DOCUMENT:
        return LoadedDefinition(text=json.dumps(pipeline), origin="the dict given as pipeline")
    text = str(pipeline).strip()
    if kind is SourceKind.TEXT:
        return LoadedDefinition(text=text, origin="the JSON text given as pipeline")
    if kind is SourceKind.S3:
        return LoadedDefinition(text=calls.read_s3_text(text), origin=text)
    if kind is SourceKind.FILE:
        path = resolve_path(text, folder=folder)
        try:
            return LoadedDefinition(text=path.read_text(encoding="utf-8"), origin=str(path))
        except OSError as error:
            raise DefinitionError(f"The definition file {path} cannot be read: {error.strerror or error}.") from error
    return _compile(text, folder=folder, calls=calls, settings=settings, log=log)


def _compile(
    reference: str, *, folder: str, calls: SageMakerCalls, settings: ScriptSettings, log: Callable[[str], None]
) -> LoadedDefinition:
    from airflow_sm_pipelines.compiler import compile_pipeline

    script, _, function = reference.rpartition(":")
    path = resolve_path(script, folder=folder)
    interpreter = settings.interpreter
    compiled = compile_pipeline(
        f"{path}:{function}",
        config=settings.config,
        role_arn=settings.role_arn,
        region=calls.conn_region_name,
        pipeline_name=settings.pipeline_name,
        default_bucket=settings.default_bucket,
        interpreter=None if interpreter is None else str(resolve_path(interpreter, folder=folder)),
        aws_environment=calls.child_environment(),
        cache_dir=None,
        timeout_seconds=settings.timeout_seconds,
        working_folder=None if settings.working_folder is None else Path(settings.working_folder),
        log=log,
    )
    log(
        f"Compiled {path}:{function} with SageMaker SDK {compiled.sdk_version}"
        + (", from the cache" if compiled.from_cache else "")
        + (f"; uploaded {', '.join(compiled.uploads)}" if compiled.uploads else "")
    )
    return LoadedDefinition(
        text=compiled.definition_text,
        origin=f"{path}:{function}",
        name=compiled.name,
        description=compiled.description,
        tags={item["Key"]: item["Value"] for item in compiled.tags},
        parallelism=compiled.parallelism,
    )
