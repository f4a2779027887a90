"""Rules over a pipeline definition: what SageMaker refuses, what a team forbids, what the author may not have meant.

A definition that comes here has parsed, so it is valid in itself. These rules know the limits of the service and the
shapes of its calls (``service_model``), and a team's own policy. The IAM policies that a pipeline needs are here too.
"""

from __future__ import annotations

from airflow_sm_pipelines.policy.check import DEFAULT_RULES, Rule, check_definition
from airflow_sm_pipelines.policy.findings import Finding, Severity, render_findings
from airflow_sm_pipelines.policy.team_defaults import with_team_defaults
from airflow_sm_pipelines.policy.team_policy import TeamPolicy, load_policy, parse_policy
from airflow_sm_pipelines.policy.team_rules import PlaceVerdict, check_pipeline_role, judge_places, make_team_rule

__all__ = [
    "DEFAULT_RULES",
    "Finding",
    "PlaceVerdict",
    "Rule",
    "Severity",
    "TeamPolicy",
    "check_definition",
    "check_pipeline_role",
    "judge_places",
    "load_policy",
    "make_team_rule",
    "parse_policy",
    "render_findings",
    "with_team_defaults",
]
