"""Edits DAG files of Airflow in place: what is replaced is a few spans of bytes, and all other bytes stay.

:mod:`source_file` reads a file and splices its bytes, :mod:`imports` says what a name in it stands for, and
:mod:`xcom_reads` finds who reads a task's result. :mod:`provider` uses them. No code of the file is run.
"""

from __future__ import annotations

from airflow_sm_pipelines.migrate.airflow.provider import FileMigration, mentions_provider, migrate_provider_file

__all__ = ["FileMigration", "mentions_provider", "migrate_provider_file"]
