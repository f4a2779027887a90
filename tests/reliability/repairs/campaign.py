"""``python -m tests.reliability.repairs.campaign``: many repairs one after the other, while triggerers and workers die.

Each walk has a group of its own. It takes one action after the other, drawn at random, in one DAG run, and compares
after each: the executions and starts of steps at the endpoint, the states of the tasks in Airflow. Two triggerers run;
one of them, or a worker, is killed every half a minute or so. ``--write`` puts the table into docs/reliability.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import psutil

from tests.reliability.authors_day.table import write_table
from tests.reliability.repairs.rows import DIAMOND, finish, succeed
from tests.reliability.repairs.workshop import OtherwiseError, Row, Workshop
from tests.reliability.surroundings import SURROUNDINGS
from tests.system.cluster import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.reliability.repairs.workshop import Run, Steps

BEGIN = "<!-- made by `python -m tests.reliability.repairs.campaign --write`: begin -->"
END = "<!-- campaign: end -->"
ROOT = Path(__file__).resolve().parents[3]
AFTER = {"A": "ABCD", "B": "BD", "C": "CD", "D": "D"}
KILL_PAUSE = (25.0, 45.0)
"""Seconds between two kills, from and to. A kill also waits until the walks have gone on since the last one."""
TAIL_SECONDS = 900.0
"""How long the last actions may take."""
TRIGGERERS = ("triggerer", "triggerer-2")
VICTIMS = ("triggerer", "worker")


@dataclass
class Tally:
    """What a campaign has done, and what came of it."""

    done: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    wrong: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass
class Walk:
    """What there must be after the actions that a walk has taken so far."""

    run: Run
    chance: Random
    tally: Tally
    executions: int = 1
    starts: Counter[str] = field(default_factory=lambda: Counter("ABCD"))
    action: str = "nothing"

    def count(self, action: str) -> None:
        """One action, which is about to be done."""
        self.action = action
        self.tally.done[action] += 1

    def come_to_success(self, steps: str) -> Steps:
        """These steps run and succeed; then everything is as it must be."""
        self.starts.update(steps)
        yield from succeed(self.run, *steps)
        yield from self.look()

    def look(self) -> Steps:
        """Wait for the end, and compare."""
        yield from finish(self.run, executions=self.executions)
        run = self.run
        run.expect({name: run.asked(name) for name in "ABCD"}, dict(self.starts), "starts")
        run.expect(set(run.statuses[-1:]), {"Succeeded"}, "orphans")

    def until_waiting(self, step: str) -> Steps:
        """Wait until a step waits, and its task for it."""
        yield lambda: self.run.waits(step) and self.run.states.get(step) == "deferred"


def run_step_again(walk: Walk) -> Steps:
    step = walk.chance.choice("ABCD")
    walk.count("a succeeded step is cleared")
    walk.run.clear(step)
    walk.executions += 1
    yield from walk.come_to_success(AFTER[step])


def run_two_again(walk: Walk) -> Steps:
    walk.count("two succeeded steps are cleared together")
    walk.run.clear("B", "C")
    walk.executions += 1
    yield from walk.come_to_success("BCD")


def fail_and_resume(walk: Walk) -> Steps:
    step = walk.chance.choice("BC")
    walk.count("a succeeded step is cleared")
    walk.run.clear(step)
    walk.executions += 1
    yield from walk.until_waiting(step)
    walk.starts.update(step)
    walk.run.answer(step, is_success=False)
    yield lambda: walk.run.is_over
    walk.run.expect_states(**{step: "failed", "D": "upstream_failed", "ended": "failed"})
    walk.count("a failed step is cleared")
    walk.run.clear(step)
    yield from walk.come_to_success(AFTER[step])


def clear_running(walk: Walk) -> Steps:
    step = walk.chance.choice("ABC")
    walk.count("a succeeded step is cleared")
    walk.run.clear(step)
    walk.executions += 1
    yield from walk.until_waiting(step)
    walk.count("a running step is cleared")
    tries = walk.run.tries[step]
    walk.run.clear(step)
    yield lambda: walk.run.states.get(step) == "deferred" and walk.run.tries[step] > tries
    yield from walk.come_to_success(AFTER[step])


def mark_step_failed(walk: Walk) -> Steps:
    step = walk.chance.choice("BC")
    walk.count("a succeeded step is cleared")
    walk.run.clear(step)
    walk.executions += 1
    yield from walk.until_waiting(step)
    walk.count("a running step's task is marked failed")
    walk.run.mark(step, "failed")
    yield from succeed(walk.run, *AFTER[step])
    walk.starts.update(AFTER[step])
    yield lambda: walk.run.is_over
    walk.run.expect_states(**{step: "failed", "D": "upstream_failed", "ended": "success"})
    walk.count("`run` is cleared")
    walk.run.clear("run")
    walk.executions += 1
    yield from walk.come_to_success("ABCD")


def stop_and_begin_anew(walk: Walk) -> Steps:
    step = walk.chance.choice("BC")
    walk.count("a succeeded step is cleared")
    walk.run.clear(step)
    walk.executions += 1
    yield from walk.until_waiting(step)
    walk.starts.update(step)
    walk.count("`ended` is marked failed while steps run")
    walk.run.mark("ended", "failed")
    yield lambda: walk.run.statuses[-1] == "Stopped"
    yield lambda: walk.run.is_over
    walk.run.expect_states(**{step: "failed", "ended": "failed"})
    walk.run.give_up(step)
    walk.count("`run` is cleared")
    walk.run.clear("run")
    walk.executions += 1
    yield from walk.come_to_success("ABCD")


def run_anew(walk: Walk) -> Steps:
    walk.count("`run` is cleared")
    walk.run.clear("run")
    walk.executions += 1
    yield from walk.come_to_success("ABCD")


def judge_again(walk: Walk) -> Steps:
    walk.count("`ended` is cleared")
    walk.run.clear("ended")
    yield from walk.look()


ACTIONS: tuple[Callable[[Walk], Steps], ...] = (
    run_step_again,
    run_two_again,
    fail_and_resume,
    clear_running,
    mark_step_failed,
    stop_and_begin_anew,
    run_anew,
    judge_again,
)


def make_walk(tally: Tally, number: int, *, seed: int, until: float) -> Row:
    """A row that takes actions until this moment, on :func:`time.monotonic`'s clock."""

    def script(run: Run) -> Steps:
        walk = Walk(run, Random(f"{seed} {number}"), tally)
        try:
            yield from succeed(run, *"ABCD")
            yield from walk.look()
            while time.monotonic() < until:
                yield from walk.chance.choice(ACTIONS)(walk)
        except OtherwiseError as error:
            tally.wrong[walk.action, classify(str(error))] += 1
            raise

    return Row(f"walk-{number}", "a walk", "as it must be", script, DIAMOND)


def classify(error: str) -> str:
    """What kind of harm a difference is."""
    kinds = {"executions": "duplicate", "starts": "duplicate", "orphans": "orphan", "tasks": "false state"}
    return kinds.get(error.partition(":")[0], "other")


class CampaignWorkshop(Workshop):
    """A workshop with two triggerers, of which one or a worker is killed now and then."""

    def __init__(self, *args: Any, tally: Tally, chance: Random, until: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tally = tally
        self._chance = chance
        self._until = until
        self._next_kill = 0.0
        self._done_at_kill = 0
        self._victim = chance.choice(VICTIMS)
        self.row_seconds = until - time.monotonic() + TAIL_SECONDS

    def _open(self, rows: Sequence[Row]) -> None:
        super()._open(rows)
        self._start_triggerer("triggerer-2")
        self._next_kill = time.monotonic() + KILL_PAUSE[1]

    def _start_triggerer(self, name: str) -> None:
        port = {"AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port())} if name != "triggerer" else {}
        self.airflow.start("triggerer", name=name, **port)

    def _look(self, runs: Mapping[str, Run]) -> None:
        super()._look(runs)
        done = self._tally.done.total()
        if done > self._done_at_kill and self._next_kill < time.monotonic() < self._until:
            killed = self._kill_worker() if self._victim == "worker" else self._kill_triggerer()
            if killed:  # else no worker is at work: look again
                self._tally.kills[self._victim] += killed
                self._victim = self._chance.choice(VICTIMS)
                self._done_at_kill = done
                self._next_kill = time.monotonic() + self._chance.uniform(*KILL_PAUSE)

    def _kill_triggerer(self) -> int:
        name = self._chance.choice(TRIGGERERS)
        self.airflow.signal(name, signal.SIGKILL)
        self._start_triggerer(name)
        return 1

    def _kill_worker(self) -> int:
        """Kill a process that works on a task, with its children; how many there were.

        One that waits for a task holds the lock of the executor's queue: if it is killed, no other ever gets a task.
        """
        commands = [(one, " ".join(_command_of(one))) for one in self.airflow.tree("scheduler")]
        workers = [one for one, command in commands if "worker" in command and "<idle>" not in command]
        for one in workers and self._chance.sample(workers, 1):
            for process in [*one.children(recursive=True), one]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        return min(len(workers), 1)


def _command_of(process: psutil.Process) -> list[str]:
    with suppress(psutil.NoSuchProcess):
        command: list[str] = process.cmdline()
        return command
    return []


def render_campaign(tally: Tally) -> list[str]:
    """The table's lines."""
    kinds = ("duplicate", "orphan", "false state", "other")
    lines = ["| Action | Times | Duplicates | Orphans | False states | Otherwise |", "|---|---:|---:|---:|---:|---:|"]
    for action in sorted({*tally.done, *(action for action, _ in tally.wrong)}):
        wrong = " | ".join(str(tally.wrong[action, kind]) for kind in kinds)
        lines.append(f"| {action} | {tally.done[action]} | {wrong} |")
    return lines


def render_sum(tally: Tally, walks: int, open_walks: int) -> str:
    """What came of it, in one sentence."""
    found: Counter[str] = Counter()
    for (_, kind), number in tally.wrong.items():
        found[kind] += number
    kills = f"{tally.kills['triggerer']} kills of a triggerer and {tally.kills['worker']} of a worker"
    return (
        f"**{tally.done.total() + tally.kills.total()} actions: {tally.done.total()} in {walks} runs, and {kills}. "
        f"{found['duplicate']} duplicates, {found['orphan']} orphans, {found['false state']} false states; "
        f"{found['other'] + open_walks} otherwise than expected.**"
    )


def main() -> int:
    """Run; 1 if anything came out otherwise than expected."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.repairs.campaign", description=__doc__)
    parser.add_argument("--walks", type=int, default=16, help="how many runs at once")
    parser.add_argument("--minutes", type=float, default=40.0, help="how long to begin new actions")
    parser.add_argument("--seed", type=int, default=20261201)
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="a new folder to work in, which stays")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began = time.monotonic()
    until = began + given.minutes * 60
    tally = Tally()
    rows = [make_walk(tally, number, seed=given.seed, until=until) for number in range(given.walks)]

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {tally.done.total()} actions, {line}", flush=True)

    with ExitStack() as closing:
        folder = given.keep or Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="sm-pipelines-repairs-")))
        surroundings = closing.enter_context(SURROUNDINGS["postgresql"]())
        workshop = CampaignWorkshop(
            folder / "workshop", surroundings, tell=tell, tally=tally, chance=Random(given.seed), until=until
        )
        outcomes = closing.enter_context(workshop).run(rows)
    others = sum(map(bool, outcomes.values())) - tally.wrong.total()
    heading = (
        f"Run on {datetime.now(timezone.utc):%Y-%m-%d} in {(time.monotonic() - began) / 60:.0f} minutes: Airflow "
        f"{version('apache-airflow')}; {surroundings.name}, two triggerers; seed {given.seed}. "
        f"{render_sum(tally, given.walks, others)}"
    )
    table = render_campaign(tally)
    if given.write:
        page = ROOT / "docs" / "reliability.md"
        write_table(page, table, heading=heading, is_whole=True, marks=(BEGIN, END))
    print("", heading, *table, sep="\n")
    return 1 if any(outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
