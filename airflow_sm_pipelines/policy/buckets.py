"""The rule on S3: which buckets a definition names, and whether the team allows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Join, parse_expression
from airflow_sm_pipelines.definition.json_value import iter_values
from airflow_sm_pipelines.definition.s3_uri import parse_s3_uri
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.policy.findings import Finding, Severity, find
from airflow_sm_pipelines.policy.team_policy import matches_any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonPath, JsonValue, PipelineDefinition
    from airflow_sm_pipelines.policy.team_policy import TeamPolicy

RULE = "team-s3"


def check_buckets(definition: PipelineDefinition, policy: TeamPolicy) -> Iterator[Finding]:
    """Find every S3 address, in steps and in defaults of parameters, whose bucket is public or not the team's."""
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
    """Find the bucket of an S3 address, ``s3://`` or a URL of S3; ``None`` for any other value.

    An address that ``Std:Join`` puts together counts too, if its beginning is written out.
    """
    text, is_whole = _beginning(value)
    if is_whole:
        return _bucket_of(text)
    # The bucket is known if it stays the same whatever follows.
    bucket = _bucket_of(f"{text}a")
    return bucket if bucket == _bucket_of(f"{text}b") else None


def _bucket_of(text: str) -> str | None:
    try:
        return parse_s3_uri(text).bucket
    except ValueError:
        return None


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
