"""What can be made to go wrong with one API call, and the bookkeeping of which call it happens to. No sockets here."""

from __future__ import annotations

import threading
from dataclasses import dataclass

VICTIMS = ("task", "worker")


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault of one API operation.

    :param operation: the API operation, such as ``StartPipelineExecution``; ``*`` for any.
    :param moment: ``"before"`` the endpoint sees the call, ``"after"`` it has acted and before it has answered, or
        ``"mid-answer"``, when half of the answer's bytes have been sent.
    :param action: ``"kill"`` the caller with SIGKILL, ``"stall"`` it and its worker, ``"reset"`` its connection,
        ``"refuse"`` the call, ``"hold"`` the answer back, ``"garble"`` the answer, or deliver the call ``"twice"``.
    :param skip: calls to let through first.
    :param times: how many calls it happens to.
    :param is_lasting: whether it happens to every call until the script is told that it is over.
    :param victim: who is killed: the ``"task"`` process, or the ``"worker"`` with it.
    :param delay_seconds: how long an answer is held, or a process hangs; or how long after the call a kill comes.
    :param garbled: what a garbled answer is: the log-in page of a proxy (``"page"``), ``"empty"``, ``"half"`` of the
        answer, or an answer with ``"no members"``.
    :param message: of a refusal.
    """

    operation: str
    action: str
    moment: str = "before"
    skip: int = 0
    times: int = 1
    is_lasting: bool = False
    victim: str = "task"
    delay_seconds: float = 0.0
    code: str = "InternalFailure"
    http_status: int = 500
    garbled: str = "page"
    message: str = "by the fault proxy"


class Script:
    """The faults of one pipeline, in turn, and what has come of them.

    :ivar done: how many have happened.
    """

    def __init__(self, injections: tuple[Injection, ...] = ()) -> None:
        self.done = 0
        self._under_way = 0
        self._lock = threading.Lock()
        self._waiting = [[injection, injection.skip, injection.times] for injection in injections]

    @property
    def is_over(self) -> bool:
        """Whether every fault has happened."""
        with self._lock:
            return not self._waiting and not self._under_way

    def take(self, operation: str, *, is_task: bool) -> Injection | None:
        """What is to happen to this call; None for nothing.

        :param is_task: whether a task made it; the triggerer's calls are not for killing.
        """
        with self._lock:
            if not self._waiting:
                return None
            entry = self._waiting[0]
            injection: Injection = entry[0]  # type: ignore[assignment]
            if injection.operation not in ("*", operation) or (injection.action in ("kill", "stall") and not is_task):
                return None
            if entry[1]:  # type: ignore[truthy-bool]
                entry[1] -= 1  # type: ignore[operator]
                return None
            return injection

    def end(self) -> None:
        """Nothing more goes wrong."""
        with self._lock:
            self._waiting.clear()

    def add(self, injection: Injection) -> None:
        """One more fault, after those that wait."""
        with self._lock:
            self._waiting.append([injection, injection.skip, injection.times])

    def hold(self, injection: Injection) -> None:
        """Let calls through while a delayed kill is on its way."""
        with self._lock:
            if self._waiting and self._waiting[0][0] is injection:
                del self._waiting[0]
                self._under_way += 1

    def missed(self, injection: Injection) -> None:
        """A delayed kill found nobody: it is due again."""
        with self._lock:
            self._under_way -= 1
            self._waiting.insert(0, [injection, 0, 1])

    def happened(self, injection: Injection) -> None:
        """Count one; only now is the next fault due."""
        with self._lock:
            self.done += 1
            if injection.action in ("kill", "stall") and injection.delay_seconds:
                self._under_way -= 1
                return
            if self._waiting and self._waiting[0][0] is injection and not injection.is_lasting:
                self._waiting[0][2] -= 1  # type: ignore[operator]
                if self._waiting[0][2] == 0:
                    del self._waiting[0]
