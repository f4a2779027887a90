"""The source "jobs": SageMaker jobs that were started one by one, read from their Describe answers."""

from __future__ import annotations

from airflow_sm_pipelines.migrate.jobs.reader import read_jobs

__all__ = ["read_jobs"]
