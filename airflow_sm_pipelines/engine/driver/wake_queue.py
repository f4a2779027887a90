"""A queue of what to look at, now or after a delay."""

from __future__ import annotations

import heapq
import queue
import threading
import time


class WakeQueue:
    """Keys for one reader. A key that waits already is not put in a second time."""

    def __init__(self) -> None:
        self._keys: queue.Queue[str | None] = queue.Queue()
        self._waiting: set[str] = set()
        self._lock = threading.Lock()
        self._later: list[tuple[float, str]] = []
        self._due: dict[str, float] = {}

    def put(self, key: str) -> None:
        """Have a key read soon."""
        with self._lock:
            if key in self._waiting:
                return
            self._waiting.add(key)
        self._keys.put(key)

    def put_later(self, key: str, delay_seconds: float) -> None:
        """Have a key read after a delay. Only the reader may call this."""
        due = time.monotonic() + delay_seconds
        if self._due.get(key, due + 1) > due:
            self._due[key] = due
            heapq.heappush(self._later, (due, key))

    def close(self) -> None:
        """End the queue: the reader gets None."""
        self._keys.put(None)

    def get(self) -> str | None:
        """Wait for the next key and give it; None if the queue has ended."""
        while True:
            timeout = max(0.0, self._later[0][0] - time.monotonic()) if self._later else None
            try:
                key = self._keys.get(timeout=timeout)
            except queue.Empty:
                due, key = heapq.heappop(self._later)
                if self._due.get(key) == due:
                    del self._due[key]
                return key
            if key is not None:
                with self._lock:
                    self._waiting.discard(key)
            return key
