"""A model behind an endpoint: its containers run until they are ended, and each payload goes through them in turn.

What belongs here: processes and payloads. What does not: endpoints, their statuses and variants
(``endpoint_host.py``).
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.jobs.failures import JobFailure, explain_failure
from airflow_sm_pipelines.engine.jobs.instances import InstancesEnd, run_instances
from airflow_sm_pipelines.engine.jobs.model_server import SOCKET, ModelServer, plan_server
from airflow_sm_pipelines.engine.rules.errors import MAX_REASON_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from io import BufferedRWPair
    from pathlib import Path

    from airflow_sm_pipelines.engine.jobs.job_log import JobLog
    from airflow_sm_pipelines.engine.jobs.job_spec import JobContext

_POLL_SECONDS = 0.05
_GRACE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a container answered.

    :param status: an HTTP status; 200 is a success.
    :param container: its name, as the service's errors have it.
    """

    status: int
    body: bytes
    content_type: str | None
    container: str


class ServedModel:
    """The running containers of one model. Several threads may invoke it; one thread starts and closes it.

    :param definitions: of its containers, as in a ``CreateModel`` request, in the order of the payloads.
    :param directory: for its files.
    :param is_offline: the ``EnableNetworkIsolation`` of the model.
    """

    def __init__(
        self,
        definitions: Sequence[Mapping[str, Any]],
        context: JobContext,
        log: JobLog,
        *,
        directory: Path,
        is_offline: bool,
    ) -> None:
        self._definitions, self._context, self._log = definitions, context, log
        self._directory, self._is_offline = directory, is_offline
        self._servers: list[ModelServer] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sm-endpoint", daemon=True)
        self._end: InstancesEnd | None = None
        self._fault: str | None = None

    def start(self, is_over: Callable[[], bool]) -> None:
        """Start the containers, and wait until all have loaded the model.

        :param is_over: whether to wait no longer, since nobody wants the model any more.
        :raises JobFailure: one cannot be made, or ended meanwhile.
        :raises SageMakerPipelinesError: its image or its artifacts are at fault.
        :raises OSError: this machine refuses.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        for number, definition in enumerate(self._definitions, start=1):
            self._servers.append(
                plan_server(
                    definition,
                    self._context,
                    self._log,
                    directory=self._directory,
                    host=f"container-{number}",
                    channel=SOCKET,
                    variables={},
                    overrides={},
                    is_offline=self._is_offline,
                )
            )
        self._thread.start()
        for server in self._servers:
            while not _listens(server):
                if not self._thread.is_alive():
                    raise JobFailure(self.explain_end())
                if is_over():
                    return
                time.sleep(_POLL_SECONDS)

    @property
    def has_started(self) -> bool:
        """Whether its containers were made, and their programs started."""
        return self._thread.ident is not None

    @property
    def is_alive(self) -> bool:
        """Whether the containers run."""
        return self._thread.is_alive()

    def invoke(
        self, body: bytes, *, content_type: str | None, accept: str | None, timeout_seconds: float
    ) -> ModelAnswer:
        """Send a payload through all containers; the first answer that is no success is the answer.

        :raises TimeoutError: a container takes longer.
        :raises OSError: a container is gone.
        """
        for number, server in enumerate(self._servers, start=1):
            answer = self._ask(server, number, body, content_type, accept, timeout_seconds)
            if answer.status != 200:
                break
            body, content_type = answer.body, answer.content_type or content_type
        return answer

    def _ask(
        self,
        server: ModelServer,
        number: int,
        body: bytes,
        content_type: str | None,
        accept: str | None,
        timeout_seconds: float,
    ) -> ModelAnswer:
        given = self._definitions[number - 1].get("ContainerHostname")
        name = given or ("primary" if len(self._servers) == 1 else f"container-{number}")
        with _connect(server, timeout_seconds) as stream:
            head = {"content_type": content_type, "accept": accept, "size": len(body)}
            stream.write(json.dumps(head).encode() + b"\n" + body)
            stream.flush()
            line = stream.readline()
            if not line:
                raise ConnectionResetError("the container ended")
            answered = json.loads(line)
            return ModelAnswer(answered["status"], stream.read(answered["size"]), answered["content_type"], name)

    def explain_end(self) -> str:
        """Why the containers have ended; call it after that."""
        if self._fault:
            return self._fault
        if self._end is None or self._end.failure is None:
            return "The containers of the model have ended."
        host, failed = self._end.failure
        server = next(one for one in self._servers if one.container.host == host)
        return server.container.read_text("/opt/ml/output/failure", MAX_REASON_CHARACTERS) or explain_failure(
            server.argv, failed, host=None, log_tail=self._log.tail, isolation=self._context.isolation
        )

    def close(self) -> None:
        """End the containers."""
        self._stop.set()
        if self.has_started:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._end = run_instances(
                [server.plan(self._context) for server in self._servers],
                self._log,
                stop=self._stop,
                max_runtime_seconds=None,
                grace_seconds=_GRACE_SECONDS,
                check_disk=self._context.check_disk,
            )
        except JobFailure as failure:
            self._fault = str(failure)
        except OSError as error:
            self._fault = f"InternalServerError: this machine refused: {error}"


def _listens(server: ModelServer) -> bool:
    try:
        with _connect(server, 10):
            return True
    except OSError:
        return False


@contextmanager
def _connect(server: ModelServer, timeout_seconds: float) -> Iterator[BufferedRWPair]:
    path = server.container.path_of(SOCKET[0])
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_seconds)
        if sys.platform == "linux":
            # The address of a socket holds some hundred bytes, and a path may be longer.
            folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
            try:
                connection.connect(f"/proc/self/fd/{folder}/{path.name}")
            finally:
                os.close(folder)
        else:
            connection.connect(str(path))
        with connection.makefile("rwb") as stream:
            yield stream
