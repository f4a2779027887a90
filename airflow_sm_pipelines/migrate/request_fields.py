"""Members of a job's request by path, and the places that a path names in one request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_sm_pipelines.definition import MISSING, Missing
from airflow_sm_pipelines.definition.expressions import is_expression
from airflow_sm_pipelines.service_model import EACH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a step's arguments.

    :param path: keys from ``Arguments``; :data:`EACH` for the entries of an array.
    :param needs: how many leading keys must be there for the member to have a meaning: a job without outputs needs no
        key for them. The rest of the path may be made.
    """

    path: tuple[str, ...]
    needs: int = 0

    def __str__(self) -> str:
        return ".".join(self.path).replace(f".{EACH}", "[]")


def iter_field(arguments: JsonObject, field: Field) -> Iterator[tuple[JsonPath, JsonValue | Literal[Missing.MISSING]]]:
    """Find every place that a field names in these arguments, with its value; ``MISSING`` for nothing or null.

    Where an expression stands for an object around the place, its value is not known yet: the expression is given.
    """
    yield from _iter(arguments, field.path, (), field.needs)


def _iter(
    value: JsonValue, rest: tuple[str, ...], place: JsonPath, needs: int
) -> Iterator[tuple[JsonPath, JsonValue | Literal[Missing.MISSING]]]:
    if not rest or is_expression(value):
        yield place, MISSING if value is None else value
        return
    key, *tail = rest
    if key == EACH:
        for index, item in enumerate(value if isinstance(value, list) else []):
            yield from _iter(item, tuple(tail), (*place, index), needs - 1)
    elif isinstance(value, dict) and value.get(key) is not None:
        yield from _iter(value[key], tuple(tail), (*place, key), needs - 1)
    elif needs <= 0 and EACH not in tail and (value is None or isinstance(value, dict)):
        yield (*place, *rest), MISSING


def make_fields(*paths: str, needs: int = 0) -> tuple[Field, ...]:
    """Members of a step's arguments from paths with dots; ``*`` stands for each entry of an array.

    :param needs: as in :class:`Field`.
    """
    return tuple(Field(tuple(path.split(".")), needs) for path in paths)
