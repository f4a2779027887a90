"""What a run did: its calls and waits in order, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One call or wait.

    :param state: the machine's state that it belongs to.
    :param what: ``wait``, ``callback``, ``step Training``, or the service and the operation: ``sqs send_message``.
    :param given: the request in its normal form, or the seconds.
    :param place: of the machine: the branches and items that it is in, outer before inner, as ``3/0`` for the first of
        those that belong together under the number 3.
    :param task: of the DAG: the task or step that did it.
    """

    state: str
    what: str
    given: Any
    place: tuple[str, ...] = ()
    is_failure: bool = False
    task: str = ""


@dataclass(slots=True)
class Trace:
    """One run.

    :param end: ``success`` or ``failed``.
    :param error: the name of the error that it ended with, as far as the machine has one.
    :param reason: why it failed.
    :param entered: of the machine: each state that was entered, with the one before it.
    """

    events: list[Event]
    end: str
    error: str = ""
    reason: str = ""
    entered: list[tuple[str | None, str]] = field(default_factory=list)
