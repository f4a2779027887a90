"""Runs what a step starts, as real processes: processing, training and transform jobs, and Lambda functions.

:func:`run_job` and :func:`run_function` block until the work has ended, and always give an outcome. ``job_host`` keeps
the records of jobs while they run.
"""

from __future__ import annotations

from airflow_sm_pipelines.engine.jobs.function import FunctionOutcome, FunctionSpec, run_function
from airflow_sm_pipelines.engine.jobs.images import ImageCatalog, ImageEntry, ImageError
from airflow_sm_pipelines.engine.jobs.isolation import Isolation, IsolationMode, probe_isolation
from airflow_sm_pipelines.engine.jobs.job_runner import run_job
from airflow_sm_pipelines.engine.jobs.job_spec import JobContext, JobOutcome, JobSpec
from airflow_sm_pipelines.engine.jobs.process import Launcher

__all__ = [
    "FunctionOutcome",
    "FunctionSpec",
    "ImageCatalog",
    "ImageEntry",
    "ImageError",
    "Isolation",
    "IsolationMode",
    "JobContext",
    "JobOutcome",
    "JobSpec",
    "Launcher",
    "probe_isolation",
    "run_function",
    "run_job",
]
