"""Runs rules over a definition.

A rule is a function from a definition to findings. A team's policy (networks, tags, instance types) becomes one more
rule by ``make_team_rule``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from airflow_sm_pipelines.definition import PipelineDefinition
from airflow_sm_pipelines.policy.arguments import check_arguments
from airflow_sm_pipelines.policy.findings import Finding
from airflow_sm_pipelines.policy.limits import check_limits
from airflow_sm_pipelines.policy.member_rules import check_members
from airflow_sm_pipelines.policy.step_settings import check_step_settings

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition.variants import Variant

Rule: TypeAlias = Callable[[PipelineDefinition], Iterable[Finding]]
"""A function that gives what it finds in a definition."""

DEFAULT_RULES: tuple[Rule, ...] = (check_limits, check_step_settings, check_arguments, check_members)
"""The rules of SageMaker itself."""


def check_definition(
    definition: PipelineDefinition,
    *,
    rules: Sequence[Rule] = DEFAULT_RULES,
    variants: Sequence[Variant] | None = None,
) -> tuple[Finding, ...]:
    """Run rules over a definition.

    The first call loads the model of the SageMaker API, which takes about 0.05 s.

    :param variants: where some of the definition's values are unknown, the definition with others in their places: what
        is found in all of these is a finding. Without any, nothing can be told.
    :return: what the rules find, rule by rule, each in the order of the document.
    """
    if variants is None:
        return tuple(finding for rule in rules for finding in rule(definition))
    found = [
        [
            _shown(finding, one)
            for rule in rules
            for finding in rule(one.definition)
            if finding.place not in one.unknown_places
        ]
        for one in variants
    ]
    if len(found) == 1:
        # There is nothing to compare with: only what names no unknown value surely depends on none.
        texts = set(variants[0].shown.values())
        return tuple(finding for finding in found[0] if not any(text in finding.message for text in texts))
    return tuple(finding for finding in (found[0] if found else ()) if all(finding in others for others in found[1:]))


def _shown(finding: Finding, variant: Variant) -> Finding:
    """What was found in a variant, told of the original; its place has the original's names."""
    place = tuple(variant.show(key) if isinstance(key, str) else key for key in finding.place)
    return replace(
        finding,
        path=variant.show(finding.path),
        message=variant.show(finding.message),
        fix=variant.show(finding.fix),
        place=place,
    )
