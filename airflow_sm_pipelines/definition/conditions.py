"""The conditions of a Condition step as trees of comparisons, and reading them from JSON in both of their spellings.

The operands stay JSON, literals or expressions. The engine works out what they give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from airflow_sm_pipelines.definition.expressions import parse_expression
from airflow_sm_pipelines.definition.json_value import JsonObject, JsonPath, JsonValue, copy_json, describe_kind
from airflow_sm_pipelines.definition.object_reader import ObjectReader
from airflow_sm_pipelines.definition.problems import ProblemCollector, list_names, suggest
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPARISON_TYPES = ("Equals", "NotEquals", "GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo")
"""The conditions on two values; ``NotEquals`` is in the published schema, the SDKs write ``Not`` around ``Equals``."""

CONDITION_TYPES = (*COMPARISON_TYPES, "In", "NotIn", "Not", "Or")
"""The types of all conditions."""

_MEMBERS = frozenset(
    {"Type", "LeftValue", "RightValue", "QueryValue", "Values", "Value", "In", "Condition", "Conditions"}
)
"""The members of all conditions, in both spellings."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of two values.

    :param type: one of :data:`COMPARISON_TYPES`.
    """

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
    """Whether a value is among others.

    :param is_negated: whether the condition holds if the value is *not* among them.
    :param uses_schema_keys: whether it is written with ``Value`` and ``In``, as in the published schema; the SDKs write
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


def read_condition(read: ObjectReader, problems: ProblemCollector) -> Condition | None:
    """Read a condition and the conditions inside it; ``None``, with a problem noted, for what is not a condition."""
    kind = read.required_text("Type", "a condition")
    if kind is None:
        return None
    _refuse_unknown_members(read, problems)
    if kind not in CONDITION_TYPES:
        # The SDKs' classes are called ConditionEquals and so on.
        hint = suggest(kind.removeprefix("Condition"), CONDITION_TYPES)
        problems.add(
            (*read.path, "Type"),
            f"{kind!r} is not a condition; those are {list_names(CONDITION_TYPES, limit=20)}.{hint}",
        )
        if "LeftValue" not in read.raw or "RightValue" not in read.raw:
            return None
    if kind in COMPARISON_TYPES or kind not in CONDITION_TYPES:
        return Comparison(
            kind, _operand(read, "LeftValue", kind, problems), _operand(read, "RightValue", kind, problems)
        )
    if kind in ("In", "NotIn"):
        schema_keys = "QueryValue" not in read.raw and "Value" in read.raw
        query_key, values_key = ("Value", "In") if schema_keys else ("QueryValue", "Values")
        query = _operand(read, query_key, kind, problems)
        if values_key not in read.raw:
            problems.add(read.path, f"{kind!r} needs {values_key!r}, an array of values.")
        values = tuple(read.array(values_key) or [])
        return InCondition(query, values, is_negated=kind == "NotIn", uses_schema_keys=schema_keys)
    if kind == "Or":
        if "Conditions" not in read.raw:
            problems.add(read.path, "'Or' needs 'Conditions', an array of conditions.")
        return OrCondition(read.items("Conditions", lambda item: read_condition(item, problems)))
    inner = read.object("Condition")
    if inner is None:
        problems.add(read.path, "'Not' needs 'Condition', a condition.")
        return None
    negated = read_condition(ObjectReader(inner, (*read.path, "Condition"), problems), problems)
    return None if negated is None else NotCondition(negated)


def _refuse_unknown_members(read: ObjectReader, problems: ProblemCollector) -> None:
    for name in sorted(read.raw.keys() - _MEMBERS):
        # The service's words: aws/sagemaker-python-sdk, issue 2746.
        problems.add((*read.path, name), f"Cannot parse object, unknown property '{name}'.")


def _operand(read: ObjectReader, key: str, kind: str, problems: ProblemCollector) -> JsonValue:
    if key not in read.raw:
        problems.add(read.path, f"{kind!r} needs {key!r}, a literal or an expression.")
        return None
    value = read.raw[key]
    if isinstance(value, list) or (isinstance(value, dict) and not _looks_like_expression(value)):
        problems.add(
            (*read.path, key),
            f"{kind!r} compares single values: expected a literal or an expression, found {describe_kind(value)}.",
        )
    return value


def _looks_like_expression(value: JsonValue) -> bool:
    try:
        return parse_expression(value) is not None
    except DefinitionError:
        return True  # reported where expressions are checked
