"""The loopback AWS endpoint around the engine: SageMaker's pipelines from the engine, every other service from moto.

Importing it costs nothing; `serve` loads what it needs.
"""

from __future__ import annotations

from airflow_sm_pipelines.server.local_server import RunningServer, serve
from airflow_sm_pipelines.server.state_directory import find_running_server, read_announcement, read_secret

__all__ = ["RunningServer", "find_running_server", "read_announcement", "read_secret", "serve"]
