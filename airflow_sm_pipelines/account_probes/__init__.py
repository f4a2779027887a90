"""Small probes of rules that the service does not document, run on an account and on the local endpoint."""

from __future__ import annotations

from airflow_sm_pipelines.account_probes.account import Account, make_run_id
from airflow_sm_pipelines.account_probes.probes import PROBES, Probe

__all__ = ["PROBES", "Account", "Probe", "make_run_id"]
