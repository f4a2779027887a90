"""What the unknown values of a definition are, if it is to be the same as another one.

A template that is not filled in is compared with what is deployed: an unknown value that may be the deployed one is no
change.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.diff import NAME_KEYS
from airflow_sm_pipelines.documents.placeholders import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.definition.json_value import JsonObject, JsonValue
    from airflow_sm_pipelines.documents.held_definition import HeldDefinition


def with_values_of(held: HeldDefinition, other: JsonObject) -> HeldDefinition:
    """The definition, with the values of another one wherever an unknown value can be that of the other.

    :param other: the other definition's JSON.
    :return: the definition; what is unknown in it stays so for findings.
    """
    if held.marked is None:
        return held
    pairs = list(_iter_pairs(held.marked, other))
    values: dict[int, JsonValue] = {}
    refused: set[int] = set()
    for count in sorted({len(set(MARK.findall(written))) for written, _ in pairs}):
        for written, value in pairs:
            if len(set(MARK.findall(written))) == count:
                _bind(written, value, values, refused)
    return with_known_values(held, {number: value for number, value in values.items() if number not in refused})


def with_known_values(held: HeldDefinition, known: Mapping[int, JsonValue]) -> HeldDefinition:
    """The definition with values for some of what is unknown in it; findings still take it for unknown.

    :param known: by the number of the unknown value, its place in :attr:`HeldDefinition.shown`.
    """
    if held.marked is None:
        return held
    shown = [text if number not in known else _text(known[number]) for number, text in enumerate(held.shown)]
    document = _fill(held.marked, known, shown)
    return replace(held, text=json.dumps(document, ensure_ascii=False), shown=tuple(shown))


def _iter_pairs(marked: JsonValue, other: JsonValue) -> Iterator[tuple[str, JsonValue]]:
    """Each text with an unknown part, and the value in its place in the other definition."""
    if isinstance(marked, str):
        if MARK.search(marked):
            yield marked, other
    elif isinstance(marked, dict) and isinstance(other, dict):
        for key, value in marked.items():
            if key in other:
                yield from _iter_pairs(value, other[key])
    elif isinstance(marked, list) and isinstance(other, list):
        for index, item in enumerate(marked):
            match = _find_named(item, other)
            if match is None and index < len(other):
                match = other[index]
            yield from _iter_pairs(item, match)


def _find_named(item: JsonValue, others: list[JsonValue]) -> JsonValue:
    for key in NAME_KEYS:
        if isinstance(item, dict) and isinstance(name := item.get(key), str):
            return next((other for other in others if isinstance(other, dict) and other.get(key) == name), None)
    return None


def _bind(written: str, value: JsonValue, values: dict[int, JsonValue], refused: set[int]) -> None:
    whole = MARK.fullmatch(written)
    if whole is not None:
        found: dict[int, JsonValue] = {int(whole[1]): value}
    elif isinstance(value, str) and (match := _pattern(written, values).fullmatch(value)):
        found = {int(group[1:]): text for group, text in match.groupdict().items()}
    else:
        # No value makes the two the same: this is a change.
        return
    for number, bound in found.items():
        if bound is None or values.setdefault(number, bound) != bound:
            refused.add(number)


def _pattern(written: str, values: dict[int, JsonValue]) -> re.Pattern[str]:
    parts: list[str] = []
    end = 0
    seen: set[int] = set()
    for found in MARK.finditer(written):
        number = int(found[1])
        parts.append(re.escape(written[end : found.start()]))
        if number in seen:
            parts.append(f"(?P=n{number})")
        elif isinstance(known := values.get(number), str):
            parts.append(f"(?P<n{number}>{re.escape(known)})")
        else:
            parts.append(f"(?P<n{number}>.+?)")
        seen.add(number)
        end = found.end()
    return re.compile("".join(parts) + re.escape(written[end:]), re.DOTALL)


def _fill(value: JsonValue, known: Mapping[int, JsonValue], shown: list[str]) -> JsonValue:
    if isinstance(value, dict):
        return {
            MARK.sub(lambda found: shown[int(found[1])], key): _fill(item, known, shown) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_fill(item, known, shown) for item in value]
    if not isinstance(value, str):
        return value
    whole = MARK.fullmatch(value)
    if whole is not None and int(whole[1]) in known:
        return known[int(whole[1])]
    return MARK.sub(lambda found: shown[int(found[1])], value)


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)
