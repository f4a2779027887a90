"""A definition that a document holds, and reading it where some of its values are unknown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import PipelineDefinition, Problem, inspect_definition, render_problems
from airflow_sm_pipelines.definition.problems import list_names
from airflow_sm_pipelines.definition.variants import Variant
from airflow_sm_pipelines.documents.placeholders import find_unknown_places, make_mark, make_variants, may_be_named
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_sm_pipelines.definition.json_value import JsonObject


@dataclass(frozen=True, slots=True)
class HeldDefinition:
    """One definition in a document.

    :param text: the definition, JSON text. An unknown value stands in it as it is written: ``${bucket}``.
    :param id: what the document calls it: a logical id, an address; empty where the document is the definition.
    :param name: the pipeline's name, where the document has it.
    :param description: the pipeline's, where the document has it.
    :param parallelism: ``{"MaxParallelExecutionSteps": n}``, where the document has it.
    :param unknown: the names of the values that are unknown, each once.
    :param shown: their texts in the definition.
    :param is_literal: whether the document is valid as it stands, so that what looks like a placeholder may be text for
        the pipeline, such as ``${HOME}`` in a command.
    :param marked: the definition with marks for unknown values; None where there are none.
    :param before: the definition that this one replaces, where the document has both.
    :param fault: why there is no definition, where its place in the document names one that stands elsewhere.
    :param locate: gives the line and column in the document, from 1, of those in the definition's text, or None; not
        needed where the definition's text is the document's.
    :param has_before: whether the document says what this one replaces; if it does, no ``before`` means a new pipeline.
    """

    text: str | bytes
    id: str = ""
    name: str | None = None
    description: str | None = None
    parallelism: Mapping[str, object] | None = None
    unknown: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    is_literal: bool = False
    marked: JsonObject | None = field(default=None, repr=False)
    before: HeldDefinition | None = field(default=None, repr=False)
    has_before: bool = False
    fault: str = ""
    locate: Callable[[int, int], tuple[int, int] | None] | None = field(default=None, repr=False, compare=False)


def inspect_held(
    held: HeldDefinition,
) -> tuple[PipelineDefinition | None, tuple[Problem, ...], tuple[Variant, ...] | None]:
    """Read a definition and what is wrong with it, whatever the unknown values are.

    :return: the definition; its problems; and, where some of its values are unknown, its variants, by which rules find
        what depends on none of them.
    """
    definition, problems = inspect_definition(held.text)
    problems = tuple(_placed(problem, held) for problem in problems)
    if held.marked is None or definition is None:
        return definition, problems, None
    marked = held.marked
    problems = tuple(one for one in problems if not may_be_named(_marked(one.message, held.shown), marked))
    variants = []
    places = find_unknown_places(held.marked)
    for document, numbers in make_variants(held.marked):
        read, found = inspect_definition(document)
        words = {word: held.shown[number] for word, number in numbers.items()}
        variant = Variant(read or definition, words, places)
        same = {(variant.show(problem.path), variant.show(problem.message)) for problem in found}
        problems = tuple(problem for problem in problems if (problem.path, problem.message) in same)
        if read is not None and not found:
            variants.append(variant)
    # The third one has names that stand for nothing, so that it says less; it is for want of the others.
    return definition, problems, tuple(variants[:2])


def _marked(text: str, shown: Sequence[str]) -> str:
    """A text about a definition, with marks for what is shown of unknown values."""
    for number, one in sorted(enumerate(shown), key=lambda pair: -len(pair[1])):
        text = text.replace(one, make_mark(number))
    return text


def locate_in_document(held: HeldDefinition, line: int | None, column: int | None) -> tuple[int | None, int | None]:
    """The line and column in the document of those in the definition's text, where they are known."""
    if held.locate is None or line is None or column is None:
        return line, column
    return held.locate(line, column) or (None, None)


def _placed(problem: Problem, held: HeldDefinition) -> Problem:
    line, column = locate_in_document(held, problem.line, problem.column)
    return replace(problem, line=line, column=column)


def parse_held(held: HeldDefinition, *, name: str) -> tuple[PipelineDefinition, tuple[Variant, ...] | None]:
    """Read a definition, and its variants where some of its values are unknown.

    :param name: what errors call it.
    :raises DefinitionError: with every problem that does not depend on an unknown value.
    """
    definition, problems, variants = inspect_held(held)
    if definition is None or problems:
        raise DefinitionError(render_problems(problems, name=name))
    return definition, variants


def explain_unknown(held: HeldDefinition) -> str:
    """One sentence on what is unknown in a definition; empty if nothing is."""
    if not held.unknown:
        return ""
    them = "it" if len(held.unknown) == 1 else "them"
    return (
        f"unknown here: {list_names(held.unknown)}. What depends on {them} is not checked. Give a value with --var "
        f"'{held.unknown[0]}=VALUE'."
    )


def explain_unfilled(held: HeldDefinition, *, name: str) -> str:
    """Why a definition cannot be deployed as it is: some of its values are unknown; empty if it can be.

    Text such as ``${HOME}`` in a document that is a valid definition is the pipeline's own.

    :param name: what to call the document.
    """
    if not held.unknown or held.is_literal:
        return ""
    return (
        f"{name} is not filled in: {list_names(held.unknown)}. Only a definition whose values are all known can be "
        "deployed."
    )
