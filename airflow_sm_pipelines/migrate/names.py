"""Names that SageMaker and Airflow take, made from names that other orchestrators allow."""

from __future__ import annotations

import re

MAX_STEP_NAME = 64
"""Source: the published schema of definitions."""

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]+")


class Names:
    """Names given so far. Two nodes never share one, whatever their sources call them.

    :param max_length: of a name.
    """

    def __init__(self, *, max_length: int = MAX_STEP_NAME) -> None:
        self._max_length = max_length
        self._taken: set[str] = set()

    def claim(self, wanted: str, *, otherwise: str = "step") -> str:
        """A name near to ``wanted`` that nobody has: letters, digits, ``-`` and ``_``.

        :param otherwise: what it is called when nothing of ``wanted`` can stay.
        """
        base = clean_name(wanted, max_length=self._max_length) or otherwise
        name, number = base, 1
        while name.lower() in self._taken:
            number += 1
            ending = f"-{number}"
            name = base[: self._max_length - len(ending)].rstrip("-_") + ending
        self._taken.add(name.lower())
        return name


def clean_name(wanted: str, *, max_length: int = MAX_STEP_NAME) -> str:
    """``wanted`` with each run of characters that no step name may have as one ``-``; perhaps empty."""
    return _FORBIDDEN.sub("-", wanted).strip("-_")[:max_length].rstrip("-_")
