"""SageMaker Pipelines on one machine.

Each package imports only those after it:

* ``operations``: the API operations.
* ``driver``: the threads that make executions go on.
* ``steps``: what a step of each type does.
* ``jobs``: the processes of jobs and functions.
* ``tuning`` and ``registry``: tuning jobs; models, endpoints and experiments.
* ``store``: the durable state.
* ``rules``: the decisions, without a clock, a file or a thread.
"""

from __future__ import annotations

from airflow_sm_pipelines.engine.engine import Engine
from airflow_sm_pipelines.engine.rules.errors import ServiceError
from airflow_sm_pipelines.engine.services import EngineServices

__all__ = ["Engine", "EngineServices", "ServiceError"]
