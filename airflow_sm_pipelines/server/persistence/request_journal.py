"""The requests that changed moto's state, in order. Replaying them makes the state again.

For small state that changes rarely: roles, functions, queues, rules, log groups. moto draws its identifiers from one
random generator. It is seeded for each request and the seed is recorded, so that a replay gives the same identifiers.
Times of creation are those of the replay. After a long replay, a checkpoint keeps the state it gave, so that the next
start replays only newer requests.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from airflow_sm_pipelines.server.http.messages import Request
from airflow_sm_pipelines.server.persistence.moto_checkpoint import is_covered

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.server.http.messages import Response
    from airflow_sm_pipelines.server.persistence.endpoint_database import EndpointDatabase
    from airflow_sm_pipelines.server.persistence.moto_checkpoint import MotoCheckpoint

_READING_WORDS = (
    "BatchDescribe", "BatchGet", "Check", "Decode", "Describe", "Estimate", "Filter", "Get", "Head", "List", "Lookup",
    "Query", "Receive", "Scan", "Search", "Select", "Simulate", "StartQuery", "Test", "Validate",
)  # fmt: skip
"""First words of operations that change nothing."""

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
"""Operations that move data through a service. Where their effect lasts, another module keeps it as state."""

_OTHER_SERVICES = frozenset({"s3", "sts"})
"""Services whose changes another module keeps (S3), or that change nothing (STS)."""

_CHECKPOINT_REQUESTS = 500
"""A replay of so many requests, which takes about a third of a second, is worth a checkpoint."""

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
    """Carries requests out one at a time, and records those that succeeded.

    :param database: where they are kept.
    :param apply: carries a request out.
    :param load: makes moto load the service of a request. In that moto may draw identifiers of its own.
    :param checkpoint: keeps the state that a long replay gave.
    """

    def __init__(
        self,
        database: EndpointDatabase,
        apply: Callable[[Request], Response],
        load: Callable[[Request], None],
        checkpoint: MotoCheckpoint,
    ) -> None:
        self._database = database
        self._apply = apply
        self._load = load
        self._checkpoint = checkpoint
        self._lock = threading.RLock()
        # Requests that moto has carried out and that are not recorded yet: the disk was full.
        self._unrecorded: list[tuple[str, bytes, str, bytes]] = []

    def call(self, request: Request) -> Response:
        """Carry out a request that changes something. Where it succeeds, it is durable before this returns.

        :param request: a request for which :func:`is_journaled` holds.
        """
        seed = os.urandom(16)
        with self._lock:
            self.flush()
            response = self._apply_seeded(request, seed)
            if response.is_success:
                operation = f"{request.service}:{request.operation or request.method}"
                self._unrecorded.append((operation, seed, request.to_record(), request.body))
                self.flush()
        return response

    def prepare(self, request: Request) -> None:
        """Make moto load the service of a request that changes nothing, while no request is carried out.

        :param request: a request to any service.
        """
        with self._lock:
            self._load(request)

    def flush(self) -> None:
        """Record what could not be recorded before: moto has it, and a client that repeats its request is told so.

        :raises sqlite3.Error: when there is still no room.
        """
        with self._lock:
            if not self._unrecorded:
                return
            with self._database.transaction() as connection:
                connection.executemany(
                    "INSERT INTO requests (operation, seed, environ, body) VALUES (?, ?, ?, ?)", self._unrecorded
                )
            self._unrecorded.clear()

    def replay(self) -> list[str]:
        """Carry all recorded requests out again, in their order, or those after the checkpoint.

        :return: the requests that failed, a text for each; the others count all the same.
        """
        failures = []
        with self._lock:
            services = {str(name) for (name,) in self._database.read(_SERVICES_QUERY)}
            ((newest,),) = self._database.read("SELECT coalesce(max(id), 0) FROM requests")
            done = self._checkpoint.load(int(newest)) if is_covered(services) else 0  # type: ignore[call-overload]
            rows = self._database.read(
                "SELECT operation, seed, environ, body FROM requests WHERE id > ? ORDER BY id", done
            )
            for operation, seed, environ, body in rows:
                request = Request.of_record(str(environ), bytes(body))  # type: ignore[call-overload]
                response = self._apply_seeded(request, bytes(seed))  # type: ignore[call-overload]
                if not response.is_success:
                    failures.append(f"{operation}: {response.summary}")
            # A start from a checkpoint would not see the failures again.
            if len(rows) >= _CHECKPOINT_REQUESTS and is_covered(services) and not failures:
                self._checkpoint.save(int(newest))  # type: ignore[call-overload]
        return failures

    def _apply_seeded(self, request: Request, seed: bytes) -> Response:
        from moto.moto_api._internal import mock_random

        self._load(request)
        mock_random.seed(seed)
        try:
            return self._apply(request)
        finally:
            # What moto draws next must not follow from a recorded seed: it would draw the same after a restart.
            mock_random.seed(os.urandom(16))
