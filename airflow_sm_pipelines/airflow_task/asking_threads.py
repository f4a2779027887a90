"""Threads of a triggerer from which Airflow may be asked: for a connection, for tasks' states, for XComs.

Airflow 3.1.0 to 3.1.8, 3.2.0 and 3.2.1 send a thread's question by asgiref's ``async_to_sync``, and the answer can be
read in the triggerer's event loop alone. In a thread that asgiref does not know, the question runs in a loop of its
own: its answer stays unread, and the next answer ends all triggers ("Response read out of order"). So each of our
threads is told of the loop. From 3.2.2 on, Airflow does that by itself. Delete this module when 3.3 is the oldest.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


async def run_in_thread(work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    """Run this in one of the loop's threads; it may ask Airflow.

    As with :func:`asyncio.to_thread`, work goes on when its awaiter is cancelled. asgiref's ``sync_to_async`` would
    break off a question between its two halves, which does the same harm.
    """
    return await asyncio.to_thread(let_ask(work), *args, **kwargs)


def let_ask(work: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The same work, which may ask Airflow in whichever thread it runs.

    Call this in the event loop, or in a thread whose work may ask. Elsewhere there is no loop to tell of.
    """
    from asgiref.sync import SyncToAsync

    loop: asyncio.AbstractEventLoop | None
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        loop = getattr(SyncToAsync.threadlocal, "main_event_loop", None)

    def work_with_loop(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        known = SyncToAsync.threadlocal
        former = {name: getattr(known, name, None) for name in ("main_event_loop", "main_event_loop_pid")}
        known.main_event_loop, known.main_event_loop_pid = loop, os.getpid()
        try:
            return work(*args, **kwargs)
        finally:
            vars(known).update(former)

    return work_with_loop


__all__ = ["let_ask", "run_in_thread"]
