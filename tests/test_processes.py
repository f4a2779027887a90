"""Running one child process to its end."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from airflow_sm_pipelines.processes import ChildOutcome, run_child


def run(script: str, *, timeout_seconds: float = 30, grace_seconds: float = 5) -> tuple[ChildOutcome, list[str]]:
    lines: list[str] = []
    outcome = run_child(
        [sys.executable, "-u", "-c", script],
        env=dict(os.environ),
        timeout_seconds=timeout_seconds,
        grace_seconds=grace_seconds,
        log=lines.append,
    )
    return outcome, lines


def test_lines_of_both_streams_reach_the_log_and_the_tail():
    outcome, lines = run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert outcome == ChildOutcome(3, False, ("out", "err"))
    assert lines == ["out", "err"]


def test_a_last_line_without_an_end_and_bytes_that_are_no_text_come_through():
    outcome, lines = run(r"import os; os.write(1, b'caf\xc3'); os.write(1, b'\xa9 \xff\r\nlast')")
    assert lines == ["café \ufffd", "last"]
    assert outcome.exit_code == 0


def test_a_child_that_says_very_much_is_not_held_up_and_its_tail_is_short():
    outcome, lines = run("for i in range(50_000): print('line', i)")
    assert len(lines) == 50_000
    assert outcome.tail[-1] == "line 49999"
    assert len(outcome.tail) < 100


def test_a_deadline_ends_a_child_that_will_not_listen():
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(600)"
    started = time.monotonic()
    outcome, lines = run(script, timeout_seconds=1, grace_seconds=0.3)
    assert outcome.is_timed_out
    assert outcome.exit_code == -9
    assert lines == ["up"]
    assert time.monotonic() - started < 20


def test_a_child_that_listens_may_clean_up(tmp_path: Path):
    mark = tmp_path / "cleaned"
    script = f"""
import signal, sys, time
from pathlib import Path

def stop(*_):
    Path({str(mark)!r}).touch()
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
time.sleep(600)
"""
    outcome, _ = run(script, timeout_seconds=1)
    assert outcome.is_timed_out
    assert mark.exists()


def test_a_grandchild_that_holds_the_pipe_open_does_not_hold_up_the_caller():
    script = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid)\n"
    )
    started = time.monotonic()
    outcome, lines = run(script)
    assert outcome.exit_code == 0
    assert time.monotonic() - started < 20
    deadline = time.monotonic() + 10
    while _is_running(int(lines[0])):
        assert time.monotonic() < deadline, "the grandchild was left behind"
        time.sleep(0.05)


def test_an_error_in_the_log_callback_ends_the_child():
    seen: list[int] = []

    def refuse(line: str) -> None:
        seen.append(int(line))
        raise RuntimeError("the log is gone")

    with pytest.raises(RuntimeError, match="the log is gone"):
        run_child(
            [sys.executable, "-u", "-c", "import os, time; print(os.getpid()); time.sleep(600)"],
            env=dict(os.environ),
            timeout_seconds=30,
            log=refuse,
        )
    assert not _is_running(seen[0])


def test_a_command_that_is_not_there_is_an_os_error():
    with pytest.raises(FileNotFoundError):
        run_child(["/nowhere/python"], env={}, timeout_seconds=1, log=print)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
