"""The times at which steps start and end, in the order in which they do."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class StepTimes:
    """Gives times in milliseconds: a step that starts after another one has ended starts at a later one.

    On SageMaker a second lies between the two, and clients rely on it (aws/sagemaker-python-sdk, tests/integ,
    test_monitor_batch_transform_step). Here less than a millisecond may.

    :param now_ms: reads the clock.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._last_start = self._last_end = 0

    def start_ms(self) -> int:
        """When a step starts now."""
        with self._lock:
            self._last_start = max(self._now_ms(), self._last_end + 1)
            return self._last_start

    def end_ms(self) -> int:
        """When a step ends now; no earlier than any step has started."""
        with self._lock:
            self._last_end = max(self._now_ms(), self._last_start)
            return self._last_end
