"""Reading the conditions of a Condition step, whichever of the two spellings they have."""

from __future__ import annotations

from airflow_sm_pipelines.definition.conditions import (
    COMPARISON_TYPES,
    CONDITION_TYPES,
    Comparison,
    Condition,
    InCondition,
    NotCondition,
    OrCondition,
)
from airflow_sm_pipelines.definition.expressions import parse_expression
from airflow_sm_pipelines.definition.json_value import JsonValue, describe_kind
from airflow_sm_pipelines.definition.object_reader import ObjectReader
from airflow_sm_pipelines.definition.problems import ProblemCollector, list_names, suggest
from airflow_sm_pipelines.exceptions import DefinitionError


def read_condition(read: ObjectReader, problems: ProblemCollector) -> Condition | None:
    """A condition with those inside it; ``None``, with the reason noted, for what is none."""
    kind = read.required_text("Type", "a condition")
    if kind is None:
        return None
    if kind not in CONDITION_TYPES:
        bare = kind.removeprefix("Condition")
        hint = f" Did you mean {bare!r}?" if bare in CONDITION_TYPES else suggest(kind, CONDITION_TYPES)
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
