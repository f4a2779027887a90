"""No process of a job outlives it, its stop, or the engine itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.engine.jobs import Isolation, IsolationMode
from airflow_sm_pipelines.engine.jobs.process import Launcher, LaunchPlan

if TYPE_CHECKING:
    from collections.abc import Callable

# Leaves a process behind that has its own session, ignores SIGTERM and has lost its parent.
DAEMON = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(sys.argv[1], 'w').write('up')
        while True:
            time.sleep(1)
    os._exit(0)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
time.sleep(float(sys.argv[2]))
"""

ENGINE = """
import sys, pathlib, time
from airflow_sm_pipelines.engine.jobs.process import Launcher, LaunchPlan
plan = LaunchPlan(argv=(sys.executable, '-c', sys.argv[1], sys.argv[2], '600'), env={}, cwd='/',
                  new_mounts=sys.argv[4] == '1', new_user=sys.argv[5] == '1', new_pids=sys.argv[4] == '1')
launcher = Launcher()
process = launcher.start(plan, pathlib.Path(sys.argv[3]))
time.sleep(600)
"""


def living(marker: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if marker in (entry / "cmdline").read_bytes().decode(errors="replace"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def launchers_of(parent: int) -> list[int]:
    """The processes that a process has for starting jobs."""
    found = []
    for pid in living("launcher.py"):
        with suppress(OSError):  # it has ended meanwhile
            if int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(pid)
    return found


def wait_until(is_met: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not is_met() and time.monotonic() < deadline:
        time.sleep(0.02)
    return is_met()


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@pytest.fixture(params=["best", "plain"])
def plan_options(request: pytest.FixtureRequest, isolation: Isolation) -> dict[str, bool]:
    if request.param == "plain":
        return {"new_mounts": False, "new_user": False, "new_pids": False}
    if isolation.mode is not IsolationMode.NAMESPACES:
        pytest.skip(isolation.sentence)
    return {"new_mounts": True, "new_user": isolation.new_user, "new_pids": True}


def test_a_daemon_ends_with_the_program_that_left_it(tmp_path: Path, plan_options: dict[str, bool]) -> None:
    marker = str(tmp_path / "up")
    plan = LaunchPlan(argv=(sys.executable, "-c", DAEMON, marker, "0"), env={}, cwd="/", **plan_options)
    process = Launcher().start(plan, tmp_path / "launch.json")
    end = process.wait(20)
    process.close()
    assert end is not None
    assert end.is_success
    assert Path(marker).read_text() == "up"
    assert wait_until(lambda: living(marker) == []), living(marker)


def test_closing_kills_a_program_and_its_daemon(tmp_path: Path, plan_options: dict[str, bool]) -> None:
    marker = str(tmp_path / "up")
    plan = LaunchPlan(argv=(sys.executable, "-c", DAEMON, marker, "600"), env={}, cwd="/", **plan_options)
    process = Launcher().start(plan, tmp_path / "launch.json")
    assert wait_until(Path(marker).exists)
    process.close()
    assert wait_until(lambda: living(marker) == []), living(marker)


def test_nothing_is_left_when_the_engine_is_killed(tmp_path: Path, plan_options: dict[str, bool]) -> None:
    marker = str(tmp_path / "up")
    flags = [str(int(plan_options[name])) for name in ("new_pids", "new_user")]
    engine = subprocess.Popen([sys.executable, "-c", ENGINE, DAEMON, marker, str(tmp_path / "launch.json"), *flags])
    try:
        assert wait_until(Path(marker).exists)
        assert len(living(marker)) >= 3
        (launcher,) = launchers_of(engine.pid)
    finally:
        engine.send_signal(signal.SIGKILL)
        engine.wait(10)
    assert wait_until(lambda: living(marker) == []), living(marker)
    assert wait_until(lambda: launcher not in living("launcher.py"))


def test_a_launcher_that_somebody_kills_takes_no_job_with_it_and_is_replaced(tmp_path: Path) -> None:
    launcher = Launcher()
    before = launchers_of(os.getpid())
    waits = LaunchPlan(argv=("/bin/sleep", "600"), env={}, cwd="/")
    runs = launcher.start(waits, tmp_path / "first.json")
    (first,) = set(launchers_of(os.getpid())) - set(before)
    os.kill(first, signal.SIGKILL)
    assert wait_until(lambda: first not in living("launcher.py"))
    fails = launcher.start(LaunchPlan(argv=("/bin/sh", "-c", "exit 3"), env={}, cwd="/"), tmp_path / "second.json")
    runs.request_stop()
    ends = [process.wait(20) for process in (runs, fails)]
    for process in (runs, fails):
        process.close()
    launcher.close()
    assert [end and (end.signal_number, end.exit_code) for end in ends] == [(signal.SIGTERM, None), (None, 3)]
    assert launchers_of(os.getpid()) == before


def test_a_job_has_a_container_s_umask_whatever_the_endpoint_s_is(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        launcher = Launcher()
        process = launcher.start(LaunchPlan(argv=("/bin/sh", "-c", "umask"), env={}, cwd="/"), tmp_path / "spec.json")
        assert process.wait(20) is not None
        assert os.read(process.output_fd, 100).strip() == b"0022"
        process.close()
        launcher.close()
    finally:
        os.umask(before)


def test_the_launcher_that_waits_for_the_next_job_is_replaced_and_ends_with_the_others(
    isolation: Isolation, tmp_path: Path
) -> None:
    launcher = Launcher()
    before = launchers_of(os.getpid())
    has_pids = isolation.mode is IsolationMode.NAMESPACES
    own = LaunchPlan(
        argv=("sh", "-c", "exit $CODE"),
        env={"CODE": "4", "PATH": "/missing:/usr/bin:/bin"},
        cwd="/",
        new_mounts=has_pids,
        new_user=isolation.new_user and has_pids,
        new_pids=has_pids,
    )

    def run(plan: LaunchPlan) -> object:
        process = launcher.start(plan, tmp_path / "spec.json")
        end = process.wait(20)
        process.close()
        return end and (end.exit_code, end.error)

    assert run(own) == (4, None)
    (control,) = set(launchers_of(os.getpid())) - set(before)
    assert wait_until(lambda: len(launchers_of(control)) == 1)
    (waiting,) = launchers_of(control)
    inner = launchers_of(waiting)
    os.kill(waiting, signal.SIGKILL)
    assert wait_until(lambda: waiting not in living("launcher.py"))
    assert run(own) == (4, None)
    # A job of other namespaces does not get the one that waits.
    assert run(LaunchPlan(argv=("/bin/sh", "-c", "exit 6"), env={}, cwd="/")) == (6, None)
    assert run(LaunchPlan(argv=("none",), env={"PATH": "/bin"}, cwd="/")) == (
        None,
        "'none' could not be started: No such file or directory",
    )
    left = {
        control,
        *inner,
        *launchers_of(control),
        *(pid for one in launchers_of(control) for pid in launchers_of(one)),
    }
    launcher.close()
    assert wait_until(lambda: not left & set(living("launcher.py")))
