"""Small probes of rules that the service does not document, run on an account and on the local endpoint."""

from __future__ import annotations

from airflow_sm_pipelines.account_probes.account import ProbedAccount, make_run_id
from airflow_sm_pipelines.account_probes.probes import PROBES, Probe

__all__ = ["PROBES", "Probe", "ProbedAccount", "make_run_id"]
