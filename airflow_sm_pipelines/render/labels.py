"""The words in a picture: conditions as formulas, durations, and what a step did in an execution."""

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
    from datetime import datetime

    from airflow_sm_pipelines.definition import Condition, JsonValue, Step
    from airflow_sm_pipelines.render.step_runs import StepRun

_SIGNS = {
    "Equals": "=",
    "NotEquals": "≠",
    "GreaterThan": ">",
    "GreaterThanOrEqualTo": "≥",
    "LessThan": "<",
    "LessThanOrEqualTo": "≤",
}

BRANCH_LABELS = {"If": "true", "Else": "false"}
"""The words at the two branches of a Condition step."""


def format_detail(step: Step) -> str:
    """The condition or the loop of a step on one line; empty for other steps."""
    if isinstance(step, ConditionStep):
        return " and ".join(format_condition(condition) for condition in step.conditions)
    if isinstance(step, ForEachStep):
        return f"each item: {', '.join(inner.name for inner in step.body)}"
    return ""


def format_condition(condition: Condition) -> str:
    """A condition as a formula: ``regression.rmse.value ≤ RmseThreshold``."""
    if isinstance(condition, Comparison):
        sign = _SIGNS.get(condition.type, condition.type)
        return f"{format_value(condition.left)} {sign} {format_value(condition.right)}"
    if isinstance(condition, InCondition):
        values = ", ".join(map(format_value, condition.values))
        return f"{format_value(condition.query)} {'not in' if condition.is_negated else 'in'} [{values}]"
    if isinstance(condition, NotCondition):
        return f"not ({format_condition(condition.condition)})"
    return f"({' or '.join(map(format_condition, condition.conditions))})"


def format_value(value: JsonValue) -> str:
    """A literal as JSON, an expression as the name of what it reads."""
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
            item if isinstance(item, str) else f"{{{format_value(item)}}}" for item in expression.values
        )
    return str(expression)


def format_seconds(seconds: float) -> str:
    """A duration in at most two units: ``0.4 s``, ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def format_run_time(run: StepRun, now: datetime | None) -> str:
    """How long a step ran: ``42 s``, ``from the cache``, or nothing if it is not known.

    :param now: the end of the time of a step that still runs.
    """
    seconds = run.seconds(now)
    if run.is_cached:
        return "from the cache"
    return "" if seconds is None else format_seconds(seconds)


def format_run(run: StepRun, now: datetime | None) -> str:
    """What a step did in an execution: ``Succeeded · 42 s``."""
    return " · ".join(filter(None, (run.status, format_run_time(run, now))))


def shorten(text: str, limit: int) -> str:
    """The text, without its middle if it has more than ``limit`` characters."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 3
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :] if tail else ''}"
