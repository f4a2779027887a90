"""The probe, and what a job in a private file system sees of the rest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_sm_pipelines.engine.jobs import Isolation, IsolationMode
from airflow_sm_pipelines.engine.jobs.process import Launcher, LaunchPlan


def run_shell(script: str, isolation: Isolation, directory: Path, *, keep: tuple[str, ...] = ()) -> int | None:
    for name in ("opt-ml", "tmp", "result"):
        (directory / name).mkdir(exist_ok=True)
    plan = LaunchPlan(
        argv=("/bin/sh", "-c", script, "sh", str(directory / "result")),
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
        new_mounts=True,
        new_user=isolation.new_user,
        new_pids=isolation.mode is IsolationMode.NAMESPACES,
        mounts=((str(directory / "opt-ml"), "/opt/ml"), (str(directory / "tmp"), "/tmp")),
        keep=(str(directory / "result"), *keep),
    )
    process = Launcher().start(plan, directory / "launch.json")
    try:
        end = process.wait(20)
    finally:
        process.close()
    return end.exit_code if end else None


@pytest.fixture
def needs_mounts(isolation: Isolation) -> None:
    if not isolation.has_private_opt_ml:
        pytest.skip(isolation.sentence)


def test_the_probe_chooses_a_mode_and_says_so(isolation: Isolation) -> None:
    assert isolation.mode in IsolationMode
    assert "/opt/ml" in isolation.sentence


@pytest.mark.usefixtures("needs_mounts")
def test_opt_ml_and_tmp_are_private_and_the_rest_of_opt_stays(isolation: Isolation, tmp_path: Path) -> None:
    before = sorted(path.name for path in Path("/opt").iterdir())
    code = run_shell(
        'ls /opt > "$1/opt"; id -u > "$1/uid"; echo model > /opt/ml/file; echo x > /tmp/private-file',
        isolation,
        tmp_path,
    )
    assert code == 0
    assert (tmp_path / "result" / "opt").read_text().split() == sorted({*before, "ml"})
    assert (tmp_path / "opt-ml" / "file").read_text() == "model\n"
    assert not Path("/tmp/private-file").exists()
    assert int((tmp_path / "result" / "uid").read_text()) == os.getuid()
    assert sorted(path.name for path in Path("/opt").iterdir()) == before


@pytest.mark.usefixtures("needs_mounts")
def test_two_jobs_at_once_do_not_see_each_others_files(isolation: Isolation, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert run_shell("test ! -e /opt/ml/file && echo x > /opt/ml/file", isolation, tmp_path / name) == 0


@pytest.mark.usefixtures("needs_mounts")
def test_processes_of_the_machine_are_out_of_sight(isolation: Isolation, tmp_path: Path) -> None:
    if isolation.mode is not IsolationMode.NAMESPACES:
        pytest.skip(isolation.sentence)
    assert run_shell('ls /proc | grep -c "^[0-9]" > "$1/count"', isolation, tmp_path) == 0
    assert int((tmp_path / "result" / "count").read_text()) < 8


def test_a_program_that_is_not_there_is_an_error_and_no_exit_code(tmp_path: Path) -> None:
    plan = LaunchPlan(argv=("no-such-program",), env={"PATH": "/usr/bin"}, cwd="/")
    process = Launcher().start(plan, tmp_path / "launch.json")
    end = process.wait(20)
    process.close()
    assert end is not None
    assert end.error == "'no-such-program' could not be started: No such file or directory"
    assert not end.is_success


@pytest.mark.usefixtures("needs_mounts")
def test_a_directory_that_cannot_be_mounted_is_an_error(isolation: Isolation, tmp_path: Path) -> None:
    plan = LaunchPlan(
        argv=("true",), env={}, cwd="/", new_mounts=True, new_user=isolation.new_user, mounts=(("/no/such", "/opt/ml"),)
    )
    process = Launcher().start(plan, tmp_path / "launch.json")
    end = process.wait(20)
    process.close()
    assert end is not None
    assert end.error is not None
    assert end.error.startswith("The job's private file system could not be made: [Errno 2]")


PROBE_WHERE_NOTHING_IS_ALLOWED = """
echo 0 > /proc/sys/user/max_user_namespaces && echo 0 > /proc/sys/user/max_mnt_namespaces || exit 9
exec "$0" -c "
from airflow_sm_pipelines.engine.jobs import probe_isolation
isolation = probe_isolation()
print(isolation.mode.value, isolation.sentence)
"
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs util-linux to make a place where namespaces are refused")
def test_where_namespaces_are_refused_the_probe_says_what_is_lost_and_how_to_get_it() -> None:
    # These limits belong to the user namespace that unshare makes, not to the machine.
    command = ["unshare", "-Ur", "sh", "-c", PROBE_WHERE_NOTHING_IS_ALLOWED, sys.executable]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if answer.returncode == 9 or "unshare failed" in answer.stderr:
        pytest.skip("this machine refuses user namespaces already")
    mode, _, sentence = answer.stdout.partition(" ")
    assert mode == "paths", answer
    assert "No space left on device" in sentence
    assert "kernel.apparmor_restrict_unprivileged_userns=0" in sentence
