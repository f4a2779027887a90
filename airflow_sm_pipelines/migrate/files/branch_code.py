"""The conditions of a choice as Python, for a task that chooses the way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.migrate.files.python_text import Variables, quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue

_SIGNS = {
    "Equals": "==",
    "NotEquals": "!=",
    "GreaterThan": ">",
    "GreaterThanOrEqualTo": ">=",
    "LessThan": "<",
    "LessThanOrEqualTo": "<=",
}


class BranchConditions:
    """Conditions as tests of the arguments of one function.

    :ivar arguments: the expressions that the function is given, by the name of its argument.
    """

    def __init__(self) -> None:
        self.arguments: dict[str, JsonObject] = {}
        self._names = Variables()
        self._known: dict[str, str] = {}

    def render(self, conditions: Sequence[JsonObject]) -> str:
        """A Python expression that holds when all of the conditions do."""
        return " and ".join(self._condition(one, is_inner=len(conditions) > 1) for one in conditions)

    def _condition(self, condition: JsonObject, *, is_inner: bool = True) -> str:
        kind = condition["Type"]
        if kind in _SIGNS:
            left, right = condition["LeftValue"], condition["RightValue"]
            convert = _conversion(left, right, is_order=kind not in ("Equals", "NotEquals"))
            return f"{self._operand(left, convert)} {_SIGNS[str(kind)]} {self._operand(right, convert)}"
        if kind in ("In", "NotIn"):
            value = condition.get("QueryValue", condition.get("Value"))
            among = cast("list[JsonValue]", condition.get("Values", condition.get("In")))
            convert = _conversion(value, *among)
            listed = ", ".join(self._operand(one, convert) for one in among)
            return f"{self._operand(value, convert)} {'not in' if kind == 'NotIn' else 'in'} [{listed}]"
        if kind == "Not":
            return f"not ({self._condition(cast('JsonObject', condition['Condition']), is_inner=False)})"
        inner = [self._condition(one) for one in cast("list[JsonObject]", condition["Conditions"])]
        return f"({' or '.join(inner)})" if is_inner else " or ".join(inner)

    def _operand(self, value: JsonValue, convert: str) -> str:
        if isinstance(value, dict):
            return convert.format(self._argument(value)) if convert else self._argument(value)
        if isinstance(value, bool):
            return quote("true" if value else "false")
        return quote(value) if isinstance(value, str) else repr(value)

    def _argument(self, expression: JsonObject) -> str:
        key = json.dumps(expression, sort_keys=True)
        if key not in self._known:
            words = key.replace("]", "").replace("'", "").rstrip('"}').replace("[", ".").split(".")
            self._known[key] = name = self._names.claim(words[-1].strip('"} '))
            self.arguments[name] = expression
        return self._known[key]


def _conversion(*operands: JsonValue, is_order: bool = False) -> str:
    """How arguments are made comparable with literals: templates give text."""
    literals = [one for one in operands if not isinstance(one, (dict, list))]
    if any(isinstance(one, bool) for one in literals):
        return "str({}).lower()"
    if any(isinstance(one, (int, float)) for one in literals) or (is_order and not literals):
        return "float({})"
    return "str({})"
