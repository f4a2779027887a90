"""Problems of a document: collected first, reported together; and the wording that names and suggests known names.

A problem makes SageMaker refuse the document. Warnings are findings of the ``policy`` package.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_sm_pipelines.definition.json_value import JsonPath


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why SageMaker refuses a definition.

    :param path: the place in the document, such as ``Steps[2].DependsOn[0]``.
    :param message: what was found there, what was expected, and what to do.
    :param line: the line in the text, from 1; ``None`` if the document was not given as text.
    :param column: the column in that line, from 1.
    """

    path: str
    message: str
    line: int | None = None
    column: int | None = None


class ProblemCollector:
    """Collects problems in the order they are found, each only once."""

    def __init__(self) -> None:
        self._found: dict[tuple[JsonPath, str], None] = {}

    def add(self, path: JsonPath, message: str) -> None:
        """Add a problem at ``path``."""
        self._found.setdefault((path, message))

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def found(self) -> list[tuple[JsonPath, str]]:
        """The problems, each as its path and its message."""
        return list(self._found)


def render_problems(problems: Sequence[Problem], *, name: str) -> str:
    """Write the problems as one message: a line for one, a list with a heading for several.

    :param name: what to call the document, such as its file name.
    """
    lines = [_render(problem, name) for problem in problems]
    if len(lines) == 1:
        return lines[0]
    return "\n".join([f"{name} has {len(lines)} problems:", *(f"  {line}" for line in lines)])


def _render(problem: Problem, name: str) -> str:
    place = name if problem.line is None else f"{name}:{problem.line}:{problem.column}"
    return f"{place}: {problem.path}: {problem.message}" if problem.path else f"{place}: {problem.message}"


def suggest(wrong: str, known: Iterable[str]) -> str:
    """Write `` Did you mean 'Train'?`` with the nearest known name; empty if none is near."""
    near = find_near(wrong, known)
    return f" Did you mean {near!r}?" if near else ""


def find_near(wrong: str, known: Iterable[str]) -> str:
    """Find the known name that is most like this one, upper and lower case aside; empty if none is near.

    A name that only lacks its end is near, too: the SDK makes ``Register-RegisterModel`` of a step collection that its
    author called ``Register``. Of several, the one that is no preparation of the other (``-RepackModel``) is meant.
    """
    folded = {name.casefold(): name for name in known}
    longer = [name for name in folded if name.startswith(f"{wrong.casefold()}-")]
    if longer:
        return folded[min(longer, key=lambda name: ("-repackmodel" in name, not name.endswith("-registermodel"), name))]
    near = difflib.get_close_matches(wrong.casefold(), folded, n=1, cutoff=0.6)
    return folded[near[0]] if near else ""


def list_names(names: Iterable[str], *, limit: int = 8) -> str:
    """Write names for a sentence: ``'a', 'b' and 3 more``; ``none`` if there are none."""
    shown = list(names)
    if not shown:
        return "none"
    text = ", ".join(repr(name) for name in shown[:limit])
    return text if len(shown) <= limit else f"{text} and {len(shown) - limit} more"
