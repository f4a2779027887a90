"""Rules over a pipeline definition: what SageMaker would refuse, and what its author may not have meant.

The definition is valid in itself before it comes here; these rules know the limits of the service and,
through botocore, the shapes of its calls.
"""

from __future__ import annotations

from airflow_sm_pipelines.policy.check import DEFAULT_RULES, Rule, check_definition
from airflow_sm_pipelines.policy.team_defaults import with_team_defaults
from airflow_sm_pipelines.policy.findings import Finding, Severity, render_findings
from airflow_sm_pipelines.policy.team_rules import check_pipeline_role, make_team_rule
from airflow_sm_pipelines.policy.team_policy import TeamPolicy, load_policy, parse_policy

__all__ = [
    "DEFAULT_RULES",
    "Finding",
    "Rule",
    "Severity",
    "TeamPolicy",
    "check_definition",
    "check_pipeline_role",
    "load_policy",
    "make_team_rule",
    "parse_policy",
    "render_findings",
    "with_team_defaults",
]
