"""A local endpoint for a command, and a child process that is pointed to it; shared by the ``local`` commands."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.terminal import complain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

    from airflow_sm_pipelines.server import RunningServer

_GUARDIAN = Path(__file__).with_name("guardian.py")
_NOT_EXECUTABLE = 126
_NOT_FOUND = 127
_GRACE_SECONDS = 10.0
"""How long a command may go on after it was told to end."""


def default_state_dir(env: Mapping[str, str]) -> Path:
    """Where a local endpoint keeps its state by default: one folder for all projects of a user."""
    if given := env.get("SM_PIPELINES_STATE_DIR"):
        return Path(given)
    base = env.get("XDG_STATE_HOME") or ""
    # The XDG specification: a relative path is to be ignored.
    root = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return root / "airflow-sm-pipelines" / "local"


def find_state_dir(arguments: argparse.Namespace) -> Path:
    """The state directory that ``--state-dir`` names, else the default one; absolute."""
    return Path(arguments.state_dir or default_state_dir(os.environ)).absolute()


@contextlib.contextmanager
def announced_endpoint(arguments: argparse.Namespace) -> Iterator[RunningServer]:
    """An endpoint for one command. A line on standard error says where it is, unless ``--quiet`` is given."""
    with open_endpoint(arguments) as server:
        if not arguments.quiet:
            complain(
                f"sm-pipelines: local endpoint {server.endpoint_url}, pages at {server.console_url}, "
                f"state in {server.state_dir}"
            )
        yield server


@contextlib.contextmanager
def open_endpoint(arguments: argparse.Namespace) -> Iterator[RunningServer]:
    """An endpoint that answers inside the block, in the environment that has its packages.

    :raises LocalEndpointError: if it cannot start, or there is no environment for it.
    """
    from airflow_sm_pipelines.cli.local_environment import enter_local_environment
    from airflow_sm_pipelines.server import serve

    enter_local_environment(arguments)
    # What a start makes stays until the end: to look for garbage in it, then and later, would be for nothing.
    gc.disable()
    with contextlib.ExitStack() as closing:
        closing.callback(gc.enable)
        closing.callback(os.umask, os.umask(0o077))
        if arguments.ephemeral:
            directory = closing.enter_context(tempfile.TemporaryDirectory(prefix="sm-pipelines-"))
            state_dir = Path(directory) / "state"
        else:
            state_dir = arguments.state_dir or default_state_dir(os.environ)
        server = serve(
            state_dir,
            port=arguments.port,
            region=arguments.region,
            users=arguments.users,
            require_key=arguments.require_key,
            accept_any_key=arguments.accept_any_key,
        )
        closing.callback(server.close)
        gc.freeze()
        gc.enable()
        yield server


def read_umask() -> int:
    """The umask of this process; an endpoint's is stricter, and its command keeps this one."""
    found = os.umask(0o077)
    os.umask(found)
    return found


def run_command(command: list[str], environment: dict[str, str], **options: Any) -> int:
    """Run the command in this terminal and process group, so that it may ask its user questions; give its exit code.

    A guardian starts it, which ends it with all that it has started when this process dies, or when it does not heed
    SIGTERM.

    :param options: of ``subprocess.Popen``: streams, umask; this process's where not given.
    """
    if shutil.which(command[0], path=environment.get("PATH")) is None:
        return explain_not_runnable(command[0])
    guarded, lifeline = os.pipe()
    ends = {guarded, lifeline}

    def close(end: int) -> None:
        if end in ends:
            ends.discard(end)
            os.close(end)

    def forward(number: int) -> None:
        if number in (signal.SIGINT, signal.SIGQUIT) and _comes_from_terminal():
            return
        with contextlib.suppress(OSError):
            os.write(lifeline, bytes([number]))
        if number == signal.SIGTERM:
            # Whoever asks this process to end would otherwise wait for a command that does not listen.
            killer = threading.Timer(_GRACE_SECONDS, close, [lifeline])
            killer.daemon = True
            killer.start()

    with handled_signals(forward, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        try:
            guardian = [sys.executable, "-I", "-S", str(_GUARDIAN), str(guarded), *command]
            child = subprocess.Popen(guardian, env=environment, pass_fds=[guarded], **options)
            close(guarded)
            try:
                code = child.wait()
            finally:
                if child.poll() is None:
                    forward(signal.SIGTERM)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(_GRACE_SECONDS)
                    close(lifeline)
                    child.wait()
        finally:
            close(guarded)
            close(lifeline)
    return code if code >= 0 else 128 - code


def _comes_from_terminal() -> bool:
    """Whether Ctrl-C reaches the command without us: a terminal sends it to the whole foreground group."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


@contextlib.contextmanager
def handled_signals(handle: Callable[[int], None], *numbers: signal.Signals) -> Iterator[None]:
    """Call ``handle`` with a signal's number instead of ending, inside the block."""

    def handler(number: int, frame: FrameType | None) -> None:
        handle(number)

    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def explain_not_runnable(name: str) -> int:
    """Say why a command cannot run, and give the exit code that a shell would give."""
    path = Path(name)
    if os.sep in name and path.exists():
        reason = "is a directory" if path.is_dir() else "cannot be executed: is it marked as executable?"
        complain(f"sm-pipelines: {name} {reason}")
        return _NOT_EXECUTABLE
    where = "" if os.sep in name else " on the PATH; is its virtual environment active?"
    complain(f"sm-pipelines: command not found: {name}{where and f' ({name} is not{where})'}")
    return _NOT_FOUND
