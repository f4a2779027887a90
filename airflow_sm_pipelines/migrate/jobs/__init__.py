"""The source "jobs": SageMaker jobs that were started one by one, read from their Describe answers."""

from __future__ import annotations

from airflow_sm_pipelines.migrate.jobs.described_jobs import find_answers
from airflow_sm_pipelines.migrate.jobs.job_reader import parse_jobs

__all__ = ["find_answers", "parse_jobs"]
