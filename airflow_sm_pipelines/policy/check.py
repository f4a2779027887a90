"""Runs rules over a definition.

A rule is a function from a definition to findings. A team's policy (networks, tags, instance types) becomes one more
rule by ``make_team_rule``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from airflow_sm_pipelines.definition import PipelineDefinition
from airflow_sm_pipelines.policy.arguments import check_arguments
from airflow_sm_pipelines.policy.findings import Finding
from airflow_sm_pipelines.policy.limits import check_limits
from airflow_sm_pipelines.policy.step_settings import check_step_settings

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition.variants import Variant

Rule: TypeAlias = Callable[[PipelineDefinition], Iterable[Finding]]
"""A function that gives what it finds in a definition."""

DEFAULT_RULES: tuple[Rule, ...] = (check_limits, check_step_settings, check_arguments)
"""The rules of SageMaker itself."""


def check_definition(
    definition: PipelineDefinition, *, rules: Sequence[Rule] = DEFAULT_RULES, variants: Sequence[Variant] = ()
) -> tuple[Finding, ...]:
    """Run rules over a definition.

    The first call loads the model of the SageMaker API, which takes about 0.05 s.

    :param variants: the definition with other values for what is unknown in it; only what is found in all is a finding.
    :return: what the rules find, rule by rule, each in the order of the document.
    """
    findings = tuple(finding for rule in rules for finding in rule(definition))
    for variant in variants:
        same = {
            (finding.rule, *map(variant.show, (finding.path, finding.message, finding.fix)))
            for rule in rules
            for finding in rule(variant.definition)
        }
        findings = tuple(
            finding for finding in findings if (finding.rule, finding.path, finding.message, finding.fix) in same
        )
    return findings
