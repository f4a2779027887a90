"""Fills a team's defaults into every job of a definition whose author chose nothing, and closes open parameters.

What an author wrote stays, with two exceptions: a run time above the team's limit is lowered to the limit, since the
SDKs write a day where nobody chose; and a text parameter that may choose an instance type, a role, a key, ... gets the
allowed ones as its ``EnumValues``. :mod:`team_rules` finds what stays and is not allowed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Missing, ParameterReference, parse_definition, parse_expression
from airflow_sm_pipelines.definition.json_value import put_value
from airflow_sm_pipelines.policy.governed_places import GovernedPlace, iter_governed_places
from airflow_sm_pipelines.policy.instance_storage import has_local_storage
from airflow_sm_pipelines.policy.possible_values import ValueFinder
from airflow_sm_pipelines.policy.shape_kinds import Kind
from airflow_sm_pipelines.policy.team_policy import matches_any
from airflow_sm_pipelines.policy.team_rules import KIND_RULES
from airflow_sm_pipelines.service_model import load_service_model

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonObject, JsonValue, PipelineDefinition
    from airflow_sm_pipelines.policy.team_policy import TeamPolicy


_ONE_DAY_SECONDS = 86400

_CLOSED_KINDS = (
    Kind.IMAGE,
    Kind.INSTANCE_TYPE,
    Kind.OUTPUT_KEY,
    Kind.ROLE,
    Kind.SECURITY_GROUP,
    Kind.SUBNET,
    Kind.VOLUME_KEY,
)
_INSTANCE_SHAPES = (
    "ProcessingInstanceType",
    "ProductionVariantInstanceType",
    "TrainingInstanceType",
    "TransformInstanceType",
)


def with_team_defaults(definition: PipelineDefinition, policy: TeamPolicy) -> PipelineDefinition:
    """Fill the team's network, keys, limits and tags into every job that has none, and close its open parameters.

    A step that an exception names stays as it is. ``diff_definitions`` says what was filled in.
    """
    document = definition.to_json()
    finder = ValueFinder(definition)
    for place in iter_governed_places(definition):
        rule = KIND_RULES.get(place.kind)
        if rule is None or (place.step is not None and policy.exempts(rule.rule, place.step.name)):
            continue
        value = _find_default(place, policy, finder)
        if value is not None:
            put_value(document, place.path, value)
    filled = parse_definition(document, name="the definition with the team's defaults")
    return _with_closed_parameters(filled, policy)


def _find_default(place: GovernedPlace, policy: TeamPolicy, finder: ValueFinder) -> JsonValue:
    """What to write at a place; ``None`` to leave it as it is."""
    if place.kind is Kind.TAGS:
        return _add_tags(place, policy)
    if isinstance(place.value, Missing):
        if place.kind is Kind.VOLUME_KEY and has_local_storage(place.owner, place.step, finder):
            return None
        return _list_defaults(policy).get(place.kind)
    limits = {Kind.RUN_TIME: policy.max_run_seconds, Kind.WAIT_TIME: policy.max_wait_seconds}
    limit, value = limits.get(place.kind), place.value
    if limit is None or isinstance(value, bool) or not isinstance(value, (int, float)) or value <= limit:
        return None
    return limit


def _list_defaults(policy: TeamPolicy) -> dict[Kind, JsonValue]:
    """What is filled in where nothing is written; without the kinds that the team says nothing of."""
    vpc: JsonObject = {"Subnets": list(policy.subnets), "SecurityGroupIds": list(policy.security_groups)}
    # A spot job needs a limit of waiting. It counts the run too, so it is never below the limit of the run.
    wait = policy.max_wait_seconds or policy.max_run_seconds or _ONE_DAY_SECONDS
    return {
        Kind.VPC: vpc if policy.subnets and policy.security_groups else None,
        Kind.ISOLATION: policy.needs_isolation or None,
        Kind.TRAFFIC_ENCRYPTION: policy.needs_traffic_encryption or None,
        Kind.VOLUME_KEY: next(iter(policy.volume_keys), None),
        Kind.OUTPUT_KEY: next(iter(policy.output_keys), None),
        Kind.RUN_TIME: policy.max_run_seconds,
        Kind.SPOT: policy.needs_spot or None,
        Kind.WAIT_TIME: wait if policy.needs_spot else None,
    }


def _add_tags(place: GovernedPlace, policy: TeamPolicy) -> JsonValue:
    if not policy.tag_defaults or not isinstance(place.value, (list, Missing)):
        return None
    own = place.value if isinstance(place.value, list) else []
    keys = {item.get("Key") for item in own if isinstance(item, dict)}
    added: list[JsonValue] = [
        {"Key": key, "Value": value} for key, value in policy.tag_defaults.items() if key not in keys
    ]
    return [*own, *added] if added else None


def _with_closed_parameters(definition: PipelineDefinition, policy: TeamPolicy) -> PipelineDefinition:
    """The definition with ``EnumValues`` for every open text parameter that chooses what the policy lists.

    A parameter that the policy allows to stay open does. One whose default is not allowed stays too, and is found.
    Only text parameters: neither SDK writes ``EnumValues`` for another type.
    """
    choices: dict[str, list[str]] = {}
    for place in iter_governed_places(definition):
        rule = KIND_RULES.get(place.kind)
        if place.kind not in _CLOSED_KINDS or rule is None or isinstance(place.value, Missing):
            continue
        expression = parse_expression(place.value)
        if not isinstance(expression, ParameterReference) or not getattr(policy, rule.field):
            continue
        if place.step is not None and policy.exempts(rule.rule, place.step.name):
            continue
        allowed = _list_choices(place.kind, getattr(policy, rule.field))
        known = choices.setdefault(expression.name, allowed)
        choices[expression.name] = [value for value in known if value in allowed]
    parameters = tuple(
        replace(parameter, enum_values=tuple(choices[parameter.name]))
        if parameter.type == "String"
        and not parameter.enum_values
        and not matches_any(f"Parameters.{parameter.name}", policy.unknown_allowed)
        and choices.get(parameter.name)
        and (isinstance(parameter.default, Missing) or parameter.default in choices[parameter.name])
        else parameter
        for parameter in definition.parameters
    )
    return definition if parameters == definition.parameters else replace(definition, parameters=parameters)


def _list_choices(kind: Kind, patterns: tuple[str, ...]) -> list[str]:
    """The values that patterns allow: themselves, and of instance types all that the API knows; empty for others."""
    if kind is Kind.INSTANCE_TYPE:
        model = load_service_model()
        known = dict.fromkeys(value for name in _INSTANCE_SHAPES for value in model.get_shape(name).enum)
        plain = [pattern for pattern in patterns if not set("*?") & set(pattern)]
        return list(dict.fromkeys([*plain, *(value for value in known if matches_any(value, patterns))]))
    return list(patterns) if not any(set("*?") & set(pattern) for pattern in patterns) else []
