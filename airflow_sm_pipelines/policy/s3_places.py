"""The buckets that a definition names, against those a team allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Join, parse_expression
from airflow_sm_pipelines.definition.json_value import iter_values
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.policy.findings import Finding, Severity, find
from airflow_sm_pipelines.policy.team_policy import matches_any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonPath, JsonValue, PipelineDefinition
    from airflow_sm_pipelines.policy.team_policy import TeamPolicy

RULE = "team-s3"


def check_buckets(definition: PipelineDefinition, policy: TeamPolicy) -> Iterator[Finding]:
    """Every S3 address, in steps and defaults of parameters, in a bucket that is public or not the team's."""
    if policy.allows_public_s3 and not policy.buckets:
        return
    for index, parameter in enumerate(definition.parameters):
        bucket = find_bucket(parameter.default) if isinstance(parameter.default, str) else None
        yield from _check(bucket, ("Parameters", index, "DefaultValue"), f"parameter {parameter.name!r}", policy)
    for place, step in iter_step_places(definition):
        if policy.exempts(RULE, step.name):
            continue
        for path, operand in step.iter_operands():
            for inner, bucket in _iter_buckets(operand):
                yield from _check(bucket, (*place, *path, *inner), f"step {step.name!r}", policy)


def find_bucket(value: JsonValue) -> str | None:
    """The bucket of an S3 address, also of a joined one whose beginning is written out; ``None`` for anything else."""
    text, is_whole = _beginning(value)
    if not text.startswith("s3://"):
        return None
    bucket, slash, _ = text[5:].partition("/")
    return bucket if bucket and (slash or is_whole) else None


def _beginning(value: JsonValue) -> tuple[str, bool]:
    """The text that a value certainly begins with, and whether that is all of it."""
    if isinstance(value, str):
        return value, True
    expression = parse_expression(value)
    if not isinstance(expression, Join):
        return "", False
    text = ""
    for index, item in enumerate(expression.values):
        part, is_whole = _beginning(item)
        text += (expression.on if index else "") + part
        if not is_whole:
            return text, False
    return text, True


def _iter_buckets(operand: JsonValue) -> Iterator[tuple[JsonPath, str]]:
    inside: JsonPath | None = None
    for path, value in iter_values(operand):
        if inside is not None and path[: len(inside)] == inside:
            continue
        bucket = find_bucket(value) if isinstance(value, (str, dict)) else None
        if bucket is not None:
            inside = path
            yield path, bucket


def _check(bucket: str | None, place: JsonPath, subject: str, policy: TeamPolicy) -> Iterator[Finding]:
    if bucket is None:
        return
    if policy.buckets and not matches_any(bucket, policy.buckets):
        message = f"{subject} names the bucket {bucket!r}, which is not one of the team's."
        yield find(RULE, Severity.ERROR, place, message, f"Allowed are {', '.join(map(repr, policy.buckets))}.")
    elif not policy.allows_public_s3 and matches_any(bucket, policy.public_buckets):
        message = f"{subject} reads from {bucket!r}, a public bucket that others may change."
        yield find(RULE, Severity.ERROR, place, message, "Copy the data to a bucket of the team.")
