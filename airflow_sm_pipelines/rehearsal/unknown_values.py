"""Values for what is unknown in a definition, such as ``${bucket}`` in a template, for a rehearsal. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.json_value import iter_values
from airflow_sm_pipelines.documents import with_known_values
from airflow_sm_pipelines.documents.placeholders import MARK
from airflow_sm_pipelines.rehearsal.sample_values import SAMPLE_BUCKET, sample_value

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition.json_value import JsonPath, JsonValue
    from airflow_sm_pipelines.documents import HeldDefinition

_NUMBERS = ("Count", "SizeInGB", "Seconds", "Percent", "Value", "Attempts", "Minutes")
"""Ends of the names of members whose values are numbers."""


def with_made_values(held: HeldDefinition) -> tuple[HeldDefinition, dict[str, JsonValue]]:
    """The definition with a value for everything that is unknown in it.

    A value suits the place where it is first used: a bucket's name after ``s3://``, else a sample by the name of the
    member, else a word.

    :return: the definition, and the values by the names of the placeholders.
    """
    made: dict[int, JsonValue] = {}
    for path, value in iter_values(held.marked):
        for found in MARK.finditer(value) if isinstance(value, str) else ():
            number = int(found[1])
            if number not in made:
                made[number] = _make(held.shown[number], str(value), found, path)
    return with_known_values(held, made), {held.shown[number]: value for number, value in sorted(made.items())}


def _make(shown: str, text: str, found: re.Match[str], path: JsonPath) -> JsonValue:
    word = re.sub(r"[^a-z0-9]+", "-", shown.lower()).strip("-") or "value"
    if text[: found.start()].lower().endswith("s3://"):
        return SAMPLE_BUCKET
    if found[0] != text:
        return word
    member = next((part for part in reversed(path) if isinstance(part, str)), "")
    if member.endswith(_NUMBERS) and member != "Value":
        return 1
    sample = sample_value(member)
    if isinstance(sample, str):
        return sample
    named = sample_value(shown)
    return named if isinstance(named, str) else word
