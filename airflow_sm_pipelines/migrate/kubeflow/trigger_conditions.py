"""Reads the conditions of KFP, a small part of the Common Expression Language, and decides or translates them.

The grammar is comparisons of literals and inputs, ``int()`` and ``double()`` around either, ``!``, ``&&`` and ``||``.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from airflow_sm_pipelines.migrate.kubeflow.input_values import Literal, NotCarriedError, to_native

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.migrate.kubeflow.input_values import Value
    from airflow_sm_pipelines.migrate.kubeflow.pipeline_model import GraphTask

_TOKEN = re.compile(
    r"""\s*(?:(?P<sign>\|\||&&|==|!=|<=|>=|<|>|!|\(|\))
    |inputs\.parameter(?:_value)?s\[(?P<q>['"])(?P<input>.*?)(?P=q)\](?:\.\w+_value)?
    |(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |'(?P<single>(?:\\.|[^'\\])*)'|"(?P<double>(?:\\.|[^"\\])*)"
    |(?P<word>[A-Za-z_]\w*))""",
    re.VERBOSE,
)
_COMPARED: dict[str, tuple[str, Callable[[object, object], bool]]] = {
    "==": ("Equals", operator.eq),
    "!=": ("Equals", operator.ne),
    "<": ("LessThan", operator.lt),  # type: ignore[dict-item]
    "<=": ("LessThanOrEqualTo", operator.le),  # type: ignore[dict-item]
    ">": ("GreaterThan", operator.gt),  # type: ignore[dict-item]
    ">=": ("GreaterThanOrEqualTo", operator.ge),  # type: ignore[dict-item]
}
_WHEN_TOKEN = re.compile(
    r"""\s*(?:(?P<sign>==|!=|<=|>=|<|>|&&|\|\||!|\(|\))
    |"\{\{\s*(?P<quoted>[^}]*?)\s*\}\}"|'\{\{\s*(?P<single>[^}]*?)\s*\}\}'|\{\{\s*(?P<bare>[^}]*?)\s*\}\}
    |"(?P<text>[^"]*)"|'(?P<other>[^']*)'|(?P<word>[^\s=!<>&|()]+))""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?\Z")
_MAX_DEPTH = 50


@dataclass(frozen=True, slots=True)
class Operand:
    """A side of a comparison: an input's name, or a literal; ``number`` if ``int()`` or ``double()`` stands around."""

    name: str | None
    literal: JsonValue = None
    number: bool = False


@dataclass(frozen=True, slots=True)
class TriggerComparison:
    """Two operands and the sign between them."""

    sign: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Junction:
    """``&&``, ``||`` or ``!`` over other conditions."""

    sign: str
    parts: tuple[Condition, ...]


Condition: TypeAlias = TriggerComparison | Junction


def parse_condition(text: str) -> Condition:
    """The condition that a text says.

    :raises NotCarriedError: it has something that KFP does not write.
    """
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split(text)
        self._at = 0
        self._depth = 0

    def _split(self, text: str) -> list[re.Match[str]]:
        found, at = [], 0
        end = len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None:
                raise self._fault()
            found.append(match)
            at = match.end()
        return found

    def _fault(self) -> NotCarriedError:
        return NotCarriedError(f"the condition {self._text!r} is none that KFP writes")

    def _peek(self) -> str:
        return self._tokens[self._at]["sign"] or "" if self._at < len(self._tokens) else ""

    def _take(self) -> re.Match[str]:
        if self._at >= len(self._tokens):
            raise self._fault()
        self._at += 1
        return self._tokens[self._at - 1]

    def parse(self) -> Condition:
        found = self._parse_junction("||")
        if self._at < len(self._tokens):
            raise self._fault()
        return found

    def _parse_junction(self, sign: str) -> Condition:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._fault()
        parts = [self._parse_part(sign)]
        while self._peek() == sign:
            self._take()
            parts.append(self._parse_part(sign))
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Junction(sign, tuple(parts))

    def _parse_part(self, sign: str) -> Condition:
        return self._parse_junction("&&") if sign == "||" else self._parse_one()

    def _parse_one(self) -> Condition:
        if self._peek() == "!":
            self._take()
            return Junction("!", (self._parse_one(),))
        if self._peek() == "(":
            self._take()
            found = self._parse_junction("||")
            self._close()
            return found
        left = self._parse_operand()
        sign = self._peek()
        if sign not in _COMPARED:
            if left.name is None:
                raise self._fault()
            return TriggerComparison("==", left, Operand(None, literal=True))
        self._take()
        return TriggerComparison(sign, left, self._parse_operand())

    def _close(self) -> None:
        if self._take()["sign"] != ")":
            raise self._fault()

    def _parse_operand(self) -> Operand:
        token = self._take()
        if token["input"] is not None:
            return Operand(token["input"])
        if token["number"] is not None:
            number = float(token["number"]) if re.search(r"[.eE]", token["number"]) else int(token["number"])
            return Operand(None, number, number=True)
        for quoted in (token["single"], token["double"]):
            if quoted is not None:
                return Operand(None, re.sub(r"\\(.)", r"\1", quoted))
        if token["word"] in ("true", "false"):
            return Operand(None, token["word"] == "true")
        if token["word"] in ("int", "double", "string") and self._peek() == "(":
            self._take()
            inner = self._parse_operand()
            self._close()
            return Operand(inner.name, inner.literal, number=token["word"] != "string")
        raise self._fault()


# --- what it means ---------------------------------------------------------------------------------------------------


def decide(condition: Condition, inputs: Mapping[str, Value]) -> bool | None:
    """Whether a condition holds; None if only a run can say.

    :param inputs: the values of its inputs.
    """
    if isinstance(condition, TriggerComparison):
        sides = [_find_value(one, inputs) for one in (condition.left, condition.right)]
        if not all(isinstance(one, Literal) for one in sides):
            return None
        is_number = condition.left.number or condition.right.number
        left, right = (_convert(cast("Literal", one).value, is_number=is_number) for one in sides)
        try:
            return _COMPARED[condition.sign][1](left, right)
        except TypeError:
            raise NotCarriedError(f"{left!r} cannot be compared with {right!r}") from None
    found = [decide(part, inputs) for part in condition.parts]
    if condition.sign == "!":
        return None if found[0] is None else not found[0]
    settling = condition.sign == "||"
    if settling in found:
        return settling
    return None if None in found else not settling


def _convert(value: JsonValue, *, is_number: bool) -> object:
    if is_number and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise NotCarriedError(f"{value!r} is compared as a number, and is none") from None
    return value


def _find_value(operand: Operand, inputs: Mapping[str, Value]) -> Value:
    if operand.name is None:
        return Literal(operand.literal)
    if operand.name not in inputs:
        raise NotCarriedError(f"the condition reads {operand.name!r}, which the task is not given")
    return inputs[operand.name]


def translate(condition: Condition, inputs: Mapping[str, Value]) -> tuple[JsonObject, ...]:
    """The conditions of a Condition step, which must all hold.

    :raises NotCarriedError: there are none for it.
    """
    if isinstance(condition, Junction) and condition.sign == "&&":
        return tuple(one for part in condition.parts for one in translate(part, inputs))
    return (_translate_one(condition, inputs),)


def _translate_one(condition: Condition, inputs: Mapping[str, Value]) -> JsonObject:
    if isinstance(condition, TriggerComparison):
        number = condition.left.number or condition.right.number or condition.sign not in ("==", "!=")
        left, right = (
            _translate_operand(_find_value(one, inputs), is_number=number) for one in (condition.left, condition.right)
        )
        one: JsonObject = {"Type": _COMPARED[condition.sign][0], "LeftValue": left, "RightValue": right}
        return {"Type": "Not", "Condition": one} if condition.sign == "!=" else one
    parts = [_translate_one(part, inputs) for part in condition.parts]
    if condition.sign == "!":
        return {"Type": "Not", "Condition": parts[0]}
    if condition.sign == "||":
        return {"Type": "Or", "Conditions": cast("list[JsonValue]", parts)}
    # A step's grammar has no And inside another condition.
    negated: list[JsonValue] = [{"Type": "Not", "Condition": part} for part in parts]
    return {"Type": "Not", "Condition": {"Type": "Or", "Conditions": negated}}


def _translate_operand(value: Value, *, is_number: bool) -> JsonValue:
    if isinstance(value, Literal):
        found = _convert(value.value, is_number=is_number)
        if not isinstance(found, (str, int, float)):
            raise NotCarriedError("a condition compares a structure, and no Condition step does")
        return found
    return to_native(value, is_number=is_number)


def drop_earlier(condition: Condition, earlier: list[Condition]) -> Condition | None:
    """The condition without the parts that only say that no earlier branch was taken; None if nothing is left."""
    parts = condition.parts if isinstance(condition, Junction) and condition.sign == "&&" else (condition,)
    negated = [Junction("!", (one,)) for one in earlier]
    left = [part for part in parts if part not in negated]
    return None if not left else left[0] if len(left) == 1 else Junction("&&", tuple(left))


def count_parts(condition: Condition | None) -> int:
    """How many conditions must all hold."""
    if condition is None:
        return 0
    return len(condition.parts) if isinstance(condition, Junction) and condition.sign == "&&" else 1


# --- Argo's conditions ------------------------------------------------------------------------------------------------


def convert_when(text: str) -> tuple[str, dict[str, str]]:
    """A condition of Argo as KFP writes it, and for each input that it reads the reference in Argo's words."""
    read: dict[str, str] = {}
    words: list[str] = []
    at = 0
    while at < len(text.rstrip()):
        found = _WHEN_TOKEN.match(text, at)
        if found is None:
            words.append(text[at:])
            break
        at = found.end()
        reference = found["quoted"] or found["single"] or found["bare"]
        if found["sign"]:
            words.append(found["sign"])
        elif reference:
            key = f"kfp-when-{len(read)}"
            read[key] = f"{{{{{reference}}}}}"
            words.append(f"inputs.parameter_values['{key}']")
        else:
            literal = next(one for one in (found["text"], found["other"], found["word"]) if one is not None)
            words.append(literal if _NUMBER.match(literal) and _compares_size(words) else f"'{literal}'")
    return " ".join(words), read


def _compares_size(words: list[str]) -> bool:
    return bool(words) and words[-1] in ("<", "<=", ">", ">=")


def are_branches(tasks: Sequence[GraphTask]) -> bool:
    """Whether tasks are If, Elif and Else: each condition says that none of those before it holds."""
    if len(tasks) < 2 or not all(task.condition and not task.iterator and not task.waits for task in tasks):
        return False
    earlier: list[Condition] = []
    for task in tasks:
        condition = parse_condition(task.condition)
        rest = drop_earlier(condition, earlier)
        if count_parts(condition) - count_parts(rest) != len(earlier):
            return False
        earlier.append(condition if rest is None else rest)
    return True
