"""Runs the command of ``local exec``, and ends it and all it started when ``local exec`` dies.

It is run by path (``python -I -S guardian.py LIFELINE COMMAND ...``), uses only the standard library, and stays in the
process group and at the terminal of ``local exec``, so that the command may ask its user questions. ``LIFELINE`` is the
read end of a pipe: each byte is the number of a signal for the command, and its end kills the command with all its
descendants. On Linux that includes those that have lost their parents. A command that ends by itself may leave
processes behind, as in a shell.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time

TYPE_CHECKING = False  # a small process starts sooner
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_NOT_RUNNABLE = 126
_KILL_SECONDS = 10.0
_IS_LINUX = sys.platform == "linux"


def main(lifeline: int, command: list[str]) -> int:
    """Run the command to its end and give its exit code, as a shell would."""
    os.set_inheritable(lifeline, False)
    wake = _open_wake_pipe()
    child = _start(command)
    if child is None:
        return _NOT_RUNNABLE
    while (code := _reap(child)) is None:
        readable, _, _ = select.select([wake, lifeline], [], [])
        if wake in readable:
            os.read(wake, 4096)
        if lifeline in readable:
            numbers = os.read(lifeline, 64)
            if not numbers:
                _kill_all(child)
                return 128 + signal.SIGKILL
            for number in numbers:
                child.send_signal(number)
    return code if code >= 0 else 128 - code


def _open_wake_pipe() -> int:
    """The read end of a pipe into which each signal writes a byte.

    Ctrl-C and its like reach the command by themselves. What is ignored here would be ignored by the command, too.
    """
    wake_read, wake_write = os.pipe()
    for end in (wake_read, wake_write):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, _do_nothing)
    return wake_read


def _start(command: list[str]) -> subprocess.Popen[bytes] | None:
    if not _IS_LINUX:
        return _open(command)
    libc, me = ctypes.CDLL(None), os.getpid()
    libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)

    def die_with_guardian() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != me:
            os._exit(1)

    return _open(command, preexec_fn=die_with_guardian)


def _open(command: list[str], **options: Any) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(command, **options)
    except OSError as error:
        sys.stderr.write(f"sm-pipelines: {command[0]!r} cannot be executed: {error.strerror}\n")
        return None


def _do_nothing(number: int, frame: object) -> None:
    """Take a signal."""


def _reap(child: subprocess.Popen[bytes]) -> int | None:
    """Collect what has ended; give the exit code of the command, negative for a signal, if it has ended."""
    code = child.poll()
    while code is None and _IS_LINUX:
        # Orphans of the command become our children.
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return None
        if found is None or found.si_pid == child.pid:
            return child.poll()
        os.waitpid(found.si_pid, os.WNOHANG)
    return code


def _kill_all(child: subprocess.Popen[bytes]) -> None:
    """Kill the command and its descendants, again and again until none is left."""
    deadline = time.monotonic() + _KILL_SECONDS
    while time.monotonic() < deadline:
        left = list(_iter_descendants(os.getpid()))
        if not left:
            return
        for pid in left:
            try:  # noqa: SIM105 - a small process starts sooner
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        child.poll()
        time.sleep(0.01)


def _iter_descendants(pid: int) -> Iterator[int]:
    parents = dict(_read_parents())
    known = {pid}
    while found := {one for one, parent in parents.items() if parent in known} - known:
        known |= found
        yield from found


def _read_parents() -> Iterator[tuple[int, int]]:
    """Each living process with its parent, without zombies."""
    if not _IS_LINUX:
        me = os.getpid()
        with subprocess.Popen(["ps", "-axo", "pid=,ppid=,stat="], stdout=subprocess.PIPE, text=True) as listing:
            for line in listing.stdout or ():
                pid, parent, state = line.split()[:3]
                if not state.startswith("Z") and (int(parent) != me or int(pid) != listing.pid):
                    yield int(pid), int(parent)
        return
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib is slow to import
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                    state, parent = file.read().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state not in "ZX":
                yield int(name), int(parent)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
