"""SageMaker Pipelines on one machine: a pure core that decides, and a thin shell that stores, runs and answers.

Pure: ``state``, ``resolver``, ``conditions``, ``scheduler``, ``job_documents``. Shell: ``store``, ``runner``,
``job_host``, ``steps``, ``operations``, ``jobs``.
"""

from __future__ import annotations

from airflow_sm_pipelines.engine.engine import Engine
from airflow_sm_pipelines.engine.rules.errors import ServiceError
from airflow_sm_pipelines.engine.services import EngineServices

__all__ = ["Engine", "EngineServices", "ServiceError"]
