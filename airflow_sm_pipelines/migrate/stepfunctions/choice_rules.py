"""The rules of a Choice state as the workflow's conditions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.migrate.node_references import parse_node_reference, replace_expressions
from airflow_sm_pipelines.migrate.stepfunctions.document_values import (
    ABSENT,
    Overlay,
    Ref,
    UnsupportedError,
    to_expression,
)
from airflow_sm_pipelines.migrate.stepfunctions.machine import DEFAULT
from airflow_sm_pipelines.migrate.stepfunctions.payloads import (
    OtherExpressionError,
    call_jsonata,
    read_path,
    read_simple_jsonata,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue
    from airflow_sm_pipelines.migrate.stepfunctions.document_values import Value
    from airflow_sm_pipelines.migrate.stepfunctions.flow import Fork, Poll
    from airflow_sm_pipelines.migrate.stepfunctions.machine import State
    from airflow_sm_pipelines.migrate.stepfunctions.payloads import Scope

_SIGNS = {
    "Equals": "Equals",
    "GreaterThan": "GreaterThan",
    "GreaterThanEquals": "GreaterThanOrEqualTo",
    "LessThan": "LessThan",
    "LessThanEquals": "LessThanOrEqualTo",
}
_OPERATOR = re.compile(
    r"(String|Numeric|Boolean|Timestamp)(Equals|GreaterThan(?:Equals)?|LessThan(?:Equals)?)(Path)?\Z"
)
_KIND_TESTS = ("IsPresent", "IsNull", "IsString", "IsNumeric", "IsBoolean", "IsTimestamp")
_JSONATA_SIGNS = {
    "=": "Equals",
    "!=": "NotEquals",
    ">=": "GreaterThanOrEqualTo",
    "<=": "LessThanOrEqualTo",
    ">": "GreaterThan",
    "<": "LessThan",
}
_COMPARISON = re.compile(r"(?P<left>[^=<>!]+?)\s*(?P<sign>!=|>=|<=|=|>|<)\s*(?P<right>[^=<>!]+)\Z")
_RULE_KEYS = ("Next", "Comment", "Assign", "Output", "Variable")


def read_rule(rule: JsonObject, scope: Scope) -> JsonObject:
    """The condition of one rule.

    :raises UnsupportedError: neither a pipeline nor Airflow can test it.
    """
    if "Condition" in rule:
        return _read_jsonata(str(rule["Condition"]), scope)
    for key, combine in (("And", all_of), ("Or", any_of)):
        if key in rule:
            return combine([read_rule(cast("JsonObject", one), scope) for one in cast("list[JsonValue]", rule[key])])
    if "Not" in rule:
        return negate(read_rule(cast("JsonObject", rule["Not"]), scope))
    operators = [key for key in rule if key not in _RULE_KEYS]
    if len(operators) != 1 or not isinstance(rule.get("Variable"), str):
        raise UnsupportedError("A rule of this Choice has no Variable with one comparison.")
    return _compare(str(rule["Variable"]), operators[0], rule[operators[0]], scope)


def _compare(variable: str, operator: str, wanted: JsonValue, scope: Scope) -> JsonObject:
    found = read_path(variable, scope)
    if operator in _KIND_TESTS:
        return _test_kind(operator, wanted, _find(found))
    left = to_expression(found)
    if operator == "StringMatches":
        return {"Type": "Test", "Name": "Matches", "Value": left, "Other": wanted}
    match = _OPERATOR.match(operator)
    if match is None:
        raise UnsupportedError(f"The comparison {operator} of this Choice is not known.")
    right = to_expression(read_path(str(wanted), scope)) if match[3] else wanted
    if match[1] == "Timestamp":
        return _compare_moments(match[2], left, right)
    sign = _SIGNS[match[2]]
    if match[1] == "String" and sign != "Equals":
        raise UnsupportedError(f"The comparison {operator} orders text, which is not carried.")
    if match[1] == "Numeric" and isinstance(right, dict) and sign == "Equals":
        # Without a literal beside them, values are compared as text; as an order they are compared as numbers.
        return all_of(
            [
                {"Type": "GreaterThanOrEqualTo", "LeftValue": left, "RightValue": right},
                {"Type": "LessThanOrEqualTo", "LeftValue": left, "RightValue": right},
            ]
        )
    return {"Type": sign, "LeftValue": left, "RightValue": right}


def _find(found: Value) -> JsonValue:
    return None if found is ABSENT else to_expression(found)


def _test_kind(operator: str, wanted: JsonValue, value: JsonValue) -> JsonObject:
    test: JsonObject = {"Type": "Test", "Name": operator, "Value": value}
    return negate(test) if wanted is False else test


def _compare_moments(sign: str, left: JsonValue, right: JsonValue) -> JsonObject:
    before: JsonObject = {"Type": "Test", "Name": "Before", "Value": left, "Other": right}
    after: JsonObject = {"Type": "Test", "Name": "After", "Value": left, "Other": right}
    known = {
        "LessThan": before,
        "GreaterThan": after,
        "LessThanEquals": negate(after),
        "GreaterThanEquals": negate(before),
    }
    return known.get(sign) or all_of([negate(before), negate(after)])


def _read_jsonata(text: str, scope: Scope) -> JsonObject:
    inner = re.fullmatch(r"\s*\{%(.*)%\}\s*", text, re.DOTALL)
    if inner is None:
        raise UnsupportedError(f"The Condition {text!r} is no JSONata expression.")
    text = inner[1].strip()
    try:
        return _read_jsonata_condition(text, scope)
    except OtherExpressionError:
        return {"Type": "Equals", "LeftValue": to_expression(call_jsonata(text, scope)), "RightValue": True}


def _read_jsonata_condition(text: str, scope: Scope) -> JsonObject:
    for word, combine in ((" or ", any_of), (" and ", all_of)):
        parts = text.split(word)
        if len(parts) > 1 and "(" not in text and _has_even_quotes(parts):
            return combine([_read_jsonata_condition(part.strip(), scope) for part in parts])
    match = _COMPARISON.match(text)
    if match is None or not _has_even_quotes((match["left"], match["right"])) or "(" in text or "[" in text:
        raise OtherExpressionError
    left, right = (to_expression(read_simple_jsonata(match[side].strip(), scope)) for side in ("left", "right"))
    return {"Type": _JSONATA_SIGNS[match["sign"]], "LeftValue": left, "RightValue": right}


def _has_even_quotes(parts: Sequence[str]) -> bool:
    return all(part.count("'") % 2 == 0 and part.count('"') % 2 == 0 for part in parts)


def negate(condition: JsonObject) -> JsonObject:
    """The opposite of a condition."""
    if condition["Type"] == "Not":
        return cast("JsonObject", condition["Condition"])
    return {"Type": "Not", "Condition": condition}


def any_of(conditions: Sequence[JsonObject]) -> JsonObject:
    """A condition that holds if one of these does."""
    return conditions[0] if len(conditions) == 1 else {"Type": "Or", "Conditions": list(conditions)}


def all_of(conditions: Sequence[JsonObject]) -> JsonObject:
    """A condition that holds if all of these do; a definition has no such type, but Not and Or."""
    return conditions[0] if len(conditions) == 1 else negate(any_of([negate(one) for one in conditions]))


# --- the rules of a whole choice -------------------------------------------------------------------------------------


def read_ways(fork: Fork, scope: Scope) -> list[tuple[JsonObject, ...]]:
    """The condition of each way: one of its rules holds, and no rule before that leads elsewhere."""
    rules = cast("list[JsonObject]", fork.state.body["Choices"])
    known = {index: read_rule(rules[index], scope) for index in fork.rules if index != DEFAULT}
    found: list[tuple[JsonObject, ...]] = []
    for way in fork.ways:
        if DEFAULT in way.rules or (way is fork.ways[-1] and not lacks_default(fork)):
            found.append(())
            continue
        holding = []
        for index in way.rules:
            earlier = [one for one in known if one < index and one not in way.rules and min(way.rules) < one]
            holding.append(all_of([known[index], *(negate(known[one]) for one in earlier)]))
        found.append((any_of(holding),))
    return found


def get_rule(choice: State, index: int) -> JsonObject:
    """A rule of a choice; for the Default the state itself, which has its Assign and Output."""
    return choice.body if index == DEFAULT else cast("list[JsonObject]", choice.body["Choices"])[index]


def lacks_default(fork: Fork) -> bool:
    """Whether the machine fails where no rule holds: the whole choice has no Default."""
    targets = [index for index, _ in fork.state.iter_choices()]
    return DEFAULT not in targets and len(fork.rules) == len(targets)


def read_until(poll: Poll, scope: Scope, name: str) -> JsonObject:
    """The condition under which a repeated call has its answer: no rule leads back.

    :param name: of the call's node; its result is read as the answer that the call has just given.
    """
    if any(key in get_rule(poll.choice, index) for index in poll.stay for key in ("Assign", "Output")):
        raise UnsupportedError("The rules that lead back give an Output or assign variables.")
    until = negate(any_of([_read_stay(poll, index, scope) for index in poll.stay]))
    if name in set(_iter_worked_out(until)):
        raise UnsupportedError("Whether the call is repeated depends on what a function makes of its answer.")
    return cast("JsonObject", read_as_answer(until, name))


def read_as_answer(value: JsonValue, name: str) -> JsonValue:
    """A value in which the result of a node is read as the answer that its call has just given."""

    def replaced(expression: JsonObject, _: JsonPath) -> JsonValue | None:
        reference = parse_node_reference(str(expression.get("Get", "")))
        return {"Get": f"Answer{reference[2]}"} if reference is not None and reference[1] == name else None

    return replace_expressions(value, replaced)


def read_again(first: Value, later: Value, name: str) -> JsonValue:
    """What the next call of a repeated one is given instead: an expression of the answer, or members to lay over.

    :param first: what the first call is given.
    :param later: what a call after it is given, with the result of the node as the answer before.
    :param name: of the node.
    :return: None for the same.
    :raises UnsupportedError: it is put together in another way.
    """
    if to_expression(first) == to_expression(later):
        return None
    if isinstance(later, Ref) and later.root == f"Tasks.{name}":
        return read_as_answer(to_expression(later), name)
    base, changes = (later.base, later.changes) if isinstance(later, Overlay) else ({}, later)
    old_base, old = (first.base, first.changes) if isinstance(first, Overlay) else ({}, first)
    if isinstance(later, Overlay) and first == base:
        old_base, old = base, {}
    if base == old_base and isinstance(changes, dict) and isinstance(old, dict) and old.keys() <= changes.keys():
        new = {key: value for key, value in changes.items() if key not in old or old[key] != value}
        if all(isinstance(one, Ref) and one.root == f"Tasks.{name}" for one in new.values()) and new.keys() != {"Get"}:
            return read_as_answer({key: to_expression(one) for key, one in new.items()}, name)
    raise UnsupportedError("Each call is given something that is worked out from the answer before.")


def _iter_worked_out(value: JsonValue, *, is_inside: bool = False) -> Iterator[str]:
    """The nodes whose results are read inside of functions."""
    if isinstance(value, dict):
        reference = parse_node_reference(str(value.get("Get", ""))) if is_inside else None
        if reference is not None:
            yield reference[1]
        for key, item in value.items():
            yield from _iter_worked_out(item, is_inside=is_inside or key == "Std:Function")
    for item in value if isinstance(value, list) else ():
        yield from _iter_worked_out(item, is_inside=is_inside)


def _read_stay(poll: Poll, index: int, scope: Scope) -> JsonObject:
    """The condition under which a rule leads back: it holds, and none before it leads out."""
    rules = cast("list[JsonObject]", poll.choice.body["Choices"])
    before = range(len(rules)) if index == DEFAULT else range(index)
    leaving = [negate(read_rule(rules[one], scope)) for one in before if one not in poll.stay]
    own = [] if index == DEFAULT else [read_rule(rules[index], scope)]
    return all_of([*own, *leaving])
