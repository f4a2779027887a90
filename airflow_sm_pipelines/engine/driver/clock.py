"""A clock that never goes back, so that the times of an engine are in the order in which things happened."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class SteadyClock:
    """Follows the clock of the machine, except when that is set back: then time goes on from where it was.

    If the machine's clock is set forward, this clock follows: a machine that slept has missed that time.

    :param read: gives the time of the machine, aware UTC.
    :param not_before: the latest time that was recorded before the engine started.
    :param monotonic: gives seconds that only grow.
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
