"""Whether a queue's events can be relied on: the evidence for and against, and what follows.

Pure: no call, no clock, no thread. Nothing is relied on before it has worked: until an event of an execution that is
waited for has come, and after ends have come without theirs, executions are looked at as if there were no events.
"""

from __future__ import annotations

from collections import OrderedDict
from math import inf

GRACE_SECONDS = 60.0
"""How much later than a look an event may say what the look saw; EventBridge takes a second or two."""

MAX_PROOFS = 32
_MAX_REMEMBERED = 10_000


class EventTrust:
    """The trust in one queue's events.

    :ivar is_trusted: whether looks may be rare.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.is_trusted = False
        self._needed = 1
        self._proofs = 0
        self._recent: OrderedDict[str, bool] = OrderedDict()
        self._unannounced: dict[str, float] = {}

    def came(self, arn: str, *, is_end: bool, is_awaited: bool) -> bool:
        """Note an event.

        :param is_end: whether it says that the execution has ended.
        :param is_awaited: whether somebody waits for that execution.
        :return: whether events are trusted from now on, and were not before.
        """
        was_overtaken = is_end and self._unannounced.pop(arn, None) is not None
        self._recent[arn] = self._recent.pop(arn, False) or is_end
        if len(self._recent) > _MAX_REMEMBERED:
            self._recent.popitem(last=False)
        return self._proved() if is_awaited or was_overtaken else False

    def began(self, arn: str) -> bool:
        """Note a wait; its execution's first events may have come before it.

        :return: as for :meth:`came`.
        """
        return self._proved() if arn in self._recent else False

    def ended(self, arn: str, *, now: float) -> None:
        """Note that a look saw the end of an execution that an earlier look had seen running."""
        if not self._recent.get(arn, False):
            self._unannounced[arn] = now

    def overdue(self, now: float) -> str | None:
        """The execution whose event is missing, if trust is lost for that; None if nothing changes."""
        while self._unannounced:
            arn, seen = next(iter(self._unannounced.items()))
            if now < seen + GRACE_SECONDS:
                return None
            del self._unannounced[arn]
            if self.lost():
                return arn
        return None

    def lost(self) -> bool:
        """Trust no longer: each time, twice as many events must come before trust does.

        :return: whether there was any.
        """
        was_trusted, self.is_trusted, self._proofs = self.is_trusted, False, 0
        if was_trusted:
            self._needed = min(2 * self._needed, MAX_PROOFS)
        return was_trusted

    def next_overdue(self) -> float:
        """When :meth:`overdue` may next say something; infinity for never."""
        return next(iter(self._unannounced.values())) + GRACE_SECONDS if self._unannounced else inf

    def _proved(self) -> bool:
        self._proofs += 1
        if self.is_trusted or self._proofs < self._needed:
            return False
        self.is_trusted = True
        return True
