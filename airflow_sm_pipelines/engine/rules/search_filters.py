"""Evaluates the filters of the Search operation on records.

Source: API reference, "Search", "Filter", "NestedFilters", "SearchExpression". The name of a property is a path. In a
list it means any entry; ``Tags.<key>`` means the tag of that key, and ``Metrics.<name>`` the metric of that name.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.rules.errors import validation_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_NAMED_LISTS = {"Tags": ("Key", "Value"), "Metrics": ("MetricName", None), "FinalMetricDataList": ("MetricName", None)}
_NO_VALUE = frozenset({"Exists", "NotExists"})
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": lambda left, right: left > right,
    "GreaterThanOrEqualTo": lambda left, right: left >= right,
    "LessThan": lambda left, right: left < right,
    "LessThanOrEqualTo": lambda left, right: left <= right,
}


def matches(record: Mapping[str, Any], expression: Mapping[str, Any]) -> bool:
    """Whether a record matches a SearchExpression.

    :raises ServiceError: ValidationException: a filter cannot be evaluated.
    """
    results = [
        *(_matches_filter(record, one) for one in expression.get("Filters") or ()),
        *(_matches_nested(record, one) for one in expression.get("NestedFilters") or ()),
        *(matches(record, one) for one in expression.get("SubExpressions") or ()),
    ]
    if not results:
        return True
    return any(results) if expression.get("Operator") == "Or" else all(results)


def find_values(record: Any, path: str) -> list[Any]:
    """The values at a path. There may be several if it goes through lists, or none."""
    if path == "":
        if isinstance(record, list):
            return [value for entry in record for value in find_values(entry, "")]
        if isinstance(record, dict) and len(record) == 1 and record.keys() <= {"NumberValue", "StringValue"}:
            return list(record.values())
        return [record] if record is not None else []
    if isinstance(record, list):
        return [value for entry in record for value in find_values(entry, path)]
    if not isinstance(record, dict):
        return []
    # A name may hold dots, as "SageMaker.InstanceCount" does: the longest name that exists counts.
    parts = path.split(".")
    for size in range(len(parts), 0, -1):
        name, rest = ".".join(parts[:size]), ".".join(parts[size:])
        if name not in record:
            continue
        if rest and name in _NAMED_LISTS and isinstance(record[name], list):
            return list(_find_named(record[name], name, rest))
        return find_values(record[name], rest)
    # Filters call the metrics of training jobs so.
    if parts[0] == "Metrics" and "FinalMetricDataList" in record:
        return find_values(record, ".".join(["FinalMetricDataList", *parts[1:]]))
    return []


def sort_key(record: Mapping[str, Any], path: str) -> tuple[int, Any]:
    """What to sort records by; records without the property come first."""
    values = find_values(record, path)
    value = values[0] if values else None
    if isinstance(value, datetime):
        return (1, value.timestamp())
    if isinstance(value, (int, float)):
        return (1, float(value))
    return (2, value) if isinstance(value, str) else (0, 0)


def _find_named(entries: list[Any], name: str, path: str) -> Iterator[Any]:
    key, value = _NAMED_LISTS[name]
    for entry in entries:
        wanted = str(entry.get(key))
        if value is not None and path == wanted:
            yield entry.get(value)
        elif value is None and (path == wanted or path.startswith(f"{wanted}.")):
            yield from find_values(entry, path[len(wanted) + 1 :] or ("Last" if "Last" in entry else "Value"))
    # The path may also name a member of the entries, as Tags.Key does.
    yield from (found for entry in entries for found in find_values(entry, path))


def _matches_nested(record: Mapping[str, Any], nested: Mapping[str, Any]) -> bool:
    """Whether one entry of a list matches all filters. Their names may begin with the name of the list."""
    prefix = f"{nested['NestedPropertyName']}."
    filters = [{**one, "Name": str(one["Name"]).removeprefix(prefix)} for one in nested["Filters"]]
    entries: Any = record
    for part in str(nested["NestedPropertyName"]).split("."):
        entries = entries.get(part) if isinstance(entries, dict) else None
    candidates = entries if isinstance(entries, list) else [entries]
    return any(isinstance(entry, dict) and all(_matches_filter(entry, one) for one in filters) for entry in candidates)


def _matches_filter(record: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    operator, text = wanted.get("Operator") or "Equals", wanted.get("Value")
    values = find_values(record, str(wanted["Name"]))
    if operator in _NO_VALUE:
        if text is not None:
            raise validation_error(f"The filter on '{wanted['Name']}' with operator {operator} must not have a Value.")
        return bool(values) == (operator == "Exists")
    if text is None:
        raise validation_error(f"The filter on '{wanted['Name']}' with operator {operator} must have a Value.")
    if operator == "NotEquals":
        return not any(_equals(value, text) for value in values)
    return any(_compare(value, operator, text, name=str(wanted["Name"])) for value in values)


def _compare(value: Any, operator: str, text: str, *, name: str) -> bool:
    if operator == "Equals":
        return _equals(value, text)
    if operator == "In":
        return any(_equals(value, one.strip()) for one in text.split(","))
    if operator == "Contains":
        return isinstance(value, str) and text in value
    other = _read_like(value, text)
    if other is None:
        raise validation_error(f"The filter on '{name}' with operator {operator} does not take the Value '{text}'.")
    if isinstance(value, (dict, list)):
        return False
    if isinstance(value, str):
        # Hyperparameters may be numbers written as text.
        try:
            return _ORDER[operator](float(value), float(text))
        except ValueError:
            pass
    return _ORDER[operator](value, other)


def _equals(value: Any, text: str) -> bool:
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    other = _read_like(value, text)
    return other is not None and bool(value == other)


def _read_like(value: Any, text: str) -> Any:
    """The text as a value of the same kind; None if it is not one."""
    try:
        if isinstance(value, datetime):
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
            return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        if isinstance(value, (int, float)):
            return float(text)
    except ValueError:
        return None
    return text
