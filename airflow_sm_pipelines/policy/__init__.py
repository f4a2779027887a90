"""Rules over a pipeline definition: what SageMaker would refuse, and what its author may not have meant.

The definition is valid in itself before it comes here; these rules know the limits of the service and,
through botocore, the shapes of its calls.
"""

from __future__ import annotations

from airflow_sm_pipelines.policy.check import DEFAULT_RULES, Rule, check_definition
from airflow_sm_pipelines.policy.findings import Finding, Severity, render_findings

__all__ = ["DEFAULT_RULES", "Finding", "Rule", "Severity", "check_definition", "render_findings"]
