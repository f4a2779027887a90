"""The commands about the local endpoint: ``local exec`` and ``local serve``."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.terminal_log import show_log_lines
from airflow_sm_pipelines.exceptions import LocalEndpointError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

    from airflow_sm_pipelines.server import RunningServer

_NOT_EXECUTABLE = 126
_NOT_FOUND = 127
_GRACE_SECONDS = 10.0

_EXPORTED = (
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AIRFLOW_CONN_AWS_DEFAULT",
    "SM_PIPELINES_ENDPOINT",
    "SM_PIPELINES_CONSOLE_URL",
)


def default_state_dir(env: Mapping[str, str]) -> Path:
    """Where a local endpoint keeps its state unless told otherwise: one place for all directories of a user."""
    if given := env.get("SM_PIPELINES_STATE_DIR"):
        return Path(given)
    base = env.get("XDG_STATE_HOME") or ""
    # The XDG specification: a relative path is to be ignored.
    root = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return root / "airflow-sm-pipelines" / "local"


def run_exec(arguments: argparse.Namespace) -> int:
    """Run a command against an endpoint of its own, and give the command's exit code."""
    command = list(arguments.command)
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        raise LocalEndpointError(
            "No command to run. Write it after two dashes: sm-pipelines local exec -- airflow dags test train_model"
        )
    if shutil.which(command[0]) is None:
        return _refuse(command[0])
    with announced_endpoint(arguments) as server:
        if not arguments.progress:
            return run_command(command, server.environment())
        from airflow_sm_pipelines.cli.local_progress import shown_progress

        with shown_progress(server) as streams:
            return run_command(command, server.environment(), **streams)


def run_serve(arguments: argparse.Namespace) -> int:
    """Keep an endpoint running until a signal ends it."""
    show_log_lines()
    stop = threading.Event()
    with _endpoint(arguments) as server, _handled(lambda _: stop.set(), signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        environment = server.environment()
        exports = [f"  export {name}={environment[name]}" for name in _EXPORTED if name in environment]
        print(
            f"Local SageMaker endpoint: {server.endpoint_url} (region {server.region}, account {server.account_id})",
            f"Pages: {server.console_url}",
            f"State: {server.state_dir}",
            server.isolation,
            "Point a shell to it:",
            *exports,
            "Stop it with Ctrl-C.",
            sep="\n",
            flush=True,
        )
        stop.wait()
        print("Stopping; what is running goes on at the next start.", flush=True)
    return 0


@contextlib.contextmanager
def announced_endpoint(arguments: argparse.Namespace) -> Iterator[RunningServer]:
    """An endpoint for one command, with a line on standard error that says where it is, unless that is unwanted."""
    with _endpoint(arguments) as server:
        if not arguments.quiet:
            print(
                f"sm-pipelines: local endpoint {server.endpoint_url}, pages at {server.console_url}, "
                f"state in {server.state_dir}",
                file=sys.stderr,
                flush=True,
            )
        yield server


@contextlib.contextmanager
def _endpoint(arguments: argparse.Namespace) -> Iterator[RunningServer]:
    try:
        from airflow_sm_pipelines.server import serve
    except ImportError as error:
        raise _missing_extra(error) from None
    with contextlib.ExitStack() as closing:
        if arguments.ephemeral:
            directory = closing.enter_context(tempfile.TemporaryDirectory(prefix="sm-pipelines-"))
            state_dir = Path(directory) / "state"
        else:
            state_dir = arguments.state_dir or default_state_dir(os.environ)
        try:
            server = serve(state_dir, port=arguments.port, region=arguments.region)
        except ImportError as error:
            raise _missing_extra(error) from None
        closing.callback(server.close)
        yield server


def _missing_extra(error: ImportError) -> LocalEndpointError:
    return LocalEndpointError(
        f"The local endpoint needs packages that are not installed ({error}). "
        "Install them: pip install 'airflow-sm-pipelines[local]'"
    )


def run_command(command: list[str], environment: dict[str, str], **streams: Any) -> int:
    """Run the command in this terminal and process group, so that it may ask its user questions.

    :param streams: of ``subprocess.Popen``; this process's where not given.
    """
    child: subprocess.Popen[bytes] | None = None
    pending: list[int] = []

    def forward(number: int) -> None:
        if child is None:
            pending.append(number)
        elif number not in (signal.SIGINT, signal.SIGQUIT) or not _comes_from_terminal():
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)

    with _handled(forward, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        try:
            child = subprocess.Popen(command, env=environment, **streams)
        except OSError:
            return _refuse(command[0])
        for number in pending:
            child.send_signal(number)
        try:
            code = child.wait()
        finally:
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(_GRACE_SECONDS)
                except subprocess.TimeoutExpired:
                    child.kill()
    return code if code >= 0 else 128 - code


def _comes_from_terminal() -> bool:
    """Whether Ctrl-C reaches the command without us: the terminal sends it to the whole foreground group."""
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
def _handled(handle: Callable[[int], None], *numbers: signal.Signals) -> Iterator[None]:
    def handler(number: int, frame: FrameType | None) -> None:
        handle(number)

    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _refuse(name: str) -> int:
    """Say why a command cannot run; the exit codes are those of a shell."""
    path = Path(name)
    if os.sep in name and path.exists():
        reason = "is a directory" if path.is_dir() else "cannot be executed: is it marked as executable?"
        print(f"sm-pipelines: {name} {reason}", file=sys.stderr)
        return _NOT_EXECUTABLE
    where = "" if os.sep in name else " on the PATH; is its virtual environment active?"
    print(f"sm-pipelines: command not found: {name}{where and f' ({name} is not{where})'}", file=sys.stderr)
    return _NOT_FOUND
