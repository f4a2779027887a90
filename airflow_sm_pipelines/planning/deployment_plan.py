"""The plan of a deployment: the changes, the findings, the limits and the forecast of the cache."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from airflow_sm_pipelines.definition import definition_hash, diff_definitions
from airflow_sm_pipelines.planning.cache_forecast import CacheForecast, forecast_cache
from airflow_sm_pipelines.policy import DEFAULT_RULES, Severity, check_definition, make_team_rule, with_team_defaults
from airflow_sm_pipelines.policy.limits import MAX_INLINE_CHARACTERS, MAX_PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_sm_pipelines.compiler import CompiledPipeline
    from airflow_sm_pipelines.definition import Change, PipelineDefinition
    from airflow_sm_pipelines.definition.variants import Variant
    from airflow_sm_pipelines.planning.generated_names import NamesOnly
    from airflow_sm_pipelines.policy import Finding, TeamPolicy


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How much of a limit of the service a definition uses.

    :param limit: ``None`` where the service publishes none.
    """

    name: str
    used: int
    limit: int | None


@dataclass(frozen=True, slots=True)
class DeploymentPlan:
    """What a deployment would do.

    :param name: the name of the pipeline, or of the definition's source.
    :param action: ``create``, ``update`` (which makes a new version) or ``none``.
    :param definition_hash: the hash of the definition that would be deployed.
    :param filled_in: the values that the team's defaults add; part of ``changes`` too.
    :param build: what building the script has done in AWS; ``None`` if the definition comes from no script.
    :param names_only: what follows if all changes are generated names; ``None`` otherwise.
    """

    name: str
    action: Literal["create", "update", "none"]
    definition_hash: str
    changes: tuple[Change, ...]
    filled_in: tuple[Change, ...]
    findings: tuple[Finding, ...]
    limits: tuple[LimitUse, ...]
    cache: tuple[CacheForecast, ...]
    build: CompiledPipeline | None = None
    names_only: NamesOnly | None = None

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings for which a deployment would be refused."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The other findings."""
        return tuple(finding for finding in self.findings if finding.severity is not Severity.ERROR)


def plan_deployment(
    new: PipelineDefinition,
    *,
    deployed: PipelineDefinition | None,
    name: str,
    policy: TeamPolicy | None = None,
    is_filled_in: bool = False,
    variants: Sequence[Variant] | None = None,
    notes: Sequence[Finding] = (),
    build: CompiledPipeline | None = None,
    find_names_only: Callable[[PipelineDefinition, PipelineDefinition], NamesOnly | None] | None = None,
) -> DeploymentPlan:
    """Compare a definition with the deployed one and check it against the rules.

    :param deployed: the deployed definition; ``None`` if the pipeline does not exist.
    :param policy: a team's rules, beside those of SageMaker.
    :param is_filled_in: whether to fill in the policy's defaults first.
    :param variants: the new definition with other values for what is unknown in it; None where nothing is.
    :param notes: findings of the caller, told with the others.
    :param build: the build that gave the definition, if a script did.
    :param find_names_only: compares the deployed and the wanted definition, with what lies at their addresses.
    """
    wanted = new
    if policy and is_filled_in:
        wanted = with_team_defaults(new, policy)
        variants = variants and [
            replace(one, definition=with_team_defaults(one.definition, policy)) for one in variants
        ]
    changes = diff_definitions(deployed, wanted) if deployed else ()
    rules = (*DEFAULT_RULES, make_team_rule(policy)) if policy else DEFAULT_RULES
    return DeploymentPlan(
        name=name,
        action="create" if deployed is None else "update" if changes else "none",
        definition_hash=definition_hash(wanted),
        changes=changes,
        filled_in=diff_definitions(new, wanted),
        findings=(*check_definition(wanted, rules=rules, variants=variants), *notes),
        limits=_find_limits(wanted),
        cache=_forecast(deployed, wanted, variants),
        build=build,
        names_only=find_names_only(deployed, wanted) if deployed and changes and find_names_only else None,
    )


def _forecast(
    deployed: PipelineDefinition | None, wanted: PipelineDefinition, variants: Sequence[Variant] | None
) -> tuple[CacheForecast, ...]:
    """The forecast; what depends on an unknown value is unknown too."""
    if variants is None:
        return forecast_cache(deployed, wanted)
    found = [
        [replace(one, step=variant.show(one.step)) for one in forecast_cache(deployed, variant.definition)]
        for variant in variants
    ]
    unknown = ("it depends on a value that is unknown here",)
    return tuple(
        one if all(one in others for others in found[1:]) else replace(one, outcome="unknown", reasons=unknown)
        for one in (found[0] if found else ())
    )


def _find_limits(definition: PipelineDefinition) -> tuple[LimitUse, ...]:
    return (
        LimitUse("characters", len(json.dumps(definition.to_json())), MAX_INLINE_CHARACTERS),
        LimitUse("parameters", len(definition.parameters), MAX_PARAMETERS),
        LimitUse("steps", sum(1 for _ in definition.iter_steps()), None),
    )
