"""How many calls a watcher makes in a second: fewer when the service throttles, more again when it answers.

Pure: ``now`` is an argument, in seconds of any clock that only goes forward.
"""

from __future__ import annotations

MAX_CALLS_PER_SECOND = 20.0
MIN_CALLS_PER_SECOND = 0.2


class RateLimit:
    """The rate of one watcher's calls; a token bucket.

    :param max_rate: calls a second when nothing throttles.
    """

    def __init__(self, *, now: float, max_rate: float = MAX_CALLS_PER_SECOND) -> None:
        self._max_rate = max_rate
        self.rate = max_rate
        self._tokens = 1.0
        self._at = now

    def delay(self, now: float) -> float:
        """Seconds until the next call may be made; 0 if it may be made now."""
        self._refill(now)
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / self.rate

    def record_call(self, now: float) -> None:
        """Count a call."""
        self._refill(now)
        self._tokens -= 1

    def record_throttling(self, now: float) -> None:
        """Halve the rate: others share the account's limit, and they may be many."""
        self._refill(now)
        self.rate = max(self.rate / 2, MIN_CALLS_PER_SECOND)
        self._tokens = min(self._tokens, 0.0)

    def record_answer(self) -> None:
        """Raise the rate again, by a twentieth of the full rate for every twenty answers."""
        self.rate = min(self.rate + self._max_rate / 400, self._max_rate)

    def _refill(self, now: float) -> None:
        self._tokens = min(1.0, self._tokens + max(now - self._at, 0.0) * self.rate)
        self._at = now
