"""Jobs that were started one by one, as their Describe answers show them, read into one workflow."""

from __future__ import annotations

from airflow_sm_pipelines.migrate.jobs.reader import read_jobs

__all__ = ["read_jobs"]
