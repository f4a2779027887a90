"""Loads a pipeline definition from what an author gives: a script, a file, an S3 object, JSON text or a dict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.compiler.script import find_reference, parse_reference
from airflow_sm_pipelines.definition.s3_uri import is_s3_uri
from airflow_sm_pipelines.deployment.options import resolve_path
from airflow_sm_pipelines.exceptions import ArgumentError, DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.compiler import CompiledPipeline
    from airflow_sm_pipelines.compiler.script import ScriptReference
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
    """A definition's text, with the settings that a script or a document gives beside it.

    :param name: the pipeline's name, where the script or the document has it.
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
        return SourceKind.FILE if find_reference(text) is None else SourceKind.SCRIPT
    raise DefinitionError(
        "pipeline must be 'script.py:function', 'script.py' or the same of a notebook, "
        "the path of a JSON file, 's3://bucket/key', JSON text or a dict; "
        f"found {pipeline!r}."
    )


def resolve_code_path(pipeline: Any, *, folder: str) -> Path | None:
    """The file that a pipeline comes from; None if it is no file of this machine.

    :raises DefinitionError: if the source has no known form.
    """
    kind = parse_source(pipeline)
    if kind is SourceKind.SCRIPT:
        reference = find_reference(str(pipeline))
        return resolve_path(str(pipeline).strip() if reference is None else str(reference.path), folder=folder)
    if kind is not SourceKind.FILE:
        return None
    return split_file(str(pipeline).strip(), folder=folder)[0]


def split_file(text: str, *, folder: str) -> tuple[Path, str | None]:
    """The file of ``template.yaml#Train``, and the pipeline that is named in it.

    :param text: the path, whose name may itself have a ``#``.
    :param folder: where a relative path starts.
    """
    from airflow_sm_pipelines.documents import split_name

    path, wanted = split_name(text, exists=lambda path: resolve_path(path, folder=folder).exists())
    return resolve_path(path, folder=folder), wanted


def load_definition_file(text: str, options: DeployOptions) -> LoadedDefinition:
    """The definition of a file.

    :param text: the path, with ``#`` and the name of one pipeline where the file holds several.
    :raises DefinitionError: if it cannot be read, holds no pipeline or several, or has values that are not filled in.
    """
    path, wanted = split_file(text, folder=options.folder)
    try:
        source = path.read_bytes()
    except OSError as error:
        raise DefinitionError(f"The definition file {path} cannot be read: {error.strerror or error}.") from error
    return load_document(source, origin=str(path), wanted=wanted)


def load_document(source: str | bytes, *, origin: str, wanted: str | None = None) -> LoadedDefinition:
    """The definition that a text holds, with the settings that stand beside it.

    :param origin: where the text is from, for messages.
    :param wanted: which pipeline is meant, where there are several.
    :raises DefinitionError: as for :func:`load_definition_file`.
    """
    from airflow_sm_pipelines.documents import choose_definition, explain_unfilled, read_document

    held = choose_definition(read_document(source, name=origin), wanted=wanted, name=origin)
    if problem := explain_unfilled(held, name=origin):
        raise DefinitionError(problem)
    text = held.text
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError:
            raise DefinitionError(f"{origin} is not JSON in UTF-8.") from None
    return LoadedDefinition(
        text=text,
        origin=f"{origin}#{held.id}" if held.id else origin,
        name=held.name,
        description=held.description,
        parallelism=held.parallelism,
    )


def load_definition(
    calls: SageMakerCalls,
    options: DeployOptions,
    *,
    log: Callable[[str], None],
    chatter: Callable[[str], None] | None = None,
) -> LoadedDefinition:
    """The definition's text.

    :param log: told what a script prints.
    :param chatter: told what uv, the SDK and other packages print; where not given, ``log`` is told if it fails.
    :raises DefinitionError: if a file is missing or the source has no known form.
    :raises CompileError: if a script gives no pipeline.
    """
    kind = parse_source(options.pipeline)
    if kind is SourceKind.DOCUMENT:
        # An answer of DescribePipeline has times in it.
        default = str if "PipelineDefinition" in options.pipeline else None
        return load_document(json.dumps(options.pipeline, default=default), origin="the dict given as pipeline")
    text = str(options.pipeline).strip()
    if kind is SourceKind.TEXT:
        return load_document(text, origin="the JSON text given as pipeline")
    if kind is SourceKind.S3:
        return load_document(calls.read_s3_text(text), origin=text)
    if kind is SourceKind.FILE:
        return load_definition_file(text, options)
    return _load_script(calls, options, log=log, chatter=chatter)


def compile_script(
    calls: SageMakerCalls,
    options: DeployOptions,
    *,
    log: Callable[[str], None],
    chatter: Callable[[str], None] | None = None,
) -> CompiledPipeline:
    """The pipeline that a script makes, compiled in an interpreter of its own.

    :param options: ``pipeline`` names a script, as :func:`~airflow_sm_pipelines.compiler.script.find_reference` says.
    :param log: told what the script prints.
    :param chatter: told what uv, the SDK and other packages print; where not given, ``log`` is told if it fails.
    :raises CompileError: one of its subclasses, by cause.
    """
    from airflow_sm_pipelines.compiler import compile_pipeline
    from airflow_sm_pipelines.compiler.requirements import read_requirements

    root = None if options.working_dir is None else _resolve_folder(options)
    return compile_pipeline(
        str(_resolve_reference(options)),
        config=options.config,
        role_arn=options.role_arn,
        region=calls.conn_region_name,
        pipeline_name=options.pipeline_name,
        default_bucket=options.default_bucket,
        interpreter=None if options.interpreter is None else str(options.resolve_path(options.interpreter)),
        requirements=read_requirements(options.requirements or (), folder=options.resolve_path(".")),
        script_args=[str(one) for one in options.script_args],
        script_env=options.script_env,
        aws_environment=calls.child_environment(),
        cache_dir=None,
        timeout_seconds=float(options.compile_timeout_seconds),
        working_folder=root or (options.resolve_path(".") if options.is_run_in_folder else None),
        project_root=root,
        base_folder=options.resolve_path("."),
        cache=options.cache,
        log=log,
        chatter=chatter,
    )


def _resolve_folder(options: DeployOptions) -> Path:
    folder = options.resolve_path(str(options.working_dir)).resolve()
    if not folder.is_dir():
        raise ArgumentError(f"working_dir={options.working_dir!r}: there is no folder {folder}.")
    return folder


def _resolve_reference(options: DeployOptions) -> ScriptReference:
    reference = parse_reference(str(options.pipeline))
    return replace(reference, path=options.resolve_path(str(reference.path)))


def _load_script(
    calls: SageMakerCalls,
    options: DeployOptions,
    *,
    log: Callable[[str], None],
    chatter: Callable[[str], None] | None,
) -> LoadedDefinition:
    # Airflow's UI and GitHub's fold what stands between these two lines.
    log(f"::group::Compile {str(options.pipeline).strip()}")
    try:
        compiled = compile_script(calls, options, log=log, chatter=chatter)
    finally:
        log("::endgroup::")
    origin = str(_resolve_reference(options))
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
