"""Compares a source with the DAG that was made of it: both are run, and what they do is compared.

A state machine and a DAG file of operators get made-up answers, a Kubeflow pipeline does its work. Belongs here: what
answers, both runs, the form in which they are compared, and the verdict. Does not belong here: how a source is migrated
(:mod:`airflow_sm_pipelines.migrate`).
"""

from __future__ import annotations

from airflow_sm_pipelines.comparison.comparison import MachineComparison, prepare_comparison
from airflow_sm_pipelines.comparison.dag_runs import run_dags
from airflow_sm_pipelines.comparison.operator_comparison import compare_operators
from airflow_sm_pipelines.comparison.pipeline_comparison import PreparedPipelineComparison, run_jobs

__all__ = [
    "MachineComparison",
    "PreparedPipelineComparison",
    "compare_operators",
    "prepare_comparison",
    "run_dags",
    "run_jobs",
]
