"""What survives: a killed engine, a stopped engine, a second engine, a damaged or unwritable directory."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine import Engine
from airflow_sm_pipelines.engine.store.database import MIGRATIONS
from airflow_sm_pipelines.exceptions import LocalEndpointError
from tests.engine import crash_child
from tests.engine.fake_world import Gate, World, definition_text, processing, run_until_stopped, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]


def run_and_kill(
    directory: Path, mode: str, *, when: Callable[[list[str]], bool], delay_seconds: float = 0
) -> list[str]:
    """Run an engine in a process, kill -9 it, and give the lines it had written."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.engine.crash_child", str(directory), mode],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    lines: list[str] = []
    try:
        while not when(lines):
            line = child.stdout.readline()
            assert line, "the engine's process ended by itself"
            lines.append(line)
        # Not a wait for something: the moment of death is what is being varied.
        time.sleep(delay_seconds)
    finally:
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
        child.wait(10)
        child.stdout.close()
    # The last line may be cut: the process died while it wrote.
    return lines + [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]


def check_nothing_is_lost(directory: Path, lines: list[str], *, kills: int = 1) -> None:
    """Every acknowledged execution is there, goes on, and ends as if nothing had happened."""
    world = World(directory)
    world.open()
    try:
        for line in lines:
            token, arn = line.split()
            assert world.finish(arn) == "Succeeded"
            turns = {"Turn-0", "Turn-1", "Turn-2"}
            assert world.statuses(arn) == dict.fromkeys({"A", "B", "Register", "Each", *turns}, "Succeeded")
            assert world.start(ClientRequestToken=token) == arn, "the token still means this execution"
        request = {"ModelPackageGroupName": "group", "MaxResults": 100}
        packages = 0
        for summary in list_executions(world):
            assert world.finish(summary["PipelineExecutionArn"]) == "Succeeded"
        while lines:
            answer = world.engine.call("ListModelPackages", request)
            packages += len(answer["ModelPackageSummaryList"])
            if "NextToken" not in answer:
                break
            request["NextToken"] = answer["NextToken"]
        # For each kill, one execution more than was acknowledged may have been recorded before its answer was written.
        executions = {line.split()[1] for line in lines}
        assert not lines or packages == len(list_executions(world))
        assert 0 <= len(list_executions(world)) - len(executions) <= kills
    finally:
        world.engine.stop()


def test_after_kill_9_a_running_job_runs_again_under_its_name_and_what_had_ended_does_not(tmp_path: Path) -> None:
    lines = run_and_kill(tmp_path, "hang", when=lambda lines: len(lines) == 1, delay_seconds=0.3)
    world = World(tmp_path)
    gate = Gate()
    world.behaviours["B"] = gate
    world.open()
    try:
        arn = lines[0].split()[1]
        assert gate.entered.wait(10)
        assert world.started == ["B"]
        before = world.steps(arn)["B"]
        assert before["AttemptCount"] == 2
        gate.opened.set()
        assert world.finish(arn) == "Succeeded"
        assert world.steps(arn)["B"]["Metadata"] == before["Metadata"]
    finally:
        world.engine.stop()


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_at_any_moment_loses_nothing_acknowledged(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    wanted = chance.randint(1, 40)
    lines = run_and_kill(
        tmp_path, "flood", when=lambda lines: len(lines) >= wanted, delay_seconds=chance.uniform(0, 0.05)
    )
    check_nothing_is_lost(tmp_path, lines)


def list_executions(world: World) -> list[dict[str, Any]]:
    """All executions of the pipeline, if there is one."""
    found: list[dict[str, Any]] = []
    if not world.engine.call("ListPipelines", {})["PipelineSummaries"]:
        return found
    request: dict[str, Any] = {"PipelineName": "demo", "MaxResults": 100}
    while True:
        answer = world.engine.call("ListPipelineExecutions", request)
        found += answer["PipelineExecutionSummaries"]
        if "NextToken" not in answer:
            return found
        request["NextToken"] = answer["NextToken"]


def fork_and_kill(directory: Path, *, life: int, seconds: float) -> list[str]:
    """Run an engine in a process forked from a server that has everything imported, kill -9 it after a while."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.engine.crash_child"])
    reader, writer = context.Pipe(duplex=False)
    child = context.Process(target=crash_child.send_lines, args=(str(directory), life, writer))
    child.start()
    writer.close()
    lines: list[str] = []
    assert reader.poll(60), "the engine's process began"
    assert reader.recv() == "begun"
    # The moment of death is what is being varied, from before the database is opened.
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and reader.poll(left):
        lines.append(reader.recv())
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join(10)
    with contextlib.suppress(EOFError, OSError):
        while True:
            lines.append(reader.recv())
    return lines


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_kill_9_at_a_hundred_random_moments_loses_nothing_acknowledged(tmp_path: Path) -> None:
    seed = int(os.environ.get("SM_PIPELINES_KILL_SEED", "7"))
    chance = random.Random(seed)
    kills = int(os.environ.get("SM_PIPELINES_KILLS", "100"))
    acknowledged = 0
    longest_life = 0.1  # seconds; more on a machine too busy to acknowledge anything in so short a time
    for directory in (tmp_path / str(number) for number in range(-(-kills // 10))):
        directory.mkdir()
        lines: dict[str, None] = {}
        for life in range(min(10, kills)):
            # From amid the opening of the database to amid a crowd of executions.
            seconds = chance.uniform(0.005, longest_life)
            lines.update(dict.fromkeys(fork_and_kill(directory, life=life, seconds=seconds)))
        if not lines:
            longest_life *= 3
        print(f"seed {seed}, {directory.name}: {len(lines)} executions")
        acknowledged += len(lines)
        check_nothing_is_lost(directory, list(lines), kills=10)
    assert acknowledged


def test_an_execution_goes_on_after_an_orderly_stop_of_the_engine(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.open()
    world.behaviours["A"] = run_until_stopped
    world.create([processing("A"), processing("B", depends_on=["A"])])
    arn = world.start()
    wait_until(lambda: world.started == ["A"])
    world.engine.stop()
    world.behaviours.clear()
    world.open()
    try:
        assert world.finish(arn) == "Succeeded"
        assert world.started == ["A", "A", "B"]
    finally:
        world.engine.stop()


def test_an_execution_that_was_being_stopped_is_stopped_after_the_restart(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.open()
    gate = Gate()
    # This job does not heed the stop, so the engine goes down while the execution is still Stopping.
    world.behaviours["A"] = lambda spec, context, stop: (gate.opened.wait(10), run_until_stopped(spec, context, stop))[
        1
    ]
    world.create([processing("A")])
    arn = world.start()
    wait_until(lambda: world.started == ["A"])
    world.engine.call("StopPipelineExecution", {"PipelineExecutionArn": arn})
    stopping = threading.Thread(target=world.engine.stop)
    stopping.start()
    gate.opened.set()
    stopping.join(10)
    world.open()
    try:
        assert world.finish(arn) == "Stopped"
        assert world.statuses(arn) == {"A": "Stopped"}
        assert world.started == ["A"]
    finally:
        world.engine.stop()


def test_an_execution_that_cannot_be_read_any_more_ends_with_the_reason_instead_of_hanging(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.open()
    world.behaviours["A"] = run_until_stopped
    world.create([processing("A")])
    arn = world.start()
    wait_until(lambda: world.started == ["A"])
    world.engine.stop()
    with sqlite3.connect(tmp_path / "state" / "engine.db") as connection:
        connection.execute("UPDATE versions SET definition = '{}'")
    connection.close()
    world.open()
    try:
        assert world.finish(arn) == "Failed"
        assert "DefinitionError" in world.describe(arn)["FailureReason"]
    finally:
        world.engine.stop()


def test_a_second_engine_on_the_same_directory_is_refused(world: World) -> None:
    with pytest.raises(LocalEndpointError, match="in use by another local endpoint"):
        Engine(world.directory / "state", world.services())


def test_a_directory_that_cannot_be_made_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalEndpointError, match="cannot be used"):
        Engine(tmp_path / "file" / "state", World(tmp_path).services())


def test_a_damaged_state_file_is_said_plainly_and_left_alone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "engine.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(LocalEndpointError, match="not a database"):
        Engine(state, World(tmp_path).services())
    assert (state / "engine.db").read_bytes().startswith(b"this is no database")


def test_state_of_the_first_schema_is_brought_to_the_newest(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with sqlite3.connect(state / "engine.db") as connection:
        connection.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
        connection.execute(
            "INSERT INTO pipelines (name, seq, arn, display_name, created_ms, modified_ms)"
            " VALUES ('p', 1, 'a', 'p', 1, 1)"
        )
        connection.execute(
            "INSERT INTO versions (pipeline, version, definition, hash, created_ms) VALUES ('p', 1, ?, 'h', 1)",
            (definition_text([processing("A")]),),
        )
    connection.close()
    world = World(tmp_path)
    world.open()
    try:
        assert world.finish(world.start("p")) == "Succeeded"
    finally:
        world.engine.stop()


def test_state_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with sqlite3.connect(state / "engine.db") as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(LocalEndpointError, match="newer version"):
        Engine(state, World(tmp_path).services())
