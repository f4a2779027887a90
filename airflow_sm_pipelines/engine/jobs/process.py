"""The processes of jobs: the launcher starts them, and file descriptors watch and end them.

What belongs here: starting a process, stopping and killing it, and how it ended. What does not: what the job is for.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LAUNCHER = Path(__file__).with_name("launcher.py")
_LAUNCHER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """How the launcher is to start a program.

    :param argv: the program, which is looked up on the ``PATH`` of ``env``, and its arguments.
    :param env: the whole environment of the program.
    :param cwd: its working directory.
    :param new_mounts: give it a mount namespace with ``mounts``.
    :param new_user: make a user namespace first, so that no privilege is needed; the user stays the same.
    :param new_pids: give it process ids of its own, so that nothing it starts outlives it.
    :param new_net: give it a network of its own, with nothing but its loopback; a line in its output says where this
        machine cannot.
    :param mounts: pairs of a directory (or file) and the path where it appears.
    :param keep: paths that stay visible even if a mount would hide them.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    new_mounts: bool = False
    new_user: bool = False
    new_pids: bool = False
    new_net: bool = False
    mounts: tuple[tuple[str, str], ...] = ()
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """How a process ended: with an exit code, by a signal, or it was never started (``error``)."""

    exit_code: int | None = None
    signal_number: int | None = None
    error: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether it ran and ended with exit code 0."""
        return self.exit_code == 0 and self.error is None

    @property
    def text(self) -> str:
        """The same in words: ``ended with exit code 1``, ``was killed by SIGKILL``."""
        if self.error is not None:
            return self.error
        if self.signal_number is None:
            return f"ended with exit code {self.exit_code}"
        try:
            name = signal.Signals(self.signal_number).name
        except ValueError:
            name = f"signal {self.signal_number}"
        # The engine sends SIGKILL only after a stop, so here the kernel has sent it.
        hint = " (often the machine's memory was full)" if name == "SIGKILL" else ""
        return f"was killed by {name}{hint}"


class JobProcess:
    """A started process. It is not thread-safe: only the thread that runs the job uses it.

    :param launcher: the process id of its launcher.
    :param output_fd: the descriptor of its output, which must be read to its end.
    :param lifeline: the descriptor that takes orders for the launcher.
    :param status_fd: the descriptor of the launcher's report.
    """

    def __init__(self, launcher: int, *, output_fd: int, lifeline: int, status_fd: int) -> None:
        self._launcher = launcher
        self._lifeline = lifeline
        self.output_fd = output_fd
        self.status_fd = status_fd
        self.end: ProcessEnd | None = None
        self._is_alone = False

    def request_stop(self) -> None:
        """Ask the program to end as SageMaker does: send SIGTERM to its process group."""
        self._order(b"T")

    def kill(self) -> None:
        """Kill the program and everything it has started."""
        self._order(b"K")

    def read_status(self) -> None:
        """Read the launcher's report. Call it when ``status_fd`` is readable."""
        text = os.read(self.status_fd, 65536)
        if not text:
            self.end = ProcessEnd(error="The job's launcher ended unexpectedly.")
            return
        report = json.loads(text.splitlines()[0])
        self.end = ProcessEnd(report.get("exit"), report.get("signal"), report.get("error"))
        self._is_alone = bool(report.get("is_alone"))

    def wait(self, timeout_seconds: float) -> ProcessEnd | None:
        """Wait without reading output, for short programs that print little; None if the time is over."""
        if _wait_readable(self.status_fd, timeout_seconds):
            self.read_status()
        return self.end

    def close(self) -> None:
        """Kill what is left, and release everything. When the lifeline ends, the launcher kills all."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
            if not self._is_alone and not self._wait_for_launcher(_LAUNCHER_SECONDS):
                # Something still holds the status pipe, so the launcher's process id is still the launcher's.
                with suppress(ProcessLookupError):
                    os.kill(self._launcher, signal.SIGKILL)
                self._wait_for_launcher(_LAUNCHER_SECONDS)
            os.close(self.status_fd)
            os.close(self.output_fd)

    def _wait_for_launcher(self, timeout_seconds: float) -> bool:
        """Wait until nobody holds the other end of the status pipe; False if the time is over."""
        deadline = time.monotonic() + timeout_seconds
        while (left := deadline - time.monotonic()) > 0:
            if _wait_readable(self.status_fd, left) and not os.read(self.status_fd, 65536):
                return True
        return False

    def _order(self, order: bytes) -> None:
        with suppress(BrokenPipeError):  # it has just ended
            os.write(self._lifeline, order)


class Launcher:
    """The process that starts the processes of jobs. It starts with the first of them, and again if it has died.

    Several threads may use it. It ends with this object, or with this process, however that ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._end: Callable[[], object] | None = None

    def start(self, plan: LaunchPlan, spec_path: Path) -> JobProcess:
        """Start a program.

        :param spec_path: where to write the instructions for the launcher.
        :raises OSError: this machine refuses another process or file.
        """
        spec = {one.name: getattr(plan, one.name) for one in fields(plan)}
        spec_path.write_text(json.dumps({**spec, "env": dict(plan.env)}), encoding="utf-8")
        output_read, output_write = os.pipe()
        lifeline_read, lifeline_write = os.pipe()
        status_read, status_write = os.pipe()
        given = [output_write, lifeline_read, status_write]
        try:
            launcher = self._launch(spec_path, plan, given)
        except BaseException:
            for descriptor in (output_read, lifeline_write, status_read):
                os.close(descriptor)
            raise
        finally:
            for descriptor in given:
                os.close(descriptor)
        return JobProcess(launcher, output_fd=output_read, lifeline=lifeline_write, status_fd=status_read)

    def close(self) -> None:
        """End the process that starts others. What it has started goes on."""
        with self._lock:
            self._stop()

    def _launch(self, spec_path: Path, plan: LaunchPlan, descriptors: list[int]) -> int:
        namespaces = {"new_user": plan.new_user, "new_pids": plan.new_pids}
        message = json.dumps([str(spec_path), namespaces]).encode() + b"\n"
        with self._lock:
            try:
                control = self._control or self._start_process()
                socket.send_fds(control, [message], descriptors)
            except BrokenPipeError:
                # It has ended, so start another.
                self._stop()
                control = self._start_process()
                socket.send_fds(control, [message], descriptors)
            answer = b""
            while not answer.endswith(b"\n"):
                part = control.recv(4096)
                if not part:
                    self._stop()
                    raise OSError("the process that starts jobs has ended")
                answer += part
        found: dict[str, Any] = json.loads(answer)
        if "error" in found:
            raise OSError(f"no further process: {found['error']}")
        return int(found["pid"])

    def _start_process(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_LAUNCHER), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"LANG": "C.UTF-8"},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._control, self._end = ours, weakref.finalize(self, _end_process, process, ours)
        return ours

    def _stop(self) -> None:
        if self._end is not None:
            self._end()
        self._control = self._end = None


def _end_process(process: subprocess.Popen[bytes], control: socket.socket) -> None:
    control.close()
    try:
        process.wait(_LAUNCHER_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_readable(descriptor: int, timeout_seconds: float) -> bool:
    # select() refuses descriptors above 1023, which an engine with many connections has.
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(timeout_seconds))
