"""How fast calls may go: a token bucket that slows down when the service throttles, and recovers when it answers.

Pure: ``now`` is an argument, in seconds of any clock that only goes forward.
"""

from __future__ import annotations

MAX_CALLS_PER_SECOND = 20.0
MIN_CALLS_PER_SECOND = 0.2


class CallPace:
    """The rate of one watcher's calls.

    :param max_rate: calls a second when nothing throttles.
    """

    def __init__(self, *, now: float, max_rate: float = MAX_CALLS_PER_SECOND) -> None:
        """Begin at full rate, with one call to spare."""
        self._max_rate = max_rate
        self.rate = max_rate
        self._tokens = 1.0
        self._at = now

    def delay(self, now: float) -> float:
        """Seconds until a call may go; 0 when it may go now."""
        self._refill(now)
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / self.rate

    def take(self, now: float) -> None:
        """Count a call."""
        self._refill(now)
        self._tokens -= 1

    def throttled(self, now: float) -> None:
        """Halve the rate: the account's limit is shared with others, who may be many."""
        self._refill(now)
        self.rate = max(self.rate / 2, MIN_CALLS_PER_SECOND)
        self._tokens = min(self._tokens, 0.0)

    def answered(self) -> None:
        """Let the rate rise again, by a twentieth of the full rate for every twenty answers."""
        self.rate = min(self.rate + self._max_rate / 400, self._max_rate)

    def _refill(self, now: float) -> None:
        self._tokens = min(1.0, self._tokens + max(now - self._at, 0.0) * self.rate)
        self._at = now
