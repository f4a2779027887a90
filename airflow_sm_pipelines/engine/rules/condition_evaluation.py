"""Evaluates the conditions of a Condition step.

Rules where those of the service are not documented (see docs/engine.md, Conditions): numbers compare by value whatever
their type. Texts compare by code point (``GreaterThan`` is lexicographic). Booleans equal only booleans. To compare
across these kinds fails the step instead of guessing. For ``In``, a value of another kind is not a member.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition import Comparison, InCondition, NotCondition, OrCondition
from airflow_sm_pipelines.definition.conditions import CONDITION_TYPES
from airflow_sm_pipelines.engine.rules.errors import ResolutionError
from airflow_sm_pipelines.engine.rules.resolver import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_sm_pipelines.definition import Condition, JsonValue
    from airflow_sm_pipelines.engine.rules.resolver import ResolutionScope

_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": lambda left, right: left > right,
    "GreaterThanOrEqualTo": lambda left, right: left >= right,
    "LessThan": lambda left, right: left < right,
    "LessThanOrEqualTo": lambda left, right: left <= right,
}


def evaluate_all(conditions: Sequence[Condition], scope: ResolutionScope) -> bool:
    """Whether every condition holds. Conditions after the first that does not hold are not evaluated.

    :raises ResolutionError: a value is missing, or two values cannot be compared.
    """
    return all(evaluate(condition, scope) for condition in conditions)


def evaluate(condition: Condition, scope: ResolutionScope) -> bool:
    """Whether one condition holds in this scope."""
    if isinstance(condition, NotCondition):
        return not evaluate(condition.condition, scope)
    if isinstance(condition, OrCondition):
        return any(evaluate(part, scope) for part in condition.conditions)
    if isinstance(condition, InCondition):
        query = resolve(condition.query, scope)
        members = [resolve(value, scope) for value in condition.values]
        is_member = any(_kind(query) == _kind(value) and query == value for value in members)
        return is_member is not condition.is_negated
    if isinstance(condition, Comparison):
        return _compare(condition.type, resolve(condition.left, scope), resolve(condition.right, scope))
    raise ResolutionError(f"Conditions of type {type(condition).__name__} cannot be evaluated.")


def _compare(kind: str, left: JsonValue, right: JsonValue) -> bool:
    if _kind(left) != _kind(right):
        raise ResolutionError(
            f"Condition {kind} cannot compare {_show(left)} with {_show(right)}: both sides must be numbers,"
            " both texts or both booleans."
        )
    if kind in ("Equals", "NotEquals"):
        return (left == right) is (kind == "Equals")
    if kind not in _ORDERINGS:
        raise ResolutionError(f"Condition type '{kind}' is not known. Known: {', '.join(CONDITION_TYPES)}.")
    if _kind(left) not in ("number", "text"):
        raise ResolutionError(f"Condition {kind} orders numbers and texts only, found {_show(left)}.")
    return _ORDERINGS[kind](left, right)


def _kind(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "text"
    return "null" if value is None else "list" if isinstance(value, list) else "object"


def _show(value: JsonValue) -> str:
    return "null" if value is None else f"the {_kind(value)} {value!r}"
