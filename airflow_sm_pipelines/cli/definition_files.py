"""Files, folders and standard input that hold definitions, as the commands name them: ``template.yaml#Train``."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import UnreadableSourceError
from airflow_sm_pipelines.documents import (
    HeldDefinition,
    Variables,
    choose_definition,
    explain_unfilled,
    parse_held,
    read_document,
    split_name,
    with_values_of,
)
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import PipelineDefinition
    from airflow_sm_pipelines.definition.variants import Variant

_ENDINGS = (".json", ".yaml", ".yml", ".template", ".tftpl", ".tpl", ".tmpl", ".tfstate")
_SKIPPED_FOLDERS = ("node_modules", "__pycache__")


@dataclass(frozen=True, slots=True)
class Source:
    """A definition as text, and what to call it in messages.

    :param held: what the file says beside the definition's text; None where there is no file.
    :param file: the file, where the name says more than that.
    """

    name: str
    text: bytes
    held: HeldDefinition | None = None
    file: str | None = None

    @property
    def place(self) -> str:
        """What to write before a line and column."""
        return self.file or self.name

    def parse(self) -> tuple[PipelineDefinition, tuple[Variant, ...] | None]:
        """The definition, and its variants where some of its values are unknown.

        :raises DefinitionError: naming every problem that depends on no unknown value.
        """
        return parse_held(self.held or HeldDefinition(self.text), name=self.place)


def read_definition_files(source: str, arguments: argparse.Namespace, *, is_one: bool) -> list[Source]:
    """The definitions in a file or a folder, or on standard input for ``-``.

    :param source: what is named, with ``#`` and the name of one pipeline in it if there are several.
    :param arguments: has the values for placeholders, under ``variables``.
    :param is_one: whether exactly one definition is wanted.
    :raises UnreadableSourceError: when there is nothing to read.
    :raises DefinitionError: when a file holds no pipeline, or more than the one that is wanted.
    """
    variables = _variables(arguments)
    path, wanted = split_name(source, exists=lambda path: Path(path).exists())
    held = list(_read(path, variables))
    if wanted is not None or is_one:
        held = [choose_definition(held, wanted=wanted, name=_name(path))]
    return [
        Source(
            _name(path, one),
            one.text.encode() if isinstance(one.text, str) else one.text,
            held=one,
            file=str(Path(path) / one.id.partition("#")[0]) if Path(path).is_dir() else _name(path),
        )
        for one in held
    ]


def _name(path: str, held: HeldDefinition | None = None) -> str:
    """What messages call a file, or a definition in it."""
    if path == "-":
        path = "standard input"
    if held is None or not held.id:
        return path
    return str(Path(path) / held.id) if Path(path).is_dir() else f"{path}#{held.id}"


def _read(path: str, variables: Variables) -> Iterator[HeldDefinition]:
    if path == "-":
        yield from read_document(sys.stdin.buffer.read(), name=_name(path), variables=variables)
    elif Path(path).is_dir():
        yield from _read_folder(Path(path), variables)
    else:
        yield from read_document(_read_bytes(path), name=path, variables=variables)


def _read_bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        hint = ""
        if path.endswith(".py"):
            hint = f" For a pipeline script, name the function too: {path}:get_pipeline"
        raise UnreadableSourceError(f"Cannot read {path}: {error.strerror}.{hint}") from None


def _read_folder(folder: Path, variables: Variables) -> list[HeldDefinition]:
    """The definitions of all files below a folder; files that hold none are passed over.

    A file that cannot be read, but should hold one, has a fault.
    """
    held: list[HeldDefinition] = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS and not name.startswith("."))
        for file in sorted(name for name in files if name.lower().endswith(_ENDINGS)):
            path = Path(root) / file
            place = path.relative_to(folder).as_posix()
            try:
                found = read_document(_read_bytes(str(path)), name=str(path), variables=variables, is_any=True)
            except DefinitionError as error:
                found = (HeldDefinition("", fault=str(error)),)
            held += [replace(one, id=f"{place}#{one.id}" if one.id else place) for one in found]
    if not held:
        raise UnreadableSourceError(
            f"No file in {folder} holds a pipeline. It looks for {', '.join(_ENDINGS)} in the folder and those below."
        )
    return held


def read_deployable(source: str, arguments: argparse.Namespace) -> tuple[str, str | None]:
    """What to deploy of a file, or of standard input.

    :return: the path of a file that is a definition as it stands, else the definition's JSON text; and the pipeline's
        name, by the document or else by the file.
    :raises UnreadableSourceError: if standard input holds no definition, or a value is for no placeholder.
    :raises DefinitionError: if some of its values are unknown.
    """
    from airflow_sm_pipelines.client.valid_names import make_pipeline_name

    (found,) = read_definition_files(source, arguments, is_one=True)
    refuse_unused_variables(arguments)
    held = found.held
    if held is not None and (problem := explain_unfilled(held, name=found.name)):
        raise DefinitionError(f"{problem} Give each with --var NAME=VALUE.")
    text = found.text.decode("utf-8", "replace")
    if source == "-" and not text.lstrip().startswith("{"):
        raise UnreadableSourceError("Standard input holds no definition: expected a JSON object.")
    name = held.name if held else None
    if source == "-":
        return text, name
    is_file = held is None or (isinstance(held.text, bytes) and not held.id)
    return source if is_file else text, name or make_pipeline_name(short_name(found))


def short_name(source: Source) -> str:
    """What to call a pipeline whose name is not known: by its place in the document, else by the file."""
    place = source.held.id if source.held else ""
    return re.split(r"[.#/]", place.removesuffix(".json"))[-1].strip('[]"') if place else Path(source.name).stem


def refuse_unused_variables(arguments: argparse.Namespace) -> None:
    """Refuse a value for a placeholder that no source has, once all sources are read.

    :raises UnreadableSourceError: naming it, and the placeholders there are.
    """
    from airflow_sm_pipelines.definition.problems import list_names, suggest

    variables = _variables(arguments)
    if variables.unused:
        (first, *_), known = variables.unused, list(variables.missed)
        raise UnreadableSourceError(
            f"--var {first}: there is no placeholder of that name. Those without a value: {list_names(known)}."
            f"{suggest(first, known)}"
        )


def _variables(arguments: argparse.Namespace) -> Variables:
    """The values of ``--var``; one object for all sources of a command, so that it knows which were used."""
    variables = getattr(arguments, "read_variables", None)
    if not isinstance(variables, Variables):
        given = getattr(arguments, "variables", ())
        for setting in given:
            if not setting.partition("=")[0] or "=" not in setting:
                raise UnreadableSourceError(f"--var {setting!r} is not NAME=VALUE with the name of a placeholder.")
        variables = Variables(given)
        arguments.read_variables = variables
    return variables


def parse_alike(old: Source, new: Source) -> tuple[PipelineDefinition, PipelineDefinition]:
    """Two definitions to compare: what is unknown in one and may be what the other has, is that.

    :raises DefinitionError: naming every problem that depends on no unknown value.
    """
    return with_values_of_other(old, new).parse()[0], with_values_of_other(new, old).parse()[0]


def with_values_of_other(source: Source, other: Source) -> Source:
    """A source whose unknown values are those of another definition, wherever they can be."""
    if source.held is None or source.held.marked is None:
        return source
    held = with_values_of(source.held, other.parse()[0].to_json())
    return replace(source, held=held, text=held.text.encode() if isinstance(held.text, str) else held.text)
