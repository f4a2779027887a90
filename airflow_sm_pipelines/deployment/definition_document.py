"""Loads the definition that a file or a text holds: itself, or a saved answer, a Terraform plan, a template with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.deployment.options import resolve_path
from airflow_sm_pipelines.deployment.source import LoadedDefinition
from airflow_sm_pipelines.documents import choose_definition, explain_unfilled, read_document
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_sm_pipelines.deployment.options import DeployOptions


def split_file(text: str, *, folder: str) -> tuple[Path, str | None]:
    """The file of ``template.yaml#Train``, and the pipeline that is named in it.

    :param text: the path, whose name may itself have a ``#``.
    :param folder: where a relative path starts.
    """
    whole = resolve_path(text, folder=folder)
    path, separator, wanted = text.rpartition("#")
    return (whole, None) if not separator or whole.exists() else (resolve_path(path, folder=folder), wanted)


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
