"""What is wrong with a document, and where: collected first, told together.

A problem is something SageMaker refuses. What it merely dislikes is a finding of the ``policy`` layer.
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

    :param path: the place in the document, as ``Steps[2].DependsOn[0]``.
    :param message: what was found there, what was expected, and what to do.
    :param line: the line in the text, from 1; ``None`` when the document was not given as text.
    :param column: the column in that line, from 1.
    """

    path: str
    message: str
    line: int | None = None
    column: int | None = None


class ProblemCollector:
    """Gathers problems in the order they are found, each place and message once."""

    def __init__(self) -> None:
        self._found: dict[tuple[JsonPath, str], None] = {}

    def add(self, path: JsonPath, message: str) -> None:
        """Note that ``message`` is wrong at ``path``."""
        self._found.setdefault((path, message))

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def found(self) -> list[tuple[JsonPath, str]]:
        """Every place with what is wrong there."""
        return list(self._found)


def render_problems(problems: Sequence[Problem], *, name: str) -> str:
    """The problems as one message: a line for one, a headed list for several.

    :param name: what the document is called: a file name, or what made it.
    """
    lines = [_render(problem, name) for problem in problems]
    if len(lines) == 1:
        return lines[0]
    return "\n".join([f"{name} has {len(lines)} problems:", *(f"  {line}" for line in lines)])


def _render(problem: Problem, name: str) -> str:
    place = name if problem.line is None else f"{name}:{problem.line}:{problem.column}"
    return f"{place}: {problem.path}: {problem.message}" if problem.path else f"{place}: {problem.message}"


def suggest(wrong: str, known: Iterable[str]) -> str:
    """The end of a sentence that helps: `` Did you mean 'Train'?``, or nothing when no known name is near."""
    near = find_near(wrong, known)
    return f" Did you mean {near!r}?" if near else ""


def find_near(wrong: str, known: Iterable[str]) -> str:
    """The known name that is most like this one; empty when none is near."""
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(wrong.casefold(), folded, n=1, cutoff=0.6)
    return folded[near[0]] if near else ""


def list_names(names: Iterable[str], *, limit: int = 8) -> str:
    """Names for a sentence: ``'a', 'b' and 3 more``; ``none`` when there are none."""
    shown = list(names)
    if not shown:
        return "none"
    text = ", ".join(repr(name) for name in shown[:limit])
    return text if len(shown) <= limit else f"{text} and {len(shown) - limit} more"
