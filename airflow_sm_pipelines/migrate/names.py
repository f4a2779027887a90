"""Names that SageMaker, Airflow and Python accept, made from names that other tools allow."""

from __future__ import annotations

import builtins
import keyword
import re
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.steps import MAX_STEP_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]+")


def find_free_name(base: str, is_taken: Callable[[str], bool], *, separator: str, max_length: int | None = None) -> str:
    """``base``, or ``base`` with the first number behind it that makes the name free: ``train``, ``train-2``.

    :param separator: stands between the name and the number.
    :param max_length: ``base`` is cut where the number would make the name longer.
    """
    name, number = base, 1
    while is_taken(name):
        number += 1
        ending = f"{separator}{number}"
        name = (base if max_length is None else base[: max_length - len(ending)].rstrip("-_")) + ending
    return name


class ClaimedNames:
    """The names of steps, parameters or pipelines given so far. No two differ only in upper and lower case.

    :param max_length: of a name.
    """

    def __init__(self, *, max_length: int = MAX_STEP_NAME) -> None:
        self._max_length = max_length
        self._taken: set[str] = set()

    def claim(self, wanted: str, *, otherwise: str = "step") -> str:
        """Give a free name close to ``wanted``, of letters, digits, ``-`` and ``_``.

        :param otherwise: the name if no character of ``wanted`` may stay.
        """
        base = clean_name(wanted, max_length=self._max_length) or otherwise
        name = find_free_name(base, lambda one: one.lower() in self._taken, separator="-", max_length=self._max_length)
        self._taken.add(name.lower())
        return name


class PythonNames:
    """The names of variables, functions and arguments given so far in one Python file.

    :param taken: names that the file already uses. Python's built-in names are never given.
    """

    def __init__(self, taken: Sequence[str] = ()) -> None:
        self._taken = {*taken, *dir(builtins)}

    def claim(self, wanted: str) -> str:
        """Give a free name close to ``wanted``: lower-case ASCII letters, digits and underscores."""
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", wanted)
        base = re.sub(r"[^A-Za-z0-9]+", "_", words).strip("_").lower() or "task"
        if base[0].isdigit() or keyword.iskeyword(base):
            base = f"task_{base}"
        name = find_free_name(base, self._taken.__contains__, separator="_")
        self._taken.add(name)
        return name


def clean_name(wanted: str, *, max_length: int = MAX_STEP_NAME) -> str:
    """``wanted`` with one ``-`` for each run of characters that no step name may have; may be empty."""
    return _FORBIDDEN.sub("-", wanted).strip("-_")[:max_length].rstrip("-_")
