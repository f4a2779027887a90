"""What the templates of migrated DAGs ask of values, in JSONPath and JSONata.

``sm-pipelines migrate`` writes DAG files that import these. They need the packages jsonpath-ng and jsonata-python where
the DAG runs.
"""

from __future__ import annotations

import hashlib
import json
import random
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def query_json(value: Any, path: str) -> list[Any]:
    """What a JSONPath finds in a value, as a list: for templates.

    :param path: with filters, slices and wildcards: ``$[?(@.n > 1)].name``.
    """
    from jsonpath_ng.ext.parser import parse

    return [found.value for found in parse(path).find(value)]


def query_jsonata(expression: str, given: Mapping[str, tuple[Any, ...]]) -> Any:
    """What a JSONata expression of a state machine gives: for templates.

    :param given: for each variable, or member of one (``states.input.order``), a value and the path to it in that
        value. What does not exist there does not exist in the expression either.
    :raises ValueError: it gives nothing, which Step Functions takes for a failure, too.
    """
    from jsonata import Jsonata
    from jsonata.utils import Utils

    reader = Jsonata(expression)
    for name, implementation in _JSONATA_FUNCTIONS.items():
        reader.register_lambda(name, implementation)
    variables: dict[str, Any] = {}
    for name, (start, *path) in given.items():
        value, rest = _walk(start, path)
        names = name.split(".")
        if value is not None:
            _put(variables, names[: len(names) - rest], value)
    for name, value in variables.items():
        reader.assign(name, value)
    reader.set_output_convert_nulls(False)
    found = reader.evaluate(None)
    if found is None:
        raise ValueError(f"The JSONata expression {expression!r} gives nothing.")
    return Utils.convert_nulls(found)


def _walk(value: Any, path: Sequence[str | int]) -> tuple[Any, int]:
    """The value at a path, or the first list on the way to it, with how many members are left then."""
    for index, part in enumerate(path):
        if isinstance(value, list) and isinstance(part, str):
            return value, len(path) - index
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None, 0
    return value, 0


def _put(holder: dict[str, Any], names: Sequence[str], value: Any) -> None:
    for name in names[:-1]:
        holder = holder.setdefault(name, {})
    holder[names[-1]] = value


def _hash(text: str, algorithm: str = "SHA-1") -> str:
    return hashlib.new(algorithm.replace("-", ""), text.encode()).hexdigest()


_JSONATA_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "hash": _hash,
    "parse": json.loads,
    "partition": lambda items, size: [items[start : start + size] for start in range(0, len(items), size)],
    "random": lambda seed=None: random.Random(seed).random(),  # noqa: S311 - it is what the machine asks for
    "range": lambda first, last, step: list(range(first, last + (1 if step > 0 else -1), step)),
    "uuid": lambda: str(uuid.uuid4()),
}
"""The functions that Step Functions adds to JSONata."""
