"""Keeps moto's state on disk, so that nothing the endpoint acknowledged is lost when its process is killed.

Each module knows one kind of state and how to put it back. S3, queues' messages and log events are kept as they are.
All other state is kept as the requests that made it, which a start replays.
"""

from __future__ import annotations

from airflow_sm_pipelines.server.persistence.endpoint_database import EndpointDatabase
from airflow_sm_pipelines.server.persistence.log_events import LogEvents
from airflow_sm_pipelines.server.persistence.moto_checkpoint import MotoCheckpoint
from airflow_sm_pipelines.server.persistence.object_bodies import BodyStore
from airflow_sm_pipelines.server.persistence.queue_messages import QueueMessages
from airflow_sm_pipelines.server.persistence.request_journal import DATA_OPERATIONS, RequestJournal, is_journaled
from airflow_sm_pipelines.server.persistence.s3_objects import S3Objects

__all__ = [
    "DATA_OPERATIONS",
    "BodyStore",
    "EndpointDatabase",
    "LogEvents",
    "MotoCheckpoint",
    "QueueMessages",
    "RequestJournal",
    "S3Objects",
    "is_journaled",
]
