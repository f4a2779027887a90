"""A command that runs beside an endpoint, and ends when it is to end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_sm_pipelines.cli import local_session
from airflow_sm_pipelines.cli.local_session import run_command
from tests.durability.whole_server import wait_for

DEAF = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.kill(int(sys.argv[1]), signal.SIGTERM)
time.sleep(60)
"""


def test_a_command_that_ignores_sigterm_is_killed_after_the_grace_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_session, "_GRACE_SECONDS", 0.2)
    assert run_command([sys.executable, "-c", DEAF, str(os.getpid())], dict(os.environ)) == 137


def test_a_signal_for_a_command_that_has_just_ended_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended:
        """A guardian that has ended when the signal comes, and is not waited for yet."""

        def __init__(self, command: list[str], **options: object) -> None:
            assert command[-1] == "true"

        def wait(self) -> int:
            signal.raise_signal(signal.SIGTERM)
            return 5

        def poll(self) -> int:
            return 5

    monkeypatch.setattr(local_session, "_GRACE_SECONDS", 0)
    monkeypatch.setattr(subprocess, "Popen", Ended)
    assert run_command(["true"], dict(os.environ)) == 5


# A process that has its own session, ignores SIGTERM and has lost its parent; and one that is a plain child.
FAMILY = """
import os, signal, subprocess, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    os._exit(0)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]])
os.wait()
print("up", flush=True)
time.sleep(600)
"""


def living(mark: str) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes():
                found.add(int(entry.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("victim", ["the command of ours", "its guardian"])
def test_kill_9_of_local_exec_ends_all_that_its_command_started(tmp_path: Path, victim: str) -> None:
    mark = str(tmp_path / "mark")
    command = [sys.executable, "-c", FAMILY, mark]
    code = f"import os; from {local_session.__name__} import run_command; run_command({command}, dict(os.environ))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        # This process of ours, the guardian, the command, the orphan and the child.
        wait_for(lambda: len(living(mark)) == 5, "all of them show their names")
        (guardian,) = living(str(local_session._GUARDIAN)) & living(mark)
        os.kill(process.pid if victim == "the command of ours" else guardian, signal.SIGKILL)
        if victim == "its guardian":
            assert process.wait(30) == 0
        else:
            wait_for(lambda: living(mark) == set(), "all of them end")
    for pid in living(mark):
        os.kill(pid, signal.SIGKILL)


def test_a_command_that_ends_leaves_its_processes_as_in_a_shell(tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    code = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]])"
    )
    assert run_command([sys.executable, "-c", code, mark], dict(os.environ)) == 0
    (left,) = living(mark)
    os.kill(left, signal.SIGKILL)
