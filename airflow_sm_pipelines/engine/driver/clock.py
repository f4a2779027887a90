"""A clock that never goes back: times of one engine are in the order in which things happened."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class SteadyClock:
    """The machine's clock, except that after it was set back, time goes on from where it was.

    Set forward, it is followed: a machine that slept has missed that time.

    :param read: the machine's clock, aware UTC.
    :param not_before: what was recorded before the engine started is not in its future.
    :param monotonic: seconds that only grow.
    """

    def __init__(
        self,
        read: Callable[[], datetime],
        *,
        not_before: datetime,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._last = not_before
        self._last_tick = monotonic()

    def __call__(self) -> datetime:
        """The present moment, aware UTC."""
        with self._lock:
            tick = self._monotonic()
            passed = max(0.0, tick - self._last_tick)
            found = self._read().astimezone(timezone.utc)
            self._last = found if found >= self._last else self._last + timedelta(seconds=passed)
            self._last_tick = tick
            return self._last
