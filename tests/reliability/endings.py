"""``python -m tests.reliability.endings``: runs that end at random moments within five seconds of their start call.

One whole Airflow. First few runs at a time (idle), then as many as it can do (busy). What must come of each ending
stands in its case; an execution that still runs a minute after the end of its task is an orphan. The results are kept
as lines of JSON (``--results``), so that a run that was broken off goes on where it was. ``--write`` puts the table
into docs/reliability.md.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
import urllib.error
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from tests.reliability.cases import START, Case
from tests.reliability.injections import Injection
from tests.reliability.laboratory import Laboratory, Subject
from tests.reliability.page import describe_run, put_between
from tests.reliability.surroundings import SURROUNDINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Steps = Iterator[Callable[[], object]]

ROOT = Path(__file__).resolve().parents[2]
BEGIN = "<!-- made by `python -m tests.reliability.endings --write`: begin -->"
END = "<!-- end of the endings -->"
LATE_SECONDS = 60.0
"""How long an execution may run on after the end of its task."""
LOST_SECONDS = 300.0
"""When nobody waits for its end any more."""
WITHIN_SECONDS = 5.0
ASKED_AGAIN = 60
TRIGGERER_LIVES = "Starting the triggerer"
"""What a triggerer logs as soon as it works."""
SETTLED_SECONDS = 30.0
"""How long after an ending the endpoint is asked what there is."""
SUBJECT_SECONDS = 600.0
AT_ONCE = {"idle": 6, "busy": 40}
"""How many runs are under way at the same time."""
ROUNDS = {"idle": 3, "busy": 9}
"""How often each kind of ending is done so, in each of its modes."""

KINDS = {
    "failed": "marked failed",
    "success": "marked successful",
    "cleared": "cleared",
    "timed_out": "timed out",
    "deleted": "the DAG run deleted",
    "worker": "the task's process killed with SIGKILL",
    "triggerer": "the triggerer killed with SIGKILL, another started",
}


# --- what happens after the end ---------------------------------------------------------------------------------------


def end_and_look(subject: Subject) -> Steps:
    """The task was ended; its execution must end within a minute."""
    yield lambda: subject.marked_at is not None
    yield lambda: subject.is_execution_over or subject.seconds_since_mark > LOST_SECONDS
    _note_lateness(subject)


def time_out_and_look(subject: Subject) -> Steps:
    """The task's time is over; its execution must end within a minute."""
    yield lambda: subject.state == "failed"
    subject.marked_at = time.monotonic()
    yield lambda: not subject.executions or subject.is_execution_over or subject.seconds_since_mark > LOST_SECONDS
    _note_lateness(subject)


def clear_and_work(subject: Subject) -> Steps:
    """The task was cleared: its execution must end, or be the next attempt's, within a minute. The newest succeeds."""

    def is_taken_up() -> bool:
        return subject.tries >= 2 and subject.is_waiting

    def is_running() -> bool:
        return subject.laboratory.executions_of(subject.pipeline)[-1]["PipelineExecutionStatus"] == "Executing"

    yield lambda: subject.marked_at is not None
    yield lambda: not is_running() or is_taken_up() or subject.seconds_since_mark > LOST_SECONDS
    _note_lateness(subject)
    # A clear starts another execution, unless nobody has waited for the first one yet.
    yield (
        lambda: (
            is_taken_up()
            and (subject.executions > 1 or subject.seconds_since_mark > 2 * LATE_SECONDS)
            and _choose_newest_token(subject)
        )
    )
    subject.answer()


def _note_lateness(subject: Subject) -> None:
    laboratory: Any = subject.laboratory
    subject.ended_after = subject.seconds_since_mark
    away = laboratory.count_away_seconds(subject)
    if subject.ended_after - away > LATE_SECONDS:
        text = f"orphan: its execution ended {subject.ended_after:.0f} s after its task"
        subject.problems.append(f"{text}; for {away:.0f} s of them no triggerer lived")


def work_late(subject: Subject) -> Steps:
    """Something died; the step succeeds later, and the task with it."""
    yield lambda: subject.marked_at is not None or subject.is_injected or subject.state == "deferred"
    yield lambda: subject.token and subject.is_waiting
    subject.answer()


def _choose_newest_token(subject: Subject) -> bool:
    """Have the step of the newest execution answered next; False if it does not wait yet."""
    newest = subject.laboratory.executions_of(subject.pipeline)[0]
    arn = newest["PipelineExecutionArn"] if newest["PipelineExecutionStatus"] == "Executing" else None
    wanted = [one for one in subject.tokens if subject.laboratory.token_executions[one] == arn]
    subject.tokens = [one for one in subject.tokens if one not in wanted] + wanted
    return bool(wanted)


# --- the cases --------------------------------------------------------------------------------------------------------

Group = tuple[Case, str, int]
"""Runs that begin at the same time: their case, their mode and how many there are."""


def make_groups(chance: Random) -> list[Group]:
    """Every ending there is, the idle ones first."""
    return [
        group
        for load, rounds in ROUNDS.items()
        for number in range(rounds)
        for group in _make_round(load, number, chance)
    ]


def _make_round(load: str, number: int, chance: Random) -> list[Group]:
    made: list[Group] = []

    def add(kind: str, mode: str, count: int, *, suffix: str = "", **more: Any) -> None:
        more.setdefault("done_by_hand", 1)
        made.append((Case(f"{load}{number:02}_{kind}{suffix}", KINDS[kind], modes=(mode,), **more), mode, count))

    ended = {"script": end_and_look, "retries": 0, "status": "Stopped", "stops": None}
    for mode, count in (("sync", 4), ("deferred", 3), ("mapped", 2)):
        add("failed", mode, count, state="failed", **ended)
        add("success", mode, count, state="success", **ended)
    for mode in ("sync", "deferred"):
        add("cleared", mode, 4, script=clear_and_work, executions=2, fewest=1, stops=None)
        seconds = round(chance.uniform(3, 10) if mode == "sync" else chance.uniform(1, 5), 1)
        arguments = {"execution_timeout_seconds": seconds}
        late = {"script": time_out_and_look, "state": "failed", "fewest": 0, "status": "Stopped", "stops": None}
        add("timed_out", mode, 3, retries=0, arguments=arguments, **late)
        for one in range(3):
            add("deleted", mode, 1, suffix=str(one), **{**ended, "state": "deleted"})
    kill = (Injection(START, "kill", "before", delay_seconds=WITHIN_SECONDS),)
    for mode in ("sync", "deferred"):
        add("worker", mode, 2, script=work_late, injections=kill, done_by_hand=0)
    add("triggerer", "deferred", 1, script=work_late)
    chance.shuffle(made)
    return made


# --- what comes of them -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ending:
    """What came of one ending.

    :ivar key: the pipeline's name.
    :ivar load: whether Airflow had much else to do, as :data:`AT_ONCE` calls it.
    :ivar seconds: from the end of the task to the end of its execution; None where the execution was to go on.
    :ivar processes: how many wanted to run on the machine, in the minute before.
    """

    key: str
    kind: str
    load: str
    mode: str
    duplicates: int
    lost: int
    is_false_green: bool
    seconds: float | None
    processes: float
    problems: tuple[str, ...]

    @property
    def is_orphan(self) -> bool:
        """Whether its execution ran on for more than a minute."""
        return any("orphan" in problem or "still running" in problem for problem in self.problems)

    @property
    def is_otherwise(self) -> bool:
        """Whether something else is not as it must be."""
        return any("orphan" not in problem for problem in self.problems)


def read_endings(path: Path | None) -> dict[str, Ending]:
    """The endings that are kept in a file, by key."""
    lines = path.read_text().splitlines() if path is not None and path.exists() else []
    found = (json.loads(line) for line in lines)
    return {one["key"]: Ending(**{**one, "problems": tuple(one["problems"])}) for one in found}


class EndingLaboratory(Laboratory):
    """A laboratory whose subjects are ended at a random moment after SageMaker has accepted their start call."""

    def run_endings(self, groups: Sequence[Group], *, until: float, done: Callable[[Ending], None]) -> None:
        """Run these, as many at once as their load says, until all are over, or no time is left for others.

        :param done: told of each when it has settled, and of those that came to differ later.
        """
        every = [
            [
                Subject(self, case, mode, number, f"{case.key.replace('_', '-')}-{mode}-{number}")
                for number in range(count)
            ]
            for case, mode, count in groups
        ]
        self._by_pipeline = {subject.pipeline: subject for group in every for subject in group}
        self._due = {
            pipeline: self._random.uniform(0, WITHIN_SECONDS)
            for pipeline, subject in self._by_pipeline.items()
            if kind_of(subject.case) not in ("timed_out", "worker")
        }
        self._triggerer = threading.Lock()
        self._away: list[tuple[float, float]] = []
        self._open([subject for group in every for subject in group])
        self.proxy.on_accepted = self._accepted
        self._begun: dict[str, tuple[float, list[Any]]] = {}
        seen: dict[str, int] = {}
        under_way: list[Subject] = []
        settling: list[tuple[float, Subject]] = []
        found: dict[str, Ending] = {}
        while under_way or settling or (every and time.monotonic() < until):
            while every and time.monotonic() < until and _has_room(every[0], under_way):
                under_way += self._begin(every.pop(0))
            if under_way:
                self._look(under_way, seen)
            for subject in under_way:
                self._go_on(subject)
            settling += [(time.monotonic(), subject) for subject in under_way if subject.is_over]
            under_way = [subject for subject in under_way if not subject.is_over]
            for since, subject in list(settling):
                if time.monotonic() - since > SETTLED_SECONDS:
                    settling.remove((since, subject))
                    found[subject.pipeline] = self._judge_ending(subject)
                    done(found[subject.pipeline])
            self._is_closing.wait(1)
        for key, before in found.items():
            after = replace(self._judge_ending(self._by_pipeline[key]), processes=before.processes)
            if after != before:
                done(after)

    def _begin(self, group: list[Subject]) -> list[Subject]:
        self.runs[group[0].dag_id] = self.airflow.trigger(group[0].dag_id, {})
        for subject in group:
            self._begun[subject.pipeline] = time.monotonic(), [subject.case.script(subject), None]
        return group

    def _go_on(self, subject: Subject) -> None:
        began, script = self._begun[subject.pipeline]
        if not subject.is_script_over:
            self._advance(subject, script)
        if not subject.is_over and time.monotonic() - began > SUBJECT_SECONDS:
            subject.problems.append(f"did not end: {subject.state}, script over: {subject.is_script_over}")
            subject.is_script_over, subject.state = True, subject.state if subject.is_over else "failed"

    def _accepted(self, pipeline: str, operation: str) -> None:
        """The endpoint has started an execution: end its task some time later."""
        if operation == START and (delay := self._due.pop(pipeline, None)) is not None:
            threading.Timer(delay, self._end, (self._by_pipeline[pipeline],)).start()

    def _end(self, subject: Subject) -> None:
        kind = kind_of(subject.case)
        for _ in range(ASKED_AGAIN):
            try:
                self._end_now(subject, kind)
            except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
                why = error
                time.sleep(0.2)
                continue
            subject.marked_at = time.monotonic()
            return
        subject.problems.append(f"it could not be ended: {why}")
        subject.marked_at = time.monotonic()

    def _end_now(self, subject: Subject, kind: str) -> None:
        if kind in ("failed", "success"):
            subject.mark(kind)
        elif kind == "cleared":
            subject.clear()
        elif kind == "triggerer":
            with self._triggerer:
                self._replace_triggerer()
        elif not subject.delete_run():
            raise ConnectionError("the DAG run has gone on")

    def _replace_triggerer(self) -> None:
        """Kill the triggerer, start another, and note how long none lived."""
        log = self._folder / "home" / "triggerer.log"
        before = log.read_text(errors="replace").count(TRIGGERER_LIVES)
        killed_at, place = time.monotonic(), len(self._away)
        self._away.append((killed_at, float("inf")))
        self._kill_triggerer()
        while log.read_text(errors="replace").count(TRIGGERER_LIVES) == before and not self._is_closing.wait(0.5):
            pass
        self._away[place] = (killed_at, time.monotonic())

    def count_away_seconds(self, subject: Subject) -> float:
        """For how many seconds since a subject's end no triggerer lived."""
        since, now = subject.marked_at or time.monotonic(), time.monotonic()
        return sum(max(0.0, min(end, now) - max(begin, since)) for begin, end in self._away)

    def _judge_ending(self, subject: Subject) -> Ending:
        found = self._judge(subject)
        problems = found.problems
        if kind_of(subject.case) == "timed_out" and not found.executions:
            # The time was over before the start call.
            problems = tuple(one for one in problems if "execution: none" not in one)
        return Ending(
            key=subject.pipeline,
            kind=kind_of(subject.case),
            load=subject.case.key.partition("_")[0].rstrip("0123456789"),
            mode=subject.mode,
            duplicates=found.duplicates,
            lost=found.lost,
            is_false_green=found.is_false_green,
            seconds=None if subject.ended_after is None else round(subject.ended_after, 1),
            processes=round(os.getloadavg()[0], 1),
            problems=problems,
        )


def _has_room(group: Sequence[Subject], under_way: Sequence[Subject]) -> bool:
    load = group[0].case.key.partition("_")[0].rstrip("0123456789")
    return not under_way or len(under_way) + len(group) <= AT_ONCE[load]


def kind_of(case: Case) -> str:
    """The kind of a case's ending, a key of :data:`KINDS`."""
    return case.key.partition("_")[2].rstrip("0123456789")


# --- the page ---------------------------------------------------------------------------------------------------------


def render_table(endings: Sequence[Ending], *, heading: str) -> str:
    """The generated part: when and how it was run, the sum, and a row for each kind of ending."""
    columns = ("Ending", *(load.capitalize() for load in AT_ONCE), "Duplicate", "Lost", "Orphan", "False green")
    columns = (*columns, "Otherwise than due", "Execution ended after, median", "longest")
    lines = [heading, "", render_sum(endings), "", f"| {' | '.join(columns)} |"]
    lines.append(f"|---|{'---:|' * (len(columns) - 1)}")
    for kind, title in KINDS.items():
        found = [one for one in endings if one.kind == kind]
        counts = (
            *(sum(one.load == load for one in found) for load in AT_ONCE),
            sum(one.duplicates for one in found),
            sum(one.lost for one in found),
            sum(one.is_orphan for one in found),
            sum(one.is_false_green for one in found),
            sum(one.is_otherwise for one in found),
            *_render_seconds([one.seconds for one in found if one.seconds is not None]),
        )
        lines.append(f"| {title} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def _render_seconds(seconds: list[float]) -> tuple[str, str]:
    ordered = sorted(seconds)
    return (f"{ordered[len(ordered) // 2]:.0f} s", f"{ordered[-1]:.0f} s") if ordered else ("", "")


def render_sum(endings: Sequence[Ending]) -> str:
    """What the endings say in one sentence."""
    counts = [sum(one.duplicates for one in endings), sum(one.lost for one in endings)]
    counts += [sum(one.is_orphan for one in endings), sum(one.is_false_green for one in endings)]
    names = ("duplicates", "lost", "orphans", "false green")
    found = ", ".join(f"{count} {name}" for count, name in zip(counts, names, strict=True))
    return f"**{len(endings)} endings: {found}**; {sum(one.is_otherwise for one in endings)} otherwise than due."


def render_loads(endings: Sequence[Ending]) -> str:
    """How busy the machine was, in words."""
    parts = []
    for load, most in AT_ONCE.items():
        processes = [one.processes for one in endings if one.load == load]
        if processes:
            parts.append(f"{load}, {most} at once: load {min(processes):.0f} to {max(processes):.0f}")
    return f"{'; '.join(parts)}, on {os.cpu_count()} processors"


def main() -> int:
    """Run; 1 if anything came out otherwise than it must."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.endings", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120, help="begin no other run after so long")
    parser.add_argument("--only", nargs="+", metavar="KIND", choices=KINDS, help="endings of these kinds only")
    parser.add_argument("--load", choices=AT_ONCE, help="only with so many at once")
    parser.add_argument("--on", choices=SURROUNDINGS, default="postgresql", help="database and executor")
    parser.add_argument("--seed", type=int, default=20261130, help="of the random moments")
    parser.add_argument("--results", type=Path, help="keep results here, and go on with those that are there")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="a new folder to work in, which stays")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {line}", flush=True)

    results = read_endings(given.results)
    kept = len(results)

    def done(ending: Ending) -> None:
        results[ending.key] = ending
        if given.results:
            with given.results.open("a") as file:
                file.write(json.dumps(asdict(ending)) + "\n")
        for problem in ending.problems:
            tell(problem)
        if len(results) % 20 == 0:
            tell(f"{len(results)} endings, load {ending.processes:.0f}")

    groups = [
        (case, mode, count)
        for case, mode, count in make_groups(Random(given.seed))
        if (not given.only or kind_of(case) in given.only)
        and (not given.load or case.key.startswith(given.load))
        and not all(f"{case.key.replace('_', '-')}-{mode}-{number}" in results for number in range(count))
    ]
    with ExitStack() as closing:
        folder = given.keep or Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="sm-pipelines-endings-")))
        surroundings = closing.enter_context(SURROUNDINGS[given.on]())
        laboratory = EndingLaboratory(folder / "laboratory", seed=given.seed, surroundings=surroundings, tell=tell)
        until = began + 60 * given.minutes
        closing.enter_context(laboratory).run_endings(groups, until=until, done=done)
    found = list(results.values())
    heading = describe_run(
        (time.monotonic() - began) / 60, f"{surroundings.name}; seed {given.seed}; {render_loads(found)}"
    )
    if kept:
        heading += f" {kept} of the endings were kept from earlier runs."
    if given.write:
        put_between(ROOT / "docs" / "reliability.md", BEGIN, END, render_table(found, heading=heading))
    print(render_sum(found), *(problem for one in found for problem in one.problems), sep="\n")
    return 1 if any(one.problems for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
