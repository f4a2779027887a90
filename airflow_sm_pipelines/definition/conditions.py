"""The conditions of a Condition step, as trees of comparisons.

Their operands stay JSON: literals or expressions. Working them out is the engine's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from airflow_sm_pipelines.definition.json_value import JsonObject, JsonPath, JsonValue, copy_json

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPARISON_TYPES = ("Equals", "NotEquals", "GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo")
"""The conditions on two values; ``NotEquals`` is in the published schema, the SDKs write ``Not`` around ``Equals``."""

CONDITION_TYPES = (*COMPARISON_TYPES, "In", "NotIn", "Not", "Or")
"""Every condition there is."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two values compared: ``type`` is one of :data:`COMPARISON_TYPES`."""

    type: str
    left: JsonValue
    right: JsonValue

    def to_json(self) -> JsonObject:
        """The condition as the SDKs write it."""
        return {"Type": self.type, "LeftValue": copy_json(self.left), "RightValue": copy_json(self.right)}

    def iter_operands(self) -> Iterator[tuple[JsonPath, JsonValue]]:
        """The values compared, each with its path in the condition."""
        yield ("LeftValue",), self.left
        yield ("RightValue",), self.right


@dataclass(frozen=True, slots=True)
class InCondition:
    """Whether a value is among others (or, ``is_negated``, is not).

    :param uses_schema_keys: written with ``Value`` and ``In``, as the published schema has it, where the SDKs write
        ``QueryValue`` and ``Values``.
    """

    query: JsonValue
    values: tuple[JsonValue, ...]
    is_negated: bool = False
    uses_schema_keys: bool = False

    @property
    def keys(self) -> tuple[str, str]:
        """The keys that hold the query and the values."""
        return ("Value", "In") if self.uses_schema_keys else ("QueryValue", "Values")

    def to_json(self) -> JsonObject:
        """The condition with the keys it was written with."""
        query, values = self.keys
        return {
            "Type": "NotIn" if self.is_negated else "In",
            query: copy_json(self.query),
            values: [copy_json(value) for value in self.values],
        }

    def iter_operands(self) -> Iterator[tuple[JsonPath, JsonValue]]:
        """The values compared, each with its path in the condition."""
        query, values = self.keys
        yield (query,), self.query
        for index, value in enumerate(self.values):
            yield (values, index), value


@dataclass(frozen=True, slots=True)
class NotCondition:
    """The opposite of a condition."""

    condition: Condition

    def to_json(self) -> JsonObject:
        """The condition as the SDKs write it."""
        return {"Type": "Not", "Condition": self.condition.to_json()}

    def iter_operands(self) -> Iterator[tuple[JsonPath, JsonValue]]:
        """The values compared, each with its path in the condition."""
        for path, value in self.condition.iter_operands():
            yield ("Condition", *path), value


@dataclass(frozen=True, slots=True)
class OrCondition:
    """Whether at least one of the conditions holds."""

    conditions: tuple[Condition, ...]

    def to_json(self) -> JsonObject:
        """The condition as the SDKs write it."""
        return {"Type": "Or", "Conditions": [condition.to_json() for condition in self.conditions]}

    def iter_operands(self) -> Iterator[tuple[JsonPath, JsonValue]]:
        """The values compared, each with its path in the condition."""
        for index, condition in enumerate(self.conditions):
            for path, value in condition.iter_operands():
                yield ("Conditions", index, *path), value


Condition: TypeAlias = "Comparison | InCondition | NotCondition | OrCondition"
"""One entry of a Condition step's ``Conditions``; the step goes to its If branch when all of them hold."""
