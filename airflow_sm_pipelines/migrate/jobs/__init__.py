"""The source "jobs": SageMaker jobs that were started one by one, read from their Describe answers."""

from __future__ import annotations

from airflow_sm_pipelines.migrate.jobs.job_reader import find_answers, parse_jobs

__all__ = ["find_answers", "parse_jobs"]
