"""Running rules over a definition.

A rule is a function from a definition to findings. A team's policy (networks, tags, instance types) is one more rule,
made by ``make_team_rule``: give ``check_definition`` the rules to run.
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
"""Gives what it finds in a definition that parsed."""

DEFAULT_RULES: tuple[Rule, ...] = (check_limits, check_step_settings, check_arguments)
"""What SageMaker itself demands."""


def check_definition(definition: PipelineDefinition, *, rules: Sequence[Rule] = DEFAULT_RULES) -> tuple[Finding, ...]:
    """Everything that the rules find, in the order of the rules and, in each, of the document.

    Needs botocore, and loads its SageMaker model (about 0.1 s) when called.
    """
    return tuple(finding for rule in rules for finding in rule(definition))
