"""Whether a queue's events can be relied on, so that executions need to be checked only rarely.

Events are relied on once one has come for an execution for which a task waits, and no longer once an execution has
ended without its event. Pure: no call, no clock, no thread.
"""

from __future__ import annotations

from collections import OrderedDict
from math import inf

GRACE_SECONDS = 60.0
"""How much later than a check the event may come that says the same; EventBridge takes a second or two."""

MAX_PROOFS = 32
"""The most events that must come before events are relied on again."""

_MAX_REMEMBERED = 10_000


class EventReliability:
    """The reliability of one queue's events.

    :ivar is_proven: whether events are relied on now.
    """

    def __init__(self) -> None:
        self.is_proven = False
        self._needed = 1
        self._proofs = 0
        self._recent: OrderedDict[str, bool] = OrderedDict()
        self._unannounced: dict[str, float] = {}

    def record_event(self, arn: str, *, is_end: bool, is_awaited: bool) -> bool:
        """Note an event.

        :param is_end: whether it says that the execution has ended.
        :param is_awaited: whether a task waits for that execution.
        :return: whether events are relied on from now on, and were not before.
        """
        was_overtaken = is_end and self._unannounced.pop(arn, None) is not None
        self._recent[arn] = self._recent.pop(arn, False) or is_end
        if len(self._recent) > _MAX_REMEMBERED:
            self._recent.popitem(last=False)
        return self._record_proof() if is_awaited or was_overtaken else False

    def record_wait(self, arn: str) -> bool:
        """Note a wait; its execution's first events may have come before it.

        :return: as for :meth:`record_event`.
        """
        return self._record_proof() if arn in self._recent else False

    def record_end(self, arn: str, *, now: float) -> None:
        """Note that a check has found an execution ended which an earlier check had found running."""
        if not self._recent.get(arn, False):
            self._unannounced[arn] = now

    def take_missing(self, now: float) -> str | None:
        """An execution whose event has not come in time, if events are no longer relied on because of it; else None."""
        while self._unannounced:
            arn, seen = next(iter(self._unannounced.items()))
            if now < seen + GRACE_SECONDS:
                return None
            del self._unannounced[arn]
            if self.record_failure():
                return arn
        return None

    def record_failure(self) -> bool:
        """Rely on events no longer. Each time, twice as many events must come before they are relied on again.

        :return: whether they were relied on until now.
        """
        was_proven, self.is_proven, self._proofs = self.is_proven, False, 0
        if was_proven:
            self._needed = min(2 * self._needed, MAX_PROOFS)
        return was_proven

    def next_missing(self) -> float:
        """When :meth:`take_missing` may next give an execution; infinity for never."""
        return next(iter(self._unannounced.values())) + GRACE_SECONDS if self._unannounced else inf

    def _record_proof(self) -> bool:
        self._proofs += 1
        if self.is_proven or self._proofs < self._needed:
            return False
        self.is_proven = True
        return True
