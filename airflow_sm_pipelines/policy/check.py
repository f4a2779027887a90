"""Runs rules over a definition.

A rule is a function from a definition to findings. A team's policy (networks, tags, instance types) becomes one more
rule by ``make_team_rule``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from airflow_sm_pipelines.definition import PipelineDefinition
from airflow_sm_pipelines.policy.arguments import check_arguments
from airflow_sm_pipelines.policy.findings import Finding
from airflow_sm_pipelines.policy.limits import check_limits
from airflow_sm_pipelines.policy.step_settings import check_step_settings

Rule: TypeAlias = Callable[[PipelineDefinition], Iterable[Finding]]
"""A function that gives what it finds in a definition."""

DEFAULT_RULES: tuple[Rule, ...] = (check_limits, check_step_settings, check_arguments)
"""The rules of SageMaker itself."""


def check_definition(definition: PipelineDefinition, *, rules: Sequence[Rule] = DEFAULT_RULES) -> tuple[Finding, ...]:
    """Run rules over a definition.

    The first call loads the model of the SageMaker API, which takes about 0.05 s.

    :return: what the rules find, rule by rule, each in the order of the document.
    """
    return tuple(finding for rule in rules for finding in rule(definition))
