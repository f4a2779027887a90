"""A team's defaults, filled into every job of a definition where its author said nothing.

What an author wrote stays, but for one thing: a run time above the team's limit is lowered to it, since the SDKs write
a day where nobody chose. What stays and is not allowed is found by the rules afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition import Missing, parse_definition
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.policy.job_fields import JOB_FIELDS, iter_field
from airflow_sm_pipelines.policy.local_storage import has_local_storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue, PipelineDefinition, Step
    from airflow_sm_pipelines.policy.job_fields import Field, JobFields
    from airflow_sm_pipelines.policy.team_policy import TeamPolicy


def with_team_defaults(definition: PipelineDefinition, policy: TeamPolicy) -> PipelineDefinition:
    """The definition with the team's network, keys, limits and tags in every job that has none.

    Steps that an exception names are left as they are. ``diff_definitions`` says what was filled in.
    """
    document = definition.to_json()
    for place, step in iter_step_places(definition):
        fields = JOB_FIELDS.get(step.type)
        if fields is not None:
            for inner, value in _iter_defaults(definition, step, fields, policy):
                _put(document, (*place, "Arguments", *inner), value)
    return parse_definition(document, name="the definition with the team's defaults")


def _iter_defaults(
    definition: PipelineDefinition, step: Step, fields: JobFields, policy: TeamPolicy
) -> Iterator[tuple[JsonPath, JsonValue]]:
    def missing(rule: str, wanted: tuple[Field, ...], value: JsonValue) -> Iterator[tuple[JsonPath, JsonValue]]:
        if value and not policy.exempts(rule, step.name):
            for field in wanted:
                for place, present in iter_field(step.arguments, field):
                    if isinstance(present, Missing):
                        yield place, value

    if policy.subnets and policy.security_groups:
        vpc: JsonObject = {"Subnets": list(policy.subnets), "SecurityGroupIds": list(policy.security_groups)}
        yield from missing("team-vpc", fields.vpc, vpc)
    yield from missing("team-isolation", fields.isolation, policy.needs_isolation)
    yield from missing("team-traffic-encryption", fields.traffic_encryption, policy.needs_traffic_encryption)
    if policy.volume_keys and not has_local_storage(step, fields, definition):
        yield from missing("team-volume-key", fields.volume_keys, policy.volume_keys[0])
    if policy.output_keys:
        yield from missing("team-output-key", fields.output_keys, policy.output_keys[0])
    yield from missing("team-run-time", fields.run_times, policy.max_run_seconds)
    if policy.max_run_seconds is not None and not policy.exempts("team-run-time", step.name):
        yield from _lower(step, fields.run_times, policy.max_run_seconds)
    if policy.needs_spot:
        yield from missing("team-spot", fields.spot, True)
        # A spot job needs a limit of waiting; it counts the run, so it is never below the limit of the run.
        yield from missing("team-spot", fields.waits, policy.max_wait_seconds or policy.max_run_seconds or 86400)
    if policy.max_wait_seconds is not None and not policy.exempts("team-spot", step.name):
        yield from _lower(step, fields.waits, policy.max_wait_seconds)
    if policy.tag_defaults and not policy.exempts("team-tags", step.name):
        yield from _tags(step, fields.tags, policy)


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


def _put(document: JsonObject, place: JsonPath, value: JsonValue) -> None:
    """Set a value in a document, making the objects above it that are absent or null."""
    here: JsonValue = document
    for key in place[:-1]:
        if isinstance(here, list) and isinstance(key, int):
            here = here[key]
        else:
            holder = cast("JsonObject", here)
            if holder.get(str(key)) is None:
                holder[str(key)] = {}
            here = holder[str(key)]
    cast("JsonObject", here)[str(place[-1])] = value
