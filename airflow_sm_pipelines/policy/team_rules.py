"""The rule that a team's policy makes: each finding says what to write instead, and which key asks for it.

A value that is not known before the execution is a finding too, unless the policy allows it by name. The one that a
parameter gives is checked again when the pipeline is started, with the parameters of that start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Missing, parse_definition
from airflow_sm_pipelines.definition.arns import is_arn
from airflow_sm_pipelines.definition.json_value import describe_kind
from airflow_sm_pipelines.policy.findings import Finding, Severity, find
from airflow_sm_pipelines.policy.governed_places import GovernedPlace, iter_governed_places
from airflow_sm_pipelines.policy.instance_storage import has_local_storage
from airflow_sm_pipelines.policy.possible_values import Unknown, ValueFinder
from airflow_sm_pipelines.policy.shape_kinds import Kind
from airflow_sm_pipelines.policy.team_policy import matches_any, matches_image
from airflow_sm_pipelines.policy.text_search import (
    cut_at_bucket,
    find_account,
    find_bucket,
    iter_accounts,
    iter_buckets,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_sm_pipelines.definition import JsonPath, JsonValue, PipelineDefinition
    from airflow_sm_pipelines.policy.check import Rule
    from airflow_sm_pipelines.policy.possible_values import PossibleValues, Text
    from airflow_sm_pipelines.policy.team_policy import TeamPolicy
    from airflow_sm_pipelines.policy.text_search import Address

_APPLY = "or let the deployment fill it in: policy='apply', --policy apply."


@dataclass(frozen=True, slots=True)
class _KindRule:
    """What the policy says of a kind.

    :param key: of the policy's file.
    :param field: of :class:`TeamPolicy`.
    :param hint: how an author sets it, for kinds that are demanded.
    """

    rule: str
    key: str
    field: str
    hint: str = ""


_ALLOWED: Mapping[Kind, _KindRule] = {
    Kind.ROLE: _KindRule("team-roles", "roles.allowed", "roles"),
    Kind.IMAGE: _KindRule("team-images", "images.allowed", "images"),
    Kind.INSTANCE_TYPE: _KindRule("team-instance-types", "instances.allowed", "instance_types"),
    Kind.VOLUME_KEY: _KindRule("team-volume-key", "encryption.volume_keys", "volume_keys", "volume_kms_key="),
    Kind.OUTPUT_KEY: _KindRule("team-output-key", "encryption.output_keys", "output_keys", "output_kms_key="),
    Kind.STEP_TYPE: _KindRule("team-step-types", "steps.allowed", "step_types"),
    Kind.SUBNET: _KindRule("team-vpc", "network.subnets", "subnets"),
    Kind.SECURITY_GROUP: _KindRule("team-vpc", "network.security_groups", "security_groups"),
}

_LIMITED: Mapping[Kind, _KindRule] = {
    Kind.INSTANCE_COUNT: _KindRule("team-instance-count", "instances.max_count", "max_instances"),
    Kind.VOLUME_SIZE: _KindRule("team-volume-size", "instances.max_volume_gb", "max_volume_gb"),
    Kind.RUN_TIME: _KindRule("team-run-time", "run_time.max_seconds", "max_run_seconds"),
    Kind.WAIT_TIME: _KindRule("team-spot", "spot.max_wait_seconds", "max_wait_seconds"),
    Kind.KEEP_ALIVE: _KindRule("team-keep-alive", "training.max_keep_alive_seconds", "max_keep_alive_seconds"),
}

_SWITCHES: Mapping[Kind, _KindRule] = {
    Kind.ISOLATION: _KindRule("team-isolation", "network.isolation", "needs_isolation", "enable_network_isolation"),
    Kind.TRAFFIC_ENCRYPTION: _KindRule(
        "team-traffic-encryption",
        "network.traffic_encryption",
        "needs_traffic_encryption",
        "encrypt_inter_container_traffic",
    ),
    Kind.SPOT: _KindRule("team-spot", "spot.required", "needs_spot", "use_spot_instances"),
}

_OTHERS: Mapping[Kind, _KindRule] = {
    Kind.REMOTE_ACCESS: _KindRule("team-remote-debug", "training.remote_debug", "allows_remote_debug"),
    Kind.VPC: _KindRule("team-vpc", "network.subnets", "subnets"),
    Kind.TAGS: _KindRule("team-tags", "tags.required", "required_tags"),
    Kind.S3: _KindRule("team-s3", "s3.buckets", "buckets"),
    Kind.ACCOUNT: _KindRule("team-accounts", "accounts.allowed", "accounts"),
    Kind.TEXT: _KindRule("team-s3", "s3.buckets", "buckets"),
    Kind.UNPLACED: _KindRule("team-unplaced", "exceptions", "exceptions"),
}

KIND_RULES: Mapping[Kind, _KindRule] = {**_ALLOWED, **_LIMITED, **_SWITCHES, **_OTHERS}
"""By kind: the rule about it. Free values and documents have none."""

_ACCOUNTS = _OTHERS[Kind.ACCOUNT]

_VPC_HINTS = {
    "Processing": "In the SDK: network_config=NetworkConfig(subnets=[...], security_group_ids=[...]) of the processor",
    "Training": "In the SDK: subnets=[...], security_group_ids=[...] of the estimator",
    "Tuning": "In the SDK: subnets=[...], security_group_ids=[...] of the estimator",
    "Model": "In the SDK: vpc_config={'Subnets': [...], 'SecurityGroupIds': [...]} of the model",
}


@dataclass(frozen=True, slots=True)
class PlaceVerdict:
    """What a policy says of one place.

    :param key: of the policy's file.
    :param status: ``kept``, ``broken``, ``unknown`` (refused, since it is not known), ``allowed`` (not known, and
        allowed by name) or ``exempt`` (an exception names the step).
    :param possible: what the place can hold.
    """

    place: GovernedPlace
    key: str
    status: str
    possible: PossibleValues
    findings: tuple[Finding, ...]


def make_team_rule(policy: TeamPolicy, *, given: Mapping[str, JsonValue] | None = None) -> Rule:
    """Make a rule for ``check_definition`` from a policy: it finds everything that goes against the policy.

    :param given: the values of all parameters of a start, by name; without it, whatever a start may give counts.
    """

    def check_team_policy(definition: PipelineDefinition) -> Iterator[Finding]:
        for verdict in judge_places(definition, policy, given=given):
            yield from verdict.findings

    return check_team_policy


def judge_places(
    definition: PipelineDefinition, policy: TeamPolicy, *, given: Mapping[str, JsonValue] | None = None
) -> Iterator[PlaceVerdict]:
    """What the policy says of every governed place, step by step; of a text, only if it names something.

    :param given: as in :func:`make_team_rule`.
    """
    finder = ValueFinder(definition, given)
    for place in iter_governed_places(definition):
        judge = _PlaceJudge(policy, finder, place)
        if judge.is_governed:
            yield from judge.judge()


def check_pipeline_role(role_arn: str | None, policy: TeamPolicy) -> tuple[Finding, ...]:
    """Check the role of the pipeline itself, which every job without a role takes.

    :param role_arn: ``None`` where the deployed pipeline keeps its role.
    """
    if role_arn is None:
        return ()
    place = GovernedPlace((), Kind.ROLE, role_arn, {})
    finder = ValueFinder(parse_definition({"Version": "2020-12-01", "Steps": []}))
    verdicts = _PlaceJudge(policy, finder, place).judge()
    return tuple(finding for verdict in verdicts for finding in verdict.findings)


class _PlaceJudge:
    """Holds one place against the policy."""

    def __init__(self, policy: TeamPolicy, finder: ValueFinder, place: GovernedPlace) -> None:
        self.policy = policy
        self.place = place
        self.finder = finder
        self.path: JsonPath = place.path
        self.is_missing = isinstance(place.value, Missing)
        value = None if isinstance(place.value, Missing) else place.value
        self.value: JsonValue = value
        self.possible = finder.find(value, place.step)

    @property
    def is_governed(self) -> bool:
        """Whether the policy says anything about the place."""
        kind, policy = self.place.kind, self.policy
        if kind is Kind.UNPLACED or (policy.accounts and kind in _WITH_ACCOUNTS and not self.is_missing):
            return True
        if kind in (Kind.S3, Kind.TEXT):
            return bool(policy.buckets) or not policy.allows_public_s3
        rule = KIND_RULES.get(kind)
        if rule is None:
            return False
        if kind is Kind.REMOTE_ACCESS:
            return not policy.allows_remote_debug
        wanted = getattr(policy, rule.field)
        return wanted is not None and wanted is not False and wanted != ()

    def judge(self) -> Iterator[PlaceVerdict]:
        """The verdicts, one for each key that is about the place."""
        kind, policy = self.place.kind, self.policy
        rule = KIND_RULES[kind]
        if kind in _ALLOWED and getattr(policy, rule.field):
            yield from self._verdict(rule, self._check_allowed)
        elif kind in _LIMITED and getattr(policy, rule.field) is not None:
            yield from self._verdict(rule, self._check_limit)
        elif kind in _SWITCHES or kind is Kind.REMOTE_ACCESS:
            yield from self._verdict(rule, self._check_switch)
        elif kind is Kind.VPC:
            yield from self._verdict(rule, self._check_vpc)
        elif kind is Kind.TAGS:
            yield from self._verdict(rule, self._check_tags)
        elif kind is Kind.UNPLACED:
            yield from self._verdict(rule, self._check_unplaced)
        elif kind in (Kind.S3, Kind.TEXT) and (policy.buckets or not policy.allows_public_s3):
            yield from self._verdict(rule, self._check_buckets)
        if policy.accounts and kind in _WITH_ACCOUNTS and not self.is_missing:
            yield from self._verdict(_ACCOUNTS, self._check_accounts)

    def _verdict(self, rule: _KindRule, check: Callable[[_KindRule], Iterator[_Outcome]]) -> Iterator[PlaceVerdict]:
        """Run a check and sort out what is exempt and what may stay unknown."""
        outcomes = list(check(rule))
        if not outcomes and self.place.kind is Kind.TEXT:
            return
        step = self.place.step
        findings = [outcome.finding for outcome in outcomes if outcome.finding is not None]
        broken = any(not outcome.is_unknown for outcome in outcomes if outcome.finding is not None)
        status = "broken" if broken else "unknown" if findings else "kept"
        if not findings and any(outcome.is_unknown for outcome in outcomes):
            status = "allowed"
        if findings and step is not None and self.policy.exempts(rule.rule, step.name):
            status, findings = "exempt", []
        yield PlaceVerdict(self.place, rule.key, status, self.possible, tuple(findings))

    # --- the checks -------------------------------------------------------------------------------------------------

    def _check_allowed(self, rule: _KindRule) -> Iterator[_Outcome]:
        allowed: tuple[str, ...] = getattr(self.policy, rule.field)
        kind = self.place.kind
        if self.is_missing:
            if not has_local_storage(self.place.owner, self.place.step, self.finder) or kind is Kind.OUTPUT_KEY:
                noun = str(kind).removesuffix(" key")
                hint = f"In the SDK: {rule.hint}{allowed[0]!r}"
                yield self._missing(rule, f"has no KMS key for its {noun}.", hint)
            return
        matches = matches_image if kind is Kind.IMAGE else matches_any
        for value in self.possible.values:
            if not isinstance(value, str) or not matches(value, allowed):
                message = f"the {kind} {value!r}{self._source} is not allowed."
                yield self._broken(rule, message, _list_allowed(allowed, rule.key))
        yield from self._unknown(rule, self.possible.texts)

    def _check_limit(self, rule: _KindRule) -> Iterator[_Outcome]:
        limit: int = getattr(self.policy, rule.field)
        kind = self.place.kind
        if self.is_missing:
            if kind is Kind.RUN_TIME:
                message = (
                    f"has no limit of its run time, so SageMaker lets it run for a day; allowed are {limit} seconds."
                )
                hint = f"In the SDK: max_runtime_in_seconds={limit} (processor) or max_run={limit} (estimator)"
                yield self._missing(rule, message, hint)
            return
        numbers = [(value, _read_number(value)) for value in self.possible.values]
        for value in [value for value, number in numbers if number is None]:
            message = f"{describe_kind(value)}{self._source} is no number, so whether it keeps to {limit} is not known."
            yield self._broken(rule, message, f"Write a number ({rule.key}).")
        high = [number for _, number in numbers if number is not None and not number <= limit]
        if high:
            yield self._broken(
                rule,
                f"may take {max(high):g} {kind}; allowed are {limit}.",
                f"Ask for {limit} or fewer ({rule.key}).",
                is_subject=True,
            )
        yield from self._unknown(rule, self.possible.texts)

    def _check_switch(self, rule: _KindRule) -> Iterator[_Outcome]:
        kind = self.place.kind
        if kind is Kind.REMOTE_ACCESS:
            if any(value is not False for value in self.possible.values):
                message = f"lets people open {kind}."
                yield self._broken(rule, message, f"Remove it, or write false ({rule.key}).", is_subject=True)
        elif self.is_missing:
            yield self._missing(rule, f"does not ask for {kind}.", f"In the SDK: {rule.hint}=True")
            return
        elif any(value is not True for value in self.possible.values):
            fix = (
                f"In the SDK: {rule.hint}=True, or remove the argument and let the deployment fill it in ({rule.key})."
            )
            yield self._broken(rule, f"switches {kind} off.", fix, is_subject=True)
        yield from self._unknown(rule, self.possible.texts)

    def _check_vpc(self, rule: _KindRule) -> Iterator[_Outcome]:
        if self.is_missing:
            hint = _VPC_HINTS.get(self._step_type, "Set it")
            yield self._missing(rule, "has no VPC: it would run outside of the team's VPC.", hint)
        elif self.possible.texts or self.possible.unknowns:
            yield from self._unknown(rule, self.possible.texts)
        else:
            yield from self._check_vpc_lists(rule)

    def _check_vpc_lists(self, rule: _KindRule) -> Iterator[_Outcome]:
        for value in self.possible.values:
            config = value if isinstance(value, dict) else {}
            for key in ("Subnets", "SecurityGroupIds"):
                if not config.get(key):
                    yield self._broken(rule, f"its VPC has no {key}.", f"List the team's ({rule.key}).")

    def _check_tags(self, rule: _KindRule) -> Iterator[_Outcome]:
        if not self.is_missing and not isinstance(self.value, list):
            yield from self._unknown(rule, self.possible.texts or ((Unknown("a value that is no list"),),))
            return
        present: dict[str, JsonValue] = {}
        for item in self.value if isinstance(self.value, list) else []:
            key = item.get("Key") if isinstance(item, dict) else None
            if isinstance(key, str) and isinstance(item, dict):
                if key in present:
                    yield self._broken(rule, f"the tag {key!r} is there twice.", f"Keep one of them ({rule.key}).")
                present[key] = item.get("Value")
        missing = [name for name in self.policy.required_tags if name not in present]
        if missing:
            names = ", ".join(map(repr, missing))
            message = f"lacks the tag{'s' * (len(missing) > 1)} {names}."
            yield self._missing(rule, message, "In the SDK: tags=[...]")
        for name in self.policy.required_tags:
            values = self.finder.find(present.get(name), self.place.step).values if name in present else ()
            if any(value is None or str(value).strip() == "" for value in values):
                yield self._broken(rule, f"the tag {name!r} may be empty.", f"Give it a value ({rule.key}).")

    def _check_unplaced(self, rule: _KindRule) -> Iterator[_Outcome]:
        what = "type" if self.path[-1] == "Type" else "member"
        name = self.value if what == "type" else self.path[-1]
        message = f"what the {what} {name!r} means to a policy is not known to this version."
        fix = "Remove it, update airflow-sm-pipelines, or let the step pass with an exception for 'team-unplaced'."
        yield self._broken(rule, message, fix)

    def _check_buckets(self, rule: _KindRule) -> Iterator[_Outcome]:
        for text in self._texts():
            if text == ("",):
                continue
            found = [find_bucket(text)] if self.place.kind is Kind.S3 else list(iter_buckets(text))
            for address in found:
                if address is None:
                    message = f"{_show(text)}{self._source} is no S3 address."
                    yield self._broken(rule, message, f"Write s3://bucket/prefix ({rule.key}).")
                elif address.name is None:
                    yield from self._unknown(rule, (cut_at_bucket(text),), what="bucket")
                else:
                    yield self._check_bucket(rule, address.name)

    def _check_bucket(self, rule: _KindRule, bucket: str) -> _Outcome:
        policy = self.policy
        if policy.buckets and not matches_any(bucket, policy.buckets):
            message = f"{self._subject} names the bucket {bucket!r}{self._source}, which is not one of the team's."
            fix = f"Allowed are {', '.join(map(repr, policy.buckets))} ({rule.key})."
            return _Outcome(find(rule.rule, Severity.ERROR, self.path, message, fix))
        if not policy.allows_public_s3 and matches_any(bucket, policy.public_buckets):
            message = f"{self._subject} reads from {bucket!r}{self._source}, a public bucket that others may change."
            fix = "Copy the data to a bucket of the team (s3.public)."
            return _Outcome(find(rule.rule, Severity.ERROR, self.path, message, fix))
        return _Outcome(None)

    def _check_accounts(self, rule: _KindRule) -> Iterator[_Outcome]:
        for text in self._texts():
            for address in self._find_accounts(text):
                if address.name is None and not any(isinstance(part, Unknown) for part in text):
                    message = f"{_show(text)}{self._source} does not tell which account it is in."
                    yield self._broken(rule, message, _list_allowed(self.policy.accounts, rule.key))
                elif address.name is None:
                    yield from self._unknown(rule, (text,), what="account")
                elif address.name not in self.policy.accounts:
                    message = f"{_show(text)}{self._source} is in the account {address.name!r}, which is not allowed."
                    yield self._broken(rule, message, _list_allowed(self.policy.accounts, rule.key))
                else:
                    yield _Outcome(None)

    def _find_accounts(self, text: Text) -> Iterable[Address]:
        if self.place.kind is Kind.TEXT:
            return iter_accounts(text)
        beginning = text[0] if isinstance(text[0], str) else "arn:"
        if self.place.kind is Kind.ACCOUNT or is_arn(beginning):
            found = find_account(text)
            return [] if found is None else [found]
        return []

    # --- words ------------------------------------------------------------------------------------------------------

    def _texts(self) -> Iterator[Text]:
        for value in self.possible.values:
            if isinstance(value, str):
                yield (value,)
        yield from self.possible.texts

    @property
    def _step_type(self) -> str:
        return self.place.step.type if self.place.step is not None else ""

    @property
    def _subject(self) -> str:
        if self.place.step is not None:
            return f"step {self.place.step.name!r}"
        return "the pipeline"

    @property
    def _source(self) -> str:
        names = self.possible.parameters
        if not names:
            return ""
        return f" (parameter{'s' * (len(names) > 1)} {', '.join(map(repr, names))})"

    def _broken(self, rule: _KindRule, message: str, fix: str, *, is_subject: bool = False) -> _Outcome:
        if is_subject and self.place.step is not None:
            text = f"the {self._step_type} step {self.place.step.name!r} {message}"
        else:
            text = f"{self._subject}: {message}"
        return _Outcome(find(rule.rule, Severity.ERROR, self.path, text, fix))

    def _missing(self, rule: _KindRule, message: str, hint: str) -> _Outcome:
        return self._broken(rule, message, f"{hint}, {_APPLY[:-1]} ({rule.key}).", is_subject=True)

    def _unknown(self, rule: _KindRule, texts: Iterable[Text], *, what: str = "") -> Iterator[_Outcome]:
        """The outcome for values that are not known: nothing to find where the policy allows all of them by name."""
        gaps = dict.fromkeys(part for text in texts for part in text if isinstance(part, Unknown))
        if not gaps:
            return
        open_gaps = [gap for gap in gaps if not matches_any(gap.name, self.policy.unknown_allowed)]
        if not open_gaps:
            yield _Outcome(None, is_unknown=True)
            return
        what = what or str(self.place.kind)
        names = ", ".join(f"'{gap.name}'" for gap in open_gaps)
        by_name = f"name it in unknown.allowed of the policy: {names}"
        parameters = [gap.parameter for gap in open_gaps if gap.parameter is not None]
        if len(parameters) == len(open_gaps):
            chosen = f"parameter{'s' * (len(parameters) > 1)} {', '.join(map(repr, parameters))}"
            message = f"whoever starts the pipeline may choose any {what} with the {chosen}."
            fix = (
                f"Give the allowed values: EnumValues, in the SDK enum_values=[...]; or {by_name}, and the run "
                f"operator checks it at each start ({rule.key})."
            )
        else:
            message = f"the {what} is known only when the step runs, so it is not checked."
            fix = f"Write it out, take it from a parameter with EnumValues, or {by_name} ({rule.key})."
        finding = find(rule.rule, Severity.ERROR, self.path, f"{self._subject}: {message}", fix)
        yield _Outcome(finding, is_unknown=True)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one check says of one value.

    :param finding: ``None`` where the value is right, or may stay unknown.
    """

    finding: Finding | None
    is_unknown: bool = False


_WITH_ACCOUNTS = frozenset({Kind.ACCOUNT, Kind.ROLE, Kind.VOLUME_KEY, Kind.OUTPUT_KEY, Kind.TEXT})


def _list_allowed(allowed: tuple[str, ...], key: str) -> str:
    return f"Allowed {'is' if len(allowed) == 1 else 'are'} {', '.join(map(repr, allowed))} ({key})."


def _read_number(value: JsonValue) -> float | None:
    """A number, also one that is written as text; ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _show(text: Text) -> str:
    return repr("".join(part if isinstance(part, str) else f"{{{part.name}}}" for part in text))
