"""Edits DAG files of Airflow: what is replaced is a few spans of bytes, and all other bytes stay. No code is run.

:mod:`source_file` reads a file and splices its bytes, :mod:`imports` says what a name in it stands for.

:mod:`provider` puts our operators in place of the amazon provider's for pipelines; :mod:`xcom_reads` finds who reads
their results.

:mod:`dag_migration` puts pipelines in place of SageMaker jobs' operators. :mod:`dag_reader` finds those and their
order, :mod:`known_values` works out their configs, :mod:`segments` cuts, :mod:`job_steps` makes steps, and
:mod:`dag_editor` writes. :mod:`result_reads` joins who reads a result, and :mod:`modern_airflow` fixes what Airflow 3
lacks.
"""

from __future__ import annotations

from airflow_sm_pipelines.migrate.airflow.provider import FileMigration, mentions_provider, migrate_provider_file

__all__ = ["FileMigration", "mentions_provider", "migrate_provider_file"]
