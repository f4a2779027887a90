"""Compares a source with the DAG that was made of it: both are run with the same scripts, and their calls are compared.

Belongs here: what the scripts answer, both runs, the form in which calls are compared, and the verdict. Does not belong
here: how a source is migrated (:mod:`airflow_sm_pipelines.migrate`).
"""

from __future__ import annotations

from airflow_sm_pipelines.comparison.comparison import MachineComparison, prepare_comparison
from airflow_sm_pipelines.comparison.dag_runs import run_dags

__all__ = ["MachineComparison", "prepare_comparison", "run_dags"]
