"""One job process: started through the launcher, watched by its file descriptors, ended by its lifeline.

Belongs here: starting, asking to stop, killing, and how it ended. Does not belong here: what the job is for.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """What the launcher is told.

    :param argv: the program, looked up on the ``PATH`` of ``env``, and its arguments.
    :param env: the whole environment of the program.
    :param cwd: its working directory.
    :param new_mounts: give it a mount namespace, and with it ``mounts``.
    :param new_user: make a user namespace first, so that no privilege is needed; the user stays the same.
    :param new_pids: give it process ids of its own, so that nothing it starts outlives it.
    :param mounts: pairs of a directory (or file) and the path it appears on.
    :param keep: paths that stay as they are even where a mount would hide them.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    new_mounts: bool = False
    new_user: bool = False
    new_pids: bool = False
    mounts: tuple[tuple[str, str], ...] = ()
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """How a process ended: by exit code, by signal, or never started (``error``)."""

    exit_code: int | None = None
    signal_number: int | None = None
    error: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether it ran and ended with exit code 0."""
        return self.exit_code == 0 and self.error is None

    def describe(self) -> str:
        """Say it in words: ``ended with exit code 1``, ``was killed by SIGKILL``."""
        if self.error is not None:
            return self.error
        if self.signal_number is None:
            return f"ended with exit code {self.exit_code}"
        try:
            name = signal.Signals(self.signal_number).name
        except ValueError:
            name = f"signal {self.signal_number}"
        # Nobody else here sends SIGKILL unasked.
        hint = " (often the machine's memory was full)" if name == "SIGKILL" else ""
        return f"was killed by {name}{hint}"


class JobProcess:
    """A started process. Not thread-safe: the thread that runs the job owns it."""

    def __init__(self, popen: subprocess.Popen[bytes], lifeline: int, status: int) -> None:
        self._popen = popen
        self._lifeline = lifeline
        self.status_fd = status
        self.output_fd = popen.stdout.fileno() if popen.stdout else -1
        self.end: ProcessEnd | None = None

    @classmethod
    def start(cls, plan: LaunchPlan, spec_path: Path) -> JobProcess:
        """Start a program; ``spec_path`` is where the launcher's instructions are written.

        :raises OSError: this machine refuses another process or file.
        """
        spec_path.write_text(json.dumps({**asdict(plan), "env": dict(plan.env)}), encoding="utf-8")
        lifeline_read, lifeline_write = os.pipe()
        status_read, status_write = os.pipe()
        try:
            command = [
                sys.executable,
                "-I",
                "-S",
                str(_LAUNCHER),
                str(spec_path),
                str(lifeline_read),
                str(status_write),
            ]
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={"LANG": "C.UTF-8"},
                pass_fds=(lifeline_read, status_write),
                start_new_session=True,
            )
        except BaseException:
            os.close(lifeline_write)
            os.close(status_read)
            raise
        finally:
            os.close(lifeline_read)
            os.close(status_write)
        return cls(popen, lifeline_write, status_read)

    def request_stop(self) -> None:
        """Ask the program to end, as SageMaker does: SIGTERM to its process group."""
        self._order(b"T")

    def kill(self) -> None:
        """End the program and all it has started, now."""
        self._order(b"K")

    def read_status(self) -> None:
        """Take the launcher's report; call it when ``status_fd`` is readable."""
        text = os.read(self.status_fd, 65536)
        if not text:
            code = self._popen.wait()
            self.end = ProcessEnd(error=f"The job's launcher ended unexpectedly (exit code {code}).")
            return
        report = json.loads(text.splitlines()[0])
        self.end = ProcessEnd(report.get("exit"), report.get("signal"), report.get("error"))

    def wait(self, timeout_seconds: float) -> ProcessEnd | None:
        """Wait without reading output: for short programs that print little. None when the time is over."""
        readable, _, _ = select.select([self.status_fd], [], [], timeout_seconds)
        if readable:
            self.read_status()
        return self.end

    def close(self) -> None:
        """Kill what is left and give everything back. The lifeline's end alone makes the launcher kill all."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
            os.close(self.status_fd)
            if self._popen.stdout:
                self._popen.stdout.close()
            deadline = time.monotonic() + 10
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(max(0.1, deadline - time.monotonic()))
            if self._popen.poll() is None:
                self._popen.kill()
                self._popen.wait()

    def _order(self, order: bytes) -> None:
        with suppress(BrokenPipeError):  # it has just ended
            os.write(self._lifeline, order)
