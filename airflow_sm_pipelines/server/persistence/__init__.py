"""What keeps moto's state on disk, so that nothing the endpoint acknowledged is lost when its process is killed.

Each module knows one kind of state and how to put it back. S3, queues' messages and log events are kept as they are;
everything else as the requests that made it, replayed at start.
"""

from __future__ import annotations

from airflow_sm_pipelines.server.persistence.moto_checkpoint import Checkpoint
from airflow_sm_pipelines.server.persistence.endpoint_database import Database
from airflow_sm_pipelines.server.persistence.request_journal import RequestJournal
from airflow_sm_pipelines.server.persistence.log_events import LogEvents
from airflow_sm_pipelines.server.persistence.s3_objects import ObjectPersistence
from airflow_sm_pipelines.server.persistence.queue_messages import QueuePersistence

__all__ = ["Checkpoint", "Database", "LogEvents", "ObjectPersistence", "QueuePersistence", "RequestJournal"]
