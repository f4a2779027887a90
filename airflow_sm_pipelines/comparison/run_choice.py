"""Chooses the runs of a comparison: each branch of each Choice, and each failing task, at least once if it can be.

It runs the machine again and again with one more thing changed, and keeps the runs that reach something new.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sm_pipelines.comparison.scripts import Assignment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_sm_pipelines.comparison.scripts import Choices
    from airflow_sm_pipelines.comparison.traces import Trace
    from airflow_sm_pipelines.migrate.stepfunctions.machine import State

MAX_RUNS = 64
MAX_TRIES = 400
"""How often the machine is run to find those."""


@dataclass(slots=True)
class ChosenRuns:
    """The runs, and what none of them reached.

    :param unreached: in words, with the states.
    """

    runs: list[tuple[Assignment, Trace]] = field(default_factory=list)
    unreached: list[str] = field(default_factory=list)


def choose_runs(
    states: Sequence[State],
    choices: Choices,
    repeated: Mapping[str, str],
    run: Callable[[Assignment], Trace | None],
    *,
    limit: int = MAX_RUNS,
) -> ChosenRuns:
    """Choose runs.

    :param states: all of the machine.
    :param repeated: for each state that is called again until its answer is good, that state.
    :param run: runs the machine; None if the run came to nothing that can be compared.
    """
    wanted = {key: (text, f"state {state.name}") for state in states for key, text in _list_wanted(state)}
    chosen, reached, tries = ChosenRuns(), set[str](), 0
    left, seen = [Assignment()], set[str]()
    while left and tries < MAX_TRIES and len(chosen.runs) < limit and not wanted.keys() <= reached:
        assignment = left.pop(0)
        trace = run(assignment)
        tries += 1
        if trace is None:
            if not chosen.runs:
                left += _unseen(_vary(assignment, choices, (), repeated), seen)
            continue
        new = _find_reached(trace) - reached
        if not new and chosen.runs:
            continue
        reached |= new
        chosen.runs.append((assignment, trace))
        tasks = [one.name for one in states if one.type == "Task" and _find_failure(one.name) not in reached]
        left = _unseen(_vary(assignment, choices, tasks, repeated), seen) + left
    left_out = ((key, *known) for key, known in wanted.items() if key not in reached)
    chosen.unreached = [text for key, text, state in left_out if key == state or state in reached]
    return chosen


def _unseen(assignments: Iterator[Assignment], seen: set[str]) -> list[Assignment]:
    found = []
    for one in assignments:
        key = repr((sorted(one.picked.items(), key=repr), sorted(one.failing), one.first))
        if key not in seen:
            seen.add(key)
            found.append(one)
    return found


def _vary(
    assignment: Assignment, choices: Choices, tasks: Sequence[str], repeated: Mapping[str, str]
) -> Iterator[Assignment]:
    """The assignments with one thing changed."""
    for place, values in choices.values.items():
        for index in range(len(values)):
            if index != assignment.picked.get(place, 0):
                yield Assignment({**assignment.picked, place: index}, assignment.failing, assignment.first)
                state = place[0][1]
                if state in repeated and not assignment.first:
                    yield Assignment(assignment.picked, assignment.failing, {state: (place, index)})
    for task in tasks:
        if task not in assignment.failing:
            yield Assignment(assignment.picked, assignment.failing | {task}, assignment.first)


def _find_failure(state: str) -> str:
    return f"failure {state}"


def _list_wanted(state: State) -> Iterator[tuple[str, str]]:
    yield f"state {state.name}", f"the state {state.name}"
    if state.type == "Choice":
        for target in dict.fromkeys(to for _, to in state.iter_choices()):
            yield f"way {state.name}\n{target}", f"the way of {state.name} to {target}"
    if state.type == "Task":
        yield _find_failure(state.name), f"a failure of {state.name}"


def _find_reached(trace: Trace) -> set[str]:
    found = {f"state {state}" for _, state in trace.entered}
    found |= {f"way {before}\n{state}" for before, state in trace.entered if before is not None}
    return found | {_find_failure(event.state) for event in trace.events if event.is_failure}
