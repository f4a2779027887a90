"""The rule that a team's policy makes: each finding says what to write instead.

A parameter is checked by its enumeration, or else by its default; that an execution may bring another value is then a
warning. A value that another step makes is not known before the execution, which is a warning too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Missing
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.policy.buckets import check_buckets
from airflow_sm_pipelines.policy.findings import Finding, Severity, find
from airflow_sm_pipelines.policy.instance_storage import has_local_storage
from airflow_sm_pipelines.policy.job_fields import JOB_FIELDS, Field, JobFields, iter_field
from airflow_sm_pipelines.policy.possible_values import find_possible_values
from airflow_sm_pipelines.policy.team_policy import matches_any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from airflow_sm_pipelines.definition import JsonPath, JsonValue, PipelineDefinition, Step
    from airflow_sm_pipelines.policy.check import Rule
    from airflow_sm_pipelines.policy.team_policy import TeamPolicy

    _Check: TypeAlias = Callable[[str, JsonPath, Field, JsonValue], Iterator[Finding]]

_APPLY = "or let the deployment fill it in: policy='apply', --policy apply."

_VPC_HINTS = {
    "Processing": "In the SDK: network_config=NetworkConfig(subnets=[...], security_group_ids=[...]) of the processor",
    "Training": "In the SDK: subnets=[...], security_group_ids=[...] of the estimator",
    "Tuning": "In the SDK: subnets=[...], security_group_ids=[...] of the estimator",
    "Model": "In the SDK: vpc_config={'Subnets': [...], 'SecurityGroupIds': [...]} of the model",
}


def make_team_rule(policy: TeamPolicy) -> Rule:
    """Make a rule for ``check_definition`` from a policy: it finds everything that goes against the policy."""

    def check_team_policy(definition: PipelineDefinition) -> Iterator[Finding]:
        for place, step in iter_step_places(definition):
            fields = JOB_FIELDS.get(step.type)
            if fields is not None:
                job = _Job(policy, definition, step, place, fields)
                yield from (finding for finding in job.check() if not policy.exempts(finding.rule, step.name))
        yield from check_buckets(definition, policy)

    return check_team_policy


def check_pipeline_role(role_arn: str | None, policy: TeamPolicy) -> tuple[Finding, ...]:
    """Check the role of the pipeline itself, which every job without a role takes.

    :param role_arn: ``None`` where the deployed pipeline keeps its role.
    """
    if role_arn is None or not policy.roles or matches_any(role_arn, policy.roles):
        return ()
    message = f"the pipeline's role {role_arn!r} is not allowed."
    return (find("team-roles", Severity.ERROR, (), message, f"Allowed: {', '.join(map(repr, policy.roles))}."),)


class _Job:
    """A step and its place, to be checked against the policy."""

    def __init__(
        self, policy: TeamPolicy, definition: PipelineDefinition, step: Step, place: JsonPath, fields: JobFields
    ) -> None:
        self.policy = policy
        self.definition = definition
        self.step = step
        self.place = (*place, "Arguments")
        self.fields = fields

    def check(self) -> Iterator[Finding]:
        policy, fields = self.policy, self.fields
        if policy.subnets:
            yield from self._each("team-vpc", fields.vpc, self._check_vpc)
        if policy.needs_isolation:
            yield from self._flags("team-isolation", fields.isolation, "network isolation", "enable_network_isolation")
        if policy.needs_traffic_encryption:
            yield from self._flags(
                "team-traffic-encryption",
                fields.traffic_encryption,
                "encryption of the traffic between its containers",
                "encrypt_inter_container_traffic",
            )
        if policy.volume_keys and not has_local_storage(self.step, fields, self.definition):
            yield from self._keys("team-volume-key", fields.volume_keys, policy.volume_keys, "volume")
        if policy.output_keys:
            yield from self._keys("team-output-key", fields.output_keys, policy.output_keys, "output")
        yield from self._allowed("team-roles", fields.roles, policy.roles, "role")
        yield from self._allowed("team-instance-types", fields.instance_types, policy.instance_types, "instance type")
        yield from self._allowed("team-images", fields.images, policy.images, "image")
        yield from self._at_most("team-instance-count", fields.instance_counts, policy.max_instances, "instances")
        yield from self._at_most("team-volume-size", fields.volume_sizes, policy.max_volume_gb, "GB of volume")
        yield from self._run_times()
        if policy.needs_spot:
            yield from self._flags("team-spot", fields.spot, "spot instances", "use_spot_instances")
        if policy.required_tags:
            yield from self._each("team-tags", fields.tags, self._check_tags)

    def _each(
        self,
        rule: str,
        fields: tuple[Field, ...],
        check: Callable[[str, JsonPath, Field, JsonValue], Iterator[Finding]],
    ) -> Iterator[Finding]:
        """Run a check at each place of the fields; its value is ``None`` where nothing is there."""
        for field in fields:
            for inner, value in iter_field(self.step.arguments, field):
                yield from check(rule, (*self.place, *inner), field, None if isinstance(value, Missing) else value)

    def _check_vpc(self, rule: str, place: JsonPath, field: Field, value: JsonValue) -> Iterator[Finding]:
        if value is None:
            hint = _VPC_HINTS.get(self.step.type, "Set it")
            yield self._error(
                rule, place, "has no VPC: it would run outside of the team's VPC.", hint, is_fillable=True
            )
        elif not isinstance(value, dict) or "Subnets" not in value:
            yield self._unknown(rule, place, "VPC")
        else:
            for key, allowed in (("Subnets", self.policy.subnets), ("SecurityGroupIds", self.policy.security_groups)):
                items = value.get(key)
                for index, item in enumerate(items if isinstance(items, list) else [items]):
                    yield from self._check_value(rule, (*place, key, index), item, allowed, f"{key} entry")

    def _flags(self, rule: str, fields: tuple[Field, ...], what: str, argument: str) -> Iterator[Finding]:
        def check(rule: str, place: JsonPath, field: Field, value: JsonValue) -> Iterator[Finding]:
            possible = find_possible_values(value, self.definition)
            hint = f"In the SDK: {argument}=True"
            if value is None:
                yield self._error(rule, place, f"does not ask for {what}.", hint, is_fillable=True)
            elif any(item not in (True, "true", "True") for item in possible.values):
                yield self._error(
                    rule,
                    place,
                    f"switches {what} off.",
                    f"{hint}, or remove the argument and let the deployment fill it in",
                )
            elif possible.is_open:
                yield self._unknown(rule, place, what)

        yield from self._each(rule, fields, check)

    def _keys(self, rule: str, fields: tuple[Field, ...], allowed: tuple[str, ...], noun: str) -> Iterator[Finding]:
        def check(rule: str, place: JsonPath, field: Field, value: JsonValue) -> Iterator[Finding]:
            if value is None:
                hint = f"In the SDK: {noun}_kms_key={allowed[0]!r}"
                yield self._error(rule, place, f"has no KMS key for its {noun}.", hint, is_fillable=True)
            else:
                yield from self._check_value(rule, place, value, allowed, f"{noun} key")

        yield from self._each(rule, fields, check)

    def _allowed(self, rule: str, fields: tuple[Field, ...], allowed: tuple[str, ...], what: str) -> Iterator[Finding]:
        def check(rule: str, place: JsonPath, field: Field, value: JsonValue) -> Iterator[Finding]:
            if value is not None:
                yield from self._check_value(rule, place, value, allowed, what)

        if allowed:
            yield from self._each(rule, fields, check)

    def _at_most(self, rule: str, fields: tuple[Field, ...], limit: int | None, what: str) -> Iterator[Finding]:
        def check(rule: str, place: JsonPath, field: Field, value: JsonValue) -> Iterator[Finding]:
            possible = find_possible_values(value, self.definition)
            too_many = [item for item in possible.values if isinstance(item, (int, float)) and item > (limit or 0)]
            if too_many:
                yield self._error(
                    rule, place, f"may take {max(too_many)} {what}; allowed are {limit}.", f"Ask for {limit} or fewer"
                )
            elif possible.is_open:
                yield self._open(rule, place, possible.parameter, what)

        if limit is not None:
            yield from self._each(rule, fields, check)

    def _run_times(self) -> Iterator[Finding]:
        def check(rule: str, place: JsonPath, field: Field, value: JsonValue) -> Iterator[Finding]:
            limit = self.policy.max_run_seconds
            if value is None:
                yield self._error(
                    rule,
                    place,
                    f"has no limit of its run time, so SageMaker lets it run for a day; allowed are {limit} seconds.",
                    f"In the SDK: max_runtime_in_seconds={limit} (processor) or max_run={limit} (estimator)",
                    is_fillable=True,
                )

        if self.policy.max_run_seconds is not None:
            yield from self._each("team-run-time", self.fields.run_times, check)
            yield from self._at_most(
                "team-run-time", self.fields.run_times, self.policy.max_run_seconds, "seconds of run time"
            )
        yield from self._at_most(
            "team-spot", self.fields.waits, self.policy.max_wait_seconds, "seconds of waiting and running on spot"
        )

    def _check_tags(self, rule: str, place: JsonPath, field: Field, value: JsonValue) -> Iterator[Finding]:
        if value is not None and not isinstance(value, list):
            yield self._unknown(rule, place, "tags")
            return
        present = {str(item.get("Key")) for item in value or [] if isinstance(item, dict)}
        missing = [name for name in self.policy.required_tags if name not in present]
        if missing:
            names = ", ".join(map(repr, missing))
            yield self._error(
                rule,
                place,
                f"lacks the tag{'s' * (len(missing) > 1)} {names}.",
                "In the SDK: tags=[...]",
                is_fillable=True,
            )

    def _check_value(
        self, rule: str, place: JsonPath, value: JsonValue, allowed: tuple[str, ...], what: str
    ) -> Iterator[Finding]:
        possible = find_possible_values(value, self.definition)
        wrong = [item for item in possible.values if not matches_any(str(item), allowed)]
        for item in wrong:
            source = f" (parameter {possible.parameter!r})" if possible.parameter else ""
            yield find(
                rule,
                Severity.ERROR,
                place,
                f"step {self.step.name!r}: the {what} {item!r}{source} is not allowed.",
                f"Allowed {'is' if len(allowed) == 1 else 'are'} {', '.join(map(repr, allowed))}.",
            )
        if not wrong and possible.is_open:
            yield self._open(rule, place, possible.parameter, what)

    def _open(self, rule: str, place: JsonPath, parameter: str | None, what: str) -> Finding:
        if parameter is None:
            return self._unknown(rule, place, what)
        return find(
            rule,
            Severity.WARNING,
            place,
            f"step {self.step.name!r}: whoever starts the pipeline may choose any {what} with the parameter "
            f"{parameter!r}.",
            "Give the parameter the allowed values: EnumValues, in the SDK enum_values=[...].",
        )

    def _unknown(self, rule: str, place: JsonPath, what: str) -> Finding:
        return find(
            rule,
            Severity.WARNING,
            place,
            f"step {self.step.name!r}: the {what} is known only when the step runs, so it is not checked.",
            "Write it out, or take it from a parameter with EnumValues.",
        )

    def _error(self, rule: str, place: JsonPath, message: str, hint: str, *, is_fillable: bool = False) -> Finding:
        fix = f"{hint}, {_APPLY}" if is_fillable else f"{hint}."
        subject = f"the {self.step.type} step {self.step.name!r} {message}"
        return find(rule, Severity.ERROR, place, subject, fix)
