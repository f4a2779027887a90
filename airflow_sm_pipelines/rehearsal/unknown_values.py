"""Values for what is unknown in a definition, such as ``${bucket}`` in a template, for a rehearsal. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.json_value import iter_values
from airflow_sm_pipelines.documents import with_known_values
from airflow_sm_pipelines.documents.placeholders import MARK
from airflow_sm_pipelines.local_endpoint import ACCOUNT_ID, DEFAULT_REGION
from airflow_sm_pipelines.rehearsal.sample_values import SAMPLE_BUCKET, sample_value

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition.json_value import JsonPath, JsonValue
    from airflow_sm_pipelines.documents import HeldDefinition

ROLE_ARN = f"arn:aws:iam::{ACCOUNT_ID}:role/Rehearsal"
"""The role of a rehearsed pipeline, and of jobs whose role is unknown."""

_BY_NAME = {"accountid": ACCOUNT_ID, "account": ACCOUNT_ID, "region": DEFAULT_REGION, "partition": "aws"}
"""Values by the end of a placeholder's name, such as ``AWS::Region``."""

_NUMBERS = ("Count", "SizeInGB", "Seconds", "Percent", "Attempts", "Minutes")
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
    known = next((value for part, value in _BY_NAME.items() if word.replace("-", "").endswith(part)), None)
    member = next((part for part in reversed(path) if isinstance(part, str)), "")
    before, after = text[: found.start()], text[found.end() :]
    if before.lower().endswith("s3://"):
        return SAMPLE_BUCKET
    if not before and after.startswith("/"):
        return "/opt/ml/processing"
    if before == "ml." or (member == "InstanceType" and not before):
        size = "m5" if after.startswith(".") else "m5.large"
        return size if before else f"ml.{size}"
    if member.endswith(("RoleArn", "RoleARN")) and not before:
        return ROLE_ARN
    if known or before or after:
        return known or word
    if member.endswith(_NUMBERS):
        return 1
    samples = (sample_value(member), sample_value(shown), word)
    return next(sample for sample in samples if isinstance(sample, str))
