"""Runs one child process to its end: with a deadline, its output line by line, and no process left behind.

This module starts, reads and ends a child and its process group. It does not know what the child does.
"""

from __future__ import annotations

import codecs
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.printable_text import clean_log_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_TAIL_LINES = 60
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class ChildOutcome:
    """How a child ended.

    :param exit_code: negative for a signal.
    :param is_timed_out: whether it was ended because it took too long.
    :param tail: its last output lines.
    """

    exit_code: int
    is_timed_out: bool
    tail: tuple[str, ...]


def run_child(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout_seconds: float,
    grace_seconds: float = 5,
    log: Callable[[str], None],
) -> ChildOutcome:
    """Run a command in a process group of its own and wait for its end.

    If it takes too long, or the caller is interrupted, the whole group gets SIGTERM and, after ``grace_seconds``,
    SIGKILL. Processes that the child leaves in its group are ended, too.

    :param log: called with each output line as it comes, in the caller's thread.
    :raises OSError: the command could not be started.
    """
    deadline = time.monotonic() + timeout_seconds
    child = subprocess.Popen(
        list(command),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def report(line: str) -> None:
        tail.append(line)
        log(clean_log_text(line))

    try:
        is_timed_out = not _read_lines(child, deadline, report)
    finally:
        _end_group(child, grace_seconds)
        if child.stdout is not None:
            child.stdout.close()
    return ChildOutcome(child.returncode, is_timed_out, tuple(tail))


def _read_lines(child: subprocess.Popen[bytes], deadline: float, report: Callable[[str], None]) -> bool:
    """Report the child's lines until it ends.

    :return: False if the deadline comes first.
    """
    assert child.stdout is not None  # noqa: S101 - made with PIPE by run_child
    stream = child.stdout.fileno()
    os.set_blocking(stream, False)
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    pending = ""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            # A grandchild may keep the pipe open after the child has ended. The child's end counts, not the pipe's.
            is_ended = child.poll() is not None
            if selector.select(timeout=0 if is_ended else min(_POLL_SECONDS, remaining)):
                chunk = os.read(stream, 65536)
                *lines, pending = (pending + decoder.decode(chunk, final=not chunk)).split("\n")
                for line in lines:
                    report(line.rstrip("\r"))
                if chunk:
                    continue
                selector.unregister(stream)
                break
            if is_ended:
                break
    if pending:
        report(pending)
    with suppress(subprocess.TimeoutExpired):
        child.wait(max(0.0, deadline - time.monotonic()))
    return child.returncode is not None


def _end_group(child: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """End what is left of the child's process group: with SIGTERM first, then with SIGKILL."""
    if child.poll() is None:
        _signal_group(child.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(grace_seconds)
    _signal_group(child.pid, signal.SIGKILL)
    child.wait()


def _signal_group(group: int, signal_number: signal.Signals) -> None:
    # macOS answers EPERM if the whole group are zombies.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal_number)
