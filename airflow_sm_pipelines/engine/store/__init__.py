"""The engine's durable state: one SQLite file, and typed access to what is in it.

What belongs here: rows and their records. What a change means (``rules``) and who makes it (``driver``, ``operations``)
does not.
"""

from __future__ import annotations

from airflow_sm_pipelines.engine.store.executions import ExecutionRecord
from airflow_sm_pipelines.engine.store.pipelines import PipelineRecord, VersionRecord
from airflow_sm_pipelines.engine.store.resources import ResourceRecord
from airflow_sm_pipelines.engine.store.steps import StepRecord
from airflow_sm_pipelines.engine.store.store import Store

__all__ = ["ExecutionRecord", "PipelineRecord", "ResourceRecord", "StepRecord", "Store", "VersionRecord"]
