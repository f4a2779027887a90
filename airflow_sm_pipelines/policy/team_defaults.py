"""Fills a team's defaults into every job of a definition whose author chose nothing.

What an author wrote stays, with one exception: a run time above the team's limit is lowered to the limit, since the
SDKs write a day where nobody chose. :mod:`team_rules` finds what stays and is not allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Missing, parse_definition
from airflow_sm_pipelines.definition.json_value import put_value
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.policy.instance_storage import has_local_storage
from airflow_sm_pipelines.policy.job_fields import JOB_FIELDS, iter_field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue, PipelineDefinition, Step
    from airflow_sm_pipelines.policy.job_fields import Field, JobFields
    from airflow_sm_pipelines.policy.team_policy import TeamPolicy


_ONE_DAY_SECONDS = 86400


def with_team_defaults(definition: PipelineDefinition, policy: TeamPolicy) -> PipelineDefinition:
    """Fill the team's network, keys, limits and tags into every job that has none.

    A step that an exception names stays as it is. ``diff_definitions`` says what was filled in.
    """
    document = definition.to_json()
    for place, step in iter_step_places(definition):
        fields = JOB_FIELDS.get(step.type)
        if fields is not None:
            for inner, value in _iter_defaults(definition, step, fields, policy):
                put_value(document, (*place, "Arguments", *inner), value)
    return parse_definition(document, name="the definition with the team's defaults")


def _iter_defaults(
    definition: PipelineDefinition, step: Step, fields: JobFields, policy: TeamPolicy
) -> Iterator[tuple[JsonPath, JsonValue]]:
    for rule, wanted, value in _list_values(fields, policy, has_disk=has_local_storage(step, fields, definition)):
        if value and not policy.exempts(rule, step.name):
            yield from _fill(step, wanted, value)
    for rule, limited, limit in (
        ("team-run-time", fields.run_times, policy.max_run_seconds),
        ("team-spot", fields.waits, policy.max_wait_seconds),
    ):
        if limit is not None and not policy.exempts(rule, step.name):
            yield from _lower(step, limited, limit)
    if policy.tag_defaults and not policy.exempts("team-tags", step.name):
        yield from _tags(step, fields.tags, policy)


def _list_values(
    fields: JobFields, policy: TeamPolicy, *, has_disk: bool
) -> Iterator[tuple[str, tuple[Field, ...], JsonValue]]:
    """List each rule, the fields it is about, and the value to fill in; the value is empty where the team has none.

    :param has_disk: whether the instance has a disk of its own, which takes no key.
    """
    vpc: JsonObject = {"Subnets": list(policy.subnets), "SecurityGroupIds": list(policy.security_groups)}
    yield "team-vpc", fields.vpc, vpc if policy.subnets and policy.security_groups else None
    yield "team-isolation", fields.isolation, policy.needs_isolation
    yield "team-traffic-encryption", fields.traffic_encryption, policy.needs_traffic_encryption
    yield "team-volume-key", () if has_disk else fields.volume_keys, next(iter(policy.volume_keys), None)
    yield "team-output-key", fields.output_keys, next(iter(policy.output_keys), None)
    yield "team-run-time", fields.run_times, policy.max_run_seconds
    if policy.needs_spot:
        yield "team-spot", fields.spot, True
        # A spot job needs a limit of waiting. It counts the run too, so it is never below the limit of the run.
        yield "team-spot", fields.waits, policy.max_wait_seconds or policy.max_run_seconds or _ONE_DAY_SECONDS


def _fill(step: Step, fields: tuple[Field, ...], value: JsonValue) -> Iterator[tuple[JsonPath, JsonValue]]:
    for field in fields:
        for place, present in iter_field(step.arguments, field):
            if isinstance(present, Missing):
                yield place, value


def _lower(step: Step, fields: tuple[Field, ...], limit: int) -> Iterator[tuple[JsonPath, JsonValue]]:
    for field in fields:
        for place, present in iter_field(step.arguments, field):
            if isinstance(present, (int, float)) and not isinstance(present, bool) and present > limit:
                yield place, limit


def _tags(step: Step, fields: tuple[Field, ...], policy: TeamPolicy) -> Iterator[tuple[JsonPath, JsonValue]]:
    for field in fields:
        for place, present in iter_field(step.arguments, field):
            if not isinstance(present, (list, Missing)):
                continue
            own = present if isinstance(present, list) else []
            keys = {item.get("Key") for item in own if isinstance(item, dict)}
            added: list[JsonValue] = [
                {"Key": key, "Value": value} for key, value in policy.tag_defaults.items() if key not in keys
            ]
            if added:
                yield place, [*own, *added]
