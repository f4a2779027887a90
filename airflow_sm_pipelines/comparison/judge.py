"""Says whether a run of a DAG did what one of the machine did: the same calls, in an order that the machine allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.comparison.normal_form import find_difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.comparison.traces import Event, Trace


def judge(machine: Trace, dag: Trace, groups: Mapping[str, str]) -> str:
    """The first difference, in words; empty if there is none.

    :param groups: for each state in a Map state, that Map: its other items go on when one fails.
    """
    pairs, left = [], list(dag.events)
    for event in machine.events:
        candidates = [one for one in left if one.state == event.state and one.what == event.what]
        if not candidates:
            return f"{_name(event)}: the machine makes a call of {event.what}{_explain(event, left)}"
        found = next((one for one in candidates if not _differs(event, one)), None)
        if found is None:
            return f"{_name(event)}, task {candidates[0].task}: {_differs(event, candidates[0])}."
        left.remove(found)
        pairs.append((event, found))
    failed = {groups[event.state] for event in machine.events if event.is_failure and event.state in groups}
    extra = next((one for one in left if groups.get(one.state) not in failed or one.state not in groups), None)
    if extra is not None:
        return f"Task {extra.task}: the DAG makes a call of {extra.what}, and the machine does not."
    order = _judge_order(pairs, {id(one): index for index, one in enumerate(dag.events)})
    if order:
        return order
    if machine.end != dag.end:
        ends = {"success": "succeeds", "failed": "fails"}
        why = f" ({one.error or one.reason})" if (one := machine).end == "failed" else ""
        return f"The machine {ends[machine.end]}{why}, and the DAG {ends.get(dag.end, dag.end)}. {dag.reason}".rstrip()
    return ""


def _name(event: Event) -> str:
    return f"State {event.state}"


def _differs(machine: Event, dag: Event) -> str:
    if machine.what == "wait":
        return "" if not _is_number(dag.given) else find_difference(float(machine.given), float(dag.given), "seconds")
    return find_difference(machine.given, dag.given)


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _explain(event: Event, left: Sequence[Event]) -> str:
    other = next((one.what for one in left if one.state == event.state), None)
    return f", and its task one of {other}." if other else ", and no task of the DAG does."


def _judge_order(pairs: Sequence[tuple[Event, Event]], numbers: Mapping[int, int]) -> str:
    for index, (event, found) in enumerate(pairs):
        for later, other in pairs[index + 1 :]:
            if not are_beside(event.place, later.place) and numbers[id(found)] > numbers[id(other)]:
                return (
                    f"Task {other.task} runs before {found.task}; in the machine {event.state} is before {later.state}."
                )
    return ""


def are_beside(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two places are in branches, or items, of one state that run beside each other."""
    for first, second in zip(one, other, strict=False):
        if first != second:
            return first.partition("/")[0] == second.partition("/")[0]
    return False
