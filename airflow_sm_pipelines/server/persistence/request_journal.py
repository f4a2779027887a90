"""The requests that changed moto's state, in order; replaying them makes the state again.

For small state that changes rarely: roles, functions, queues, rules, log groups. moto draws its identifiers from one
random generator, which is seeded per request and the seed recorded, so that a replay gives the same identifiers. Times
of creation are those of the replay. Once there is much to replay, what it gave is kept as a checkpoint, so that a start
costs what happened since the one before.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from airflow_sm_pipelines.server.persistence.moto_checkpoint import is_covered
from airflow_sm_pipelines.server.http.messages import record_environ, restore_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.server.http.messages import Request, Response
    from airflow_sm_pipelines.server.persistence.moto_checkpoint import Checkpoint
    from airflow_sm_pipelines.server.persistence.endpoint_database import Database

_log = logging.getLogger(__name__)

#: First words of operations that change nothing.
_READING_WORDS = (
    "BatchDescribe", "BatchGet", "Check", "Decode", "Describe", "Estimate", "Filter", "Get", "Head", "List", "Lookup",
    "Query", "Receive", "Scan", "Search", "Select", "Simulate", "StartQuery", "Test", "Validate",
)  # fmt: skip
#: Operations that move data through a service: their effect, where it lasts, is kept as state by another module.
DATA_OPERATIONS = frozenset(
    {
        "ChangeMessageVisibility",
        "ChangeMessageVisibilityBatch",
        "CreateLogStream",
        "DeleteLogStream",
        "DeleteMessage",
        "DeleteMessageBatch",
        "Publish",
        "PublishBatch",
        "PurgeQueue",
        "PutEvents",
        "PutLogEvents",
        "PutMetricData",
        "SendMessage",
        "SendMessageBatch",
    }
)
#: Services whose changes are kept otherwise (S3), or are none (STS).
_OTHER_SERVICES = frozenset({"s3", "sts"})
#: So many replayed requests (about a third of a second) are worth a checkpoint.
_CHECKPOINT_REQUESTS = 500
_SERVICES_QUERY = "SELECT DISTINCT substr(operation, 1, instr(operation, ':') - 1) FROM requests"


def is_journaled(request: Request) -> bool:
    """Whether a request changes state that only the journal keeps.

    :param request: a request to any service of moto.
    """
    if request.service in _OTHER_SERVICES:
        return False
    operation = request.operation
    if operation:
        return operation not in DATA_OPERATIONS and not operation.startswith(_READING_WORDS)
    # REST: Lambda's invocations are calls, not changes.
    return request.method not in {"GET", "HEAD", "OPTIONS"} and "/invocations" not in request.path


class RequestJournal:
    """Applies requests one at a time, and remembers those that succeeded.

    :param database: where they are kept.
    :param apply: carries a request out.
    :param load: makes moto load what a request is for, in which it may draw identifiers of its own.
    :param checkpoint: saves replaying what was replayed before.
    """

    def __init__(
        self,
        database: Database,
        apply: Callable[[Request], Response],
        load: Callable[[Request], None],
        checkpoint: Checkpoint,
    ) -> None:
        self._database = database
        self._apply = apply
        self._load = load
        self._checkpoint = checkpoint
        self._lock = threading.RLock()

    def call(self, request: Request) -> Response:
        """Carry a changing request out; when it succeeds, it is durable before this returns.

        :param request: a request that `is_journaled`.
        """
        seed = os.urandom(16)
        with self._lock:
            response = self._apply_seeded(request, seed)
            if response.is_success:
                with self._database.transaction() as connection:
                    connection.execute(
                        "INSERT INTO requests (operation, seed, environ, body) VALUES (?, ?, ?, ?)",
                        (
                            f"{request.service}:{request.operation or request.method}",
                            seed,
                            record_environ(request),
                            request.body,
                        ),
                    )
        return response

    def replay(self) -> None:
        """Carry all remembered requests out again, in their order. One that fails is logged: the rest still counts."""
        with self._lock:
            services = {str(name) for (name,) in self._database.read(_SERVICES_QUERY)}
            ((newest,),) = self._database.read("SELECT coalesce(max(id), 0) FROM requests")
            done = self._checkpoint.load(int(newest)) if is_covered(services) else 0  # type: ignore[call-overload]
            rows = self._database.read(
                "SELECT operation, seed, environ, body FROM requests WHERE id > ? ORDER BY id", done
            )
            for operation, seed, environ, body in rows:
                response = self._apply_seeded(restore_request(str(environ), bytes(body)), bytes(seed))  # type: ignore[call-overload]
                if not response.is_success:
                    _log.warning("Replaying %s gave HTTP %s: %.500s", operation, response.status, response.body)
            if len(rows) >= _CHECKPOINT_REQUESTS and is_covered(services):
                self._checkpoint.save(int(newest))  # type: ignore[call-overload]

    def _apply_seeded(self, request: Request, seed: bytes) -> Response:
        from moto.moto_api._internal import mock_random

        self._load(request)
        mock_random.seed(seed)
        try:
            return self._apply(request)
        finally:
            # What moto draws next must not follow from a recorded seed: it would come again after a restart.
            mock_random.seed(os.urandom(16))
