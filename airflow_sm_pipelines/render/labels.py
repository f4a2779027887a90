"""The words of a picture: what a condition says, how long something took, what stands under a step's name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import (
    Comparison,
    ConditionStep,
    ForEachStep,
    InCondition,
    Join,
    JsonGet,
    NotCondition,
    ParameterReference,
    StepReference,
    parse_expression,
)

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import Condition, JsonValue, Step

_SIGNS = {
    "Equals": "=",
    "NotEquals": "≠",
    "GreaterThan": ">",
    "GreaterThanOrEqualTo": "≥",
    "LessThan": "<",
    "LessThanOrEqualTo": "≤",
}

BRANCH_LABELS = {"If": "true", "Else": "false"}
"""What stands at the ways out of a Condition step."""


def describe_detail(step: Step) -> str:
    """What a step decides or repeats, in a line; empty for steps that do neither."""
    if isinstance(step, ConditionStep):
        return " and ".join(describe_condition(condition) for condition in step.conditions)
    if isinstance(step, ForEachStep):
        return f"each item: {', '.join(inner.name for inner in step.body)}"
    return ""


def describe_condition(condition: Condition) -> str:
    """A condition as a formula: ``regression.rmse.value ≤ RmseThreshold``."""
    if isinstance(condition, Comparison):
        sign = _SIGNS.get(condition.type, condition.type)
        return f"{describe_value(condition.left)} {sign} {describe_value(condition.right)}"
    if isinstance(condition, InCondition):
        values = ", ".join(map(describe_value, condition.values))
        return f"{describe_value(condition.query)} {'not in' if condition.is_negated else 'in'} [{values}]"
    if isinstance(condition, NotCondition):
        return f"not ({describe_condition(condition.condition)})"
    return f"({' or '.join(map(describe_condition, condition.conditions))})"


def describe_value(value: JsonValue) -> str:
    """A literal as JSON, an expression by what it reads."""
    expression = parse_expression(value)
    if expression is None:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(expression, ParameterReference):
        return expression.name
    if isinstance(expression, JsonGet):
        return expression.path
    if isinstance(expression, StepReference):
        return f"{expression.step}.{'.'.join(map(str, expression.path))}"
    if isinstance(expression, Join):
        return expression.on.join(
            item if isinstance(item, str) else f"{{{describe_value(item)}}}" for item in expression.values
        )
    return str(expression)


def format_seconds(seconds: float) -> str:
    """A duration to be read at a glance: ``0.4 s``, ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def shorten(text: str, limit: int) -> str:
    """The text, its middle left out where it has more than ``limit`` characters."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 3
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :] if tail else ''}"
