"""``python -m tests.reliability.endings``: runs that end at random moments within five seconds of their start call.

One whole Airflow, batches of DAG runs at the same time. What must come of each ending stands in its case; an execution
that still runs a minute after the end of its task is an orphan. ``--write`` puts the table into docs/reliability.md.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
import urllib.error
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from tests.reliability.cases import START, Case
from tests.reliability.injections import Injection
from tests.reliability.laboratory import Laboratory, Outcome, Subject
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
ORPHAN_SECONDS = 300.0
"""When nobody waits for its end any more."""
WITHIN_SECONDS = 5.0
ASKED_AGAIN = 60

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
    yield lambda: subject.is_execution_over or subject.seconds_since_mark > ORPHAN_SECONDS
    _note_lateness(subject)


def time_out_and_look(subject: Subject) -> Steps:
    """The task's time is over; its execution must end within a minute."""
    yield lambda: subject.state == "failed"
    subject.marked_at = time.monotonic()
    yield lambda: not subject.executions or subject.is_execution_over or subject.seconds_since_mark > ORPHAN_SECONDS
    _note_lateness(subject)


def clear_and_work(subject: Subject) -> Steps:
    """The task was cleared: its execution must end, or be the next attempt's, within a minute. The newest succeeds."""

    def is_taken_up() -> bool:
        return subject.tries >= 2 and subject.is_waiting

    def is_running() -> bool:
        return subject.laboratory.executions_of(subject.pipeline)[-1]["PipelineExecutionStatus"] == "Executing"

    yield lambda: subject.marked_at is not None
    yield lambda: not is_running() or is_taken_up() or subject.seconds_since_mark > ORPHAN_SECONDS
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
    if subject.seconds_since_mark > LATE_SECONDS:
        subject.problems.append(f"late: its execution ended {subject.seconds_since_mark:.0f} s after its task")


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


def make_batch(number: int, chance: Random) -> list[tuple[Case, str, int]]:
    """The cases of one batch, with the mode and how many of each."""
    made: list[tuple[Case, str, int]] = []

    def add(kind: str, mode: str, count: int, *, suffix: str = "", **more: Any) -> None:
        key = f"b{number:02}_{kind}{suffix}"
        more.setdefault("done_by_hand", 1)
        made.append((Case(key, KINDS[kind], modes=(mode,), **more), mode, count))

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
    return made


class EndingLaboratory(Laboratory):
    """A laboratory whose subjects are ended at a random moment after SageMaker has accepted their start call."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.loads: list[float] = []

    def render_loads(self) -> str:
        """How many processes wanted to run in the last minute of each batch."""
        return f"{min(self.loads):.0f} to {max(self.loads):.0f} on {os.cpu_count()} processors" if self.loads else "-"

    def run_batches(self, batches: Sequence[Sequence[tuple[Case, str, int]]], *, until: float) -> list[Outcome]:
        """Run batch after batch until all are over, or no time is left for another one."""
        every = [
            [
                Subject(self, case, mode, number, f"{case.key.replace('_', '-')}-{mode}-{number}")
                for case, mode, count in batch
                for number in range(count)
            ]
            for batch in batches
        ]
        self._by_pipeline = {subject.pipeline: subject for batch in every for subject in batch}
        self._due = {
            pipeline: self._random.uniform(0, WITHIN_SECONDS)
            for pipeline, subject in self._by_pipeline.items()
            if _kind(subject.case) not in ("timed_out", "worker")
        }
        self._open([subject for batch in every for subject in batch])
        self.proxy.on_accepted = self._accepted
        found: list[Outcome] = []
        for number, subjects in enumerate(every, 1):
            if time.monotonic() > until:
                break
            began = time.monotonic()
            self._run_phase("", subjects)
            self.loads.append(os.getloadavg()[0])
            outcomes = [self._judge(subject) for subject in subjects]
            problems = [problem for one in outcomes for problem in one.problems]
            found += outcomes
            self._tell(
                f"batch {number}: {len(subjects)} endings in {time.monotonic() - began:.0f} s, load "
                f"{os.getloadavg()[0]:.0f}; {len(found)} so far, {len(problems)} problems"
            )
            for problem in problems:
                self._tell(problem)
        return found

    def _accepted(self, pipeline: str, operation: str) -> None:
        """The endpoint has started an execution: end its task some time later."""
        if operation == START and (delay := self._due.pop(pipeline, None)) is not None:
            threading.Timer(delay, self._end, (self._by_pipeline[pipeline],)).start()

    def _end(self, subject: Subject) -> None:
        kind = _kind(subject.case)
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
            self._kill_triggerer()
        elif not subject.delete_run():
            raise ConnectionError("the DAG run has gone on")

    def _judge(self, subject: Subject) -> Outcome:
        found = super()._judge(subject)
        if _kind(subject.case) == "timed_out" and not found.executions:
            # The time was over before the start call.
            kept = tuple(one for one in found.problems if "execution: none" not in one)
            return Outcome(**{**{key: getattr(found, key) for key in Outcome.__slots__}, "problems": kept})
        return found


def render_table(outcomes: Sequence[Outcome], *, heading: str) -> str:
    """The generated part: when and how it was run, the sum, and a row for each kind of ending."""
    columns = ("Ending", "Endings", "Duplicate", "Orphan", "Later than 60 s", "False green", "Otherwise than due")
    lines = [
        heading,
        "",
        render_sum(outcomes),
        "",
        f"| {' | '.join(columns)} |",
        f"|---|{'---:|' * (len(columns) - 1)}",
    ]
    for kind, title in KINDS.items():
        found = [one for one in outcomes if _kind(one.case) == kind]
        counts = (
            len(found),
            sum(one.duplicates for one in found),
            sum(map(_is_orphan, found)),
            sum(map(_is_late, found)),
            sum(one.is_false_green for one in found),
            sum(any("late:" not in problem for problem in one.problems) for one in found),
        )
        lines.append(f"| {title} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def render_sum(outcomes: Sequence[Outcome]) -> str:
    """What the endings say in one sentence."""
    duplicates, green = sum(one.duplicates for one in outcomes), sum(one.is_false_green for one in outcomes)
    return (
        f"**{len(outcomes)} endings: {duplicates} duplicates, {sum(map(_is_orphan, outcomes))} orphans, "
        f"{green} false green**; {sum(map(_is_late, outcomes))} executions ended later than a minute after their tasks."
    )


def _is_orphan(outcome: Outcome) -> bool:
    return any("still running" in problem for problem in outcome.problems)


def _is_late(outcome: Outcome) -> bool:
    return any("late:" in problem for problem in outcome.problems)


def _kind(case: Case) -> str:
    return case.key.partition("_")[2].rstrip("0123456789")


def main() -> int:
    """Run; 1 if anything came out otherwise than it must."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.endings", description=__doc__)
    parser.add_argument("--batches", type=int, default=12, help="of about 40 endings each")
    parser.add_argument("--minutes", type=float, default=60, help="begin no other batch after so long")
    parser.add_argument("--on", choices=SURROUNDINGS, default="postgresql", help="database and executor")
    parser.add_argument("--seed", type=int, default=20261130, help="of the random moments")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {line}", flush=True)

    chance = Random(given.seed)
    batches = [make_batch(number, chance) for number in range(given.batches)]
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="sm-pipelines-endings-")))
        surroundings = closing.enter_context(SURROUNDINGS[given.on]())
        laboratory = EndingLaboratory(folder / "laboratory", seed=given.seed, surroundings=surroundings, tell=tell)
        found = closing.enter_context(laboratory).run_batches(batches, until=began + 60 * given.minutes)
    problems = [problem for one in found for problem in one.problems]
    heading = describe_run(
        (time.monotonic() - began) / 60, f"{surroundings.name}; seed {given.seed}; load {laboratory.render_loads()}"
    )
    if given.write:
        put_between(ROOT / "docs" / "reliability.md", BEGIN, END, render_table(found, heading=heading))
    print(render_sum(found), *problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
