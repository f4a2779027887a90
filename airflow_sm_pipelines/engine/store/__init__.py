"""The engine's durable state: one SQLite file, and typed access to what is in it."""

from __future__ import annotations

from airflow_sm_pipelines.engine.store.database import Database
from airflow_sm_pipelines.engine.store.executions import ExecutionRecord, ExecutionTable
from airflow_sm_pipelines.engine.store.ledger import Ledger
from airflow_sm_pipelines.engine.store.pipelines import PipelineRecord, PipelineTable, VersionRecord
from airflow_sm_pipelines.engine.store.resources import ResourceRecord, ResourceTable
from airflow_sm_pipelines.engine.store.steps import StepRecord, StepTable
from airflow_sm_pipelines.engine.store.store import Store

__all__ = [
    "Database",
    "ExecutionRecord",
    "ExecutionTable",
    "Ledger",
    "PipelineRecord",
    "PipelineTable",
    "ResourceRecord",
    "ResourceTable",
    "StepRecord",
    "StepTable",
    "Store",
    "VersionRecord",
]
