"""A pytest plugin for other projects' tests: they ask again each second, and wait longer than they mean to.

It is loaded by its name in the interpreter of those tests, from this folder, so it imports nothing of ours.
"""

from __future__ import annotations

import time
from typing import Any

from botocore.waiter import SingleWaiterConfig

LONGEST_SECONDS = 1.0
"""How long a test sleeps at most before it asks again."""
PATIENCE = 4
"""How many times as long as it would on the service a test waits here, where jobs share a few processors."""

_sleep = time.sleep
_read_config = SingleWaiterConfig.__init__


def _sleep_less(seconds: float) -> None:
    _sleep(min(seconds, LONGEST_SECONDS))


def _ask_more_often(waiter: Any, single_waiter_config: dict[str, Any]) -> None:
    _read_config(waiter, single_waiter_config)
    waiter.max_attempts = int(PATIENCE * waiter.max_attempts * max(waiter.delay, LONGEST_SECONDS) / LONGEST_SECONDS)
    waiter.delay = min(waiter.delay, LONGEST_SECONDS)


def pytest_configure() -> None:
    """Shorten the sleeps of every module that imports the module `time`, and those of botocore's waiters."""
    time.sleep = _sleep_less
    SingleWaiterConfig.__init__ = _ask_more_often  # type: ignore[method-assign,assignment]
