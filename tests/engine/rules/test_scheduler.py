"""What an execution does next: the rules one by one, and against a slow, obvious reference on random graphs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sm_pipelines.definition import ForEachStep, StepGraph, StepNode, build_graph, parse_definition
from airflow_sm_pipelines.definition.status import ExecutionStatus, StepStatus
from airflow_sm_pipelines.engine.rules.fan_out import FanOut, plan_fan_out
from airflow_sm_pipelines.engine.rules.scheduler import Decision, Schedule, Snapshot, decide, steps_to_reset
from tests.engine.fake_world import condition, definition_text, fail_step, for_each, processing

if TYPE_CHECKING:
    from collections.abc import Mapping

EXECUTING, SUCCEEDED, FAILED, STOPPED, STOPPING = (
    StepStatus.EXECUTING,
    StepStatus.SUCCEEDED,
    StepStatus.FAILED,
    StepStatus.STOPPED,
    StepStatus.STOPPING,
)
TRUE = [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}]


def graph_of(*steps: Any) -> StepGraph:
    items = [{"Name": "Items", "Type": "String"}]
    return build_graph(parse_definition(definition_text(list(steps), parameters=items)))


def on(step: str, trigger: str) -> dict[str, str]:
    return {"Step": step, "Trigger": trigger}


CHAIN = graph_of(processing("A"), processing("B", depends_on=["A"]), processing("C", depends_on=["B"]), processing("D"))


def test_everything_that_waits_for_nothing_starts_together_in_document_order() -> None:
    assert decide(CHAIN, Snapshot({})) == Decision(start=("A", "D"))


def test_a_step_starts_when_what_it_waits_for_has_succeeded() -> None:
    assert decide(CHAIN, Snapshot({"A": SUCCEEDED, "D": EXECUTING})).start == ("B",)


def test_the_limit_counts_active_steps() -> None:
    assert decide(CHAIN, Snapshot({}, max_parallel=1)).start == ("A",)
    assert decide(CHAIN, Snapshot({"A": SUCCEEDED, "D": EXECUTING}, max_parallel=1)) == Decision()


def test_a_failure_lets_running_steps_finish_and_starts_nothing_new() -> None:
    wide = graph_of(processing("A"), processing("B"), processing("C", depends_on=["B"]))
    assert decide(wide, Snapshot({"A": FAILED, "B": EXECUTING})) == Decision()
    assert decide(wide, Snapshot({"A": FAILED, "B": SUCCEEDED})) == Decision(final=ExecutionStatus.FAILED)


def test_a_stop_stops_what_runs_and_ends_as_stopped() -> None:
    stopping = Snapshot({"A": EXECUTING, "D": STOPPING}, stop_requested=True)
    assert decide(CHAIN, stopping) == Decision(stop=("A",))
    ended = Snapshot({"A": SUCCEEDED, "D": STOPPED}, stop_requested=True)
    assert decide(CHAIN, ended) == Decision(final=ExecutionStatus.STOPPED)


def test_only_the_branch_taken_runs_and_what_depends_on_the_other_never_starts() -> None:
    graph = graph_of(
        condition("If", TRUE, then=[processing("Yes")], otherwise=[processing("No")]),
        processing("AfterYes", depends_on=["Yes"]),
        processing("AfterNo", depends_on=["No"]),
        processing("AfterIf", arguments={"Environment": {"TAKEN": {"Get": "Steps.If.Outcome"}}}),
    )
    taken = Snapshot({"If": SUCCEEDED}, outcomes={"If": False})
    assert decide(graph, taken).start == ("No", "AfterIf")
    ended = Snapshot({"If": SUCCEEDED, "No": SUCCEEDED, "AfterIf": SUCCEEDED, "AfterNo": SUCCEEDED}, {"If": False})
    assert decide(graph, ended).final is ExecutionStatus.SUCCEEDED


def test_a_branch_within_a_branch_not_taken_never_starts() -> None:
    inner = condition("Inner", TRUE, then=[processing("Deep")], otherwise=[])
    graph = graph_of(condition("Outer", TRUE, then=[inner], otherwise=[]))
    assert decide(graph, Snapshot({"Outer": SUCCEEDED}, {"Outer": False})).final is ExecutionStatus.SUCCEEDED


def test_a_fail_step_fails_the_execution() -> None:
    graph = graph_of(fail_step("No", "message"))
    assert decide(graph, Snapshot({"No": FAILED})).final is ExecutionStatus.FAILED


HANDLED = graph_of(
    processing("A"),
    processing("Notify", depends_on=[on("A", "Failed")]),
    processing("Report", depends_on=["Notify"]),
    processing("Next", depends_on=["A"]),
    processing("Other"),
    processing("AfterOther", depends_on=["Other"]),
)


def test_a_handled_failure_lets_independent_branches_go_on_and_ends_completed_with_failures() -> None:
    assert decide(HANDLED, Snapshot({"A": FAILED, "Other": SUCCEEDED})).start == ("Notify", "AfterOther")
    ended = Snapshot(
        {"A": FAILED, "Notify": SUCCEEDED, "Report": SUCCEEDED, "Other": SUCCEEDED, "AfterOther": SUCCEEDED}
    )
    assert decide(HANDLED, ended).final is ExecutionStatus.COMPLETED_WITH_FAILURES


def test_without_a_failure_the_handler_never_starts() -> None:
    ended = Snapshot({"A": SUCCEEDED, "Next": SUCCEEDED, "Other": SUCCEEDED, "AfterOther": SUCCEEDED})
    assert decide(HANDLED, ended).final is ExecutionStatus.SUCCEEDED


def test_while_an_unhandled_failure_blocks_handlers_of_another_and_their_followers_still_run() -> None:
    both = Snapshot({"A": FAILED, "Other": FAILED})
    assert decide(HANDLED, both).start == ("Notify",)
    later = Snapshot({"A": FAILED, "Other": FAILED, "Notify": SUCCEEDED})
    assert decide(HANDLED, later).start == ("Report",)
    ended = Snapshot({"A": FAILED, "Other": FAILED, "Notify": SUCCEEDED, "Report": SUCCEEDED})
    assert decide(HANDLED, ended).final is ExecutionStatus.FAILED


@pytest.mark.parametrize(
    ("trigger", "status", "starts"),
    [
        ("Any", SUCCEEDED, True),
        ("Any", FAILED, True),
        ("Any", STOPPED, True),
        ("Stopped", STOPPED, True),
        ("Stopped", FAILED, False),
        ("Failed", STOPPED, False),
        ("Failed", SUCCEEDED, False),
    ],
)
def test_a_trigger_says_which_end_it_waits_for(trigger: str, status: StepStatus, starts: bool) -> None:
    graph = graph_of(processing("A"), processing("B", depends_on=[on("A", trigger)]))
    assert (decide(graph, Snapshot({"A": status})).start == ("B",)) is starts


def test_a_retry_resets_what_failed_and_what_ran_because_of_it() -> None:
    statuses = {"A": FAILED, "Notify": SUCCEEDED, "Report": SUCCEEDED, "Other": SUCCEEDED}
    assert set(steps_to_reset(HANDLED, statuses)) == {"A", "Notify", "Report"}


def test_a_step_that_has_ended_stays_ended() -> None:
    schedule = Schedule(CHAIN, statuses={"A": SUCCEEDED}, outcomes={})
    with pytest.raises(ValueError, match="Step 'A' had ended as Succeeded"):
        schedule.set_status("A", EXECUTING)


def test_what_one_end_costs_does_not_grow_with_the_graph() -> None:
    looked_at: list[str] = []

    class Watched(dict[str, StepNode]):
        def __getitem__(self, name: str) -> StepNode:
            looked_at.append(name)
            return super().__getitem__(name)

    length = 2000
    steps = [processing(f"S{n}", depends_on=[f"S{n - 1}"] if n else None) for n in range(length)]
    graph = graph_of(*steps)
    schedule = Schedule(replace(graph, nodes=Watched(graph.nodes)), statuses={}, outcomes={})
    looked_at.clear()
    for number in range(length):
        assert schedule.decide().start == (f"S{number}",)
        schedule.set_status(f"S{number}", EXECUTING)
        schedule.set_status(f"S{number}", SUCCEEDED)
    assert schedule.decide().final is ExecutionStatus.SUCCEEDED
    assert len(looked_at) < 10 * length


# --- the reference: no order, no caching, only the rules as the documentation states them ---------------------------


def met(trigger: str, status: StepStatus) -> bool:
    return {"Completed": SUCCEEDED, "Failed": FAILED, "Stopped": STOPPED}.get(trigger, status) is status


def can_ever_start(graph: StepGraph, shot: Snapshot, name: str) -> bool:
    node = graph.nodes[name]
    if shot.selected is not None and name not in shot.selected:
        return False
    if node.parent is not None:
        parent = shot.statuses.get(node.parent)
        if parent is None:
            if not can_ever_start(graph, shot, node.parent):
                return False
        elif parent.is_terminal and (parent is not SUCCEEDED or shot.outcomes[node.parent] != (node.branch == "If")):
            return False
    for dependency in node.upstream:
        status = shot.statuses.get(dependency.step)
        if status is None:
            if not can_ever_start(graph, shot, dependency.step):
                return False
        elif status.is_terminal and not met(dependency.trigger, status):
            return False
    return True


def can_start_now(graph: StepGraph, shot: Snapshot, name: str) -> bool:
    node = graph.nodes[name]
    waits_for = [dependency.step for dependency in node.upstream] + ([node.parent] if node.parent else [])
    ended = all(step in shot.statuses and shot.statuses[step].is_terminal for step in waits_for)
    return name not in shot.statuses and ended and can_ever_start(graph, shot, name)


def comes_from_a_run_condition(graph: StepGraph, name: str) -> bool:
    node = graph.nodes[name]
    if any(dependency.trigger != "Completed" for dependency in node.upstream):
        return True
    before = [dependency.step for dependency in node.upstream] + ([node.parent] if node.parent else [])
    return any(comes_from_a_run_condition(graph, step) for step in before)


def is_handled(graph: StepGraph, shot: Snapshot, failed: str) -> bool:
    return any(
        dependency.step == failed
        and dependency.trigger != "Completed"
        and met(dependency.trigger, shot.statuses[failed])
        and (name in shot.statuses or can_ever_start(graph, shot, name))
        for name, node in graph.nodes.items()
        for dependency in node.upstream
    )


@dataclass(frozen=True)
class Loop:
    """A ForEach step written out: what runs, as if the author had written each iteration by hand."""

    graph: StepGraph
    concurrency: int


def reference(graph: StepGraph, shot: Snapshot, loops: Mapping[str, Loop] | None = None) -> Decision:
    """What is right to do.

    :param loops: the ForEach steps that have their items.
    """
    active = [name for name, status in shot.statuses.items() if not status.is_terminal]
    running = {name: loop for name, loop in (loops or {}).items() if not shot.statuses[name].is_terminal}
    if shot.stop_requested:
        to_stop = tuple(name for name in active if shot.statuses[name] is not STOPPING)
        over = tuple((name, STOPPED) for name, loop in running.items() if not set(loop.graph.nodes) & set(active))
        return Decision(stop=to_stop, end=over, final=None if active else ExecutionStatus.STOPPED)
    children: list[str] = []
    ends: list[tuple[str, StepStatus]] = []
    for name, loop in running.items():
        of_loop = {child: status for child, status in shot.statuses.items() if child in loop.graph.nodes}
        inner = reference(loop.graph, Snapshot(of_loop, max_parallel=loop.concurrency))
        children += inner.start
        if inner.final is not None:
            ends.append((name, FAILED if inner.final is ExecutionStatus.FAILED else SUCCEEDED))
    bad = [name for name, status in shot.statuses.items() if status in (FAILED, STOPPED) and name in graph.nodes]
    blocks = any(not is_handled(graph, shot, name) for name in bad)
    ready = [
        name
        for name in graph.order
        if can_start_now(graph, shot, name) and (not blocks or comes_from_a_run_condition(graph, name))
    ]
    starts = [*children, *ready]
    if shot.max_parallel is not None:
        room = shot.max_parallel - len([name for name in active if name not in (loops or {})])
        for name in list(starts):
            if name in graph.nodes and graph.nodes[name].step.type == "ForEach":
                continue
            room -= 1
            if room < 0:
                starts.remove(name)
    if starts or active:
        return Decision(start=tuple(starts), end=tuple(ends))
    if blocks:
        return Decision(final=ExecutionStatus.FAILED)
    return Decision(final=ExecutionStatus.COMPLETED_WITH_FAILURES if bad else ExecutionStatus.SUCCEEDED)


def write_out(step: ForEachStep, items: int) -> Loop:
    names = {body.name for body in step.body}
    steps = [
        processing(
            f"{body.name}-{index}",
            depends_on=[
                on(f"{dependency.step}-{index}", dependency.trigger)
                for dependency in body.depends_on
                if dependency.step in names
            ],
        )
        for index in range(items)
        for body in step.body
    ]
    return Loop(graph_of(*steps), step.max_concurrency)


def draw_body(draw: st.DrawFn, name: str, outside: list[str]) -> list[Any]:
    """One to three body steps that wait for each other, or for a step outside."""
    body: list[Any] = []
    for number in range(draw(st.integers(1, 3))):
        others = [step["Name"] for step in body] + outside
        upstream = draw(st.lists(st.sampled_from(others), max_size=2, unique=True) if others else st.just([]))
        triggers = st.sampled_from(["Completed", "Completed", "Failed", "Stopped", "Any"])
        body.append(processing(f"{name}b{number}", depends_on=[on(other, draw(triggers)) for other in upstream]))
    return list(draw(st.permutations(body)))


@st.composite
def step_lists(draw: st.DrawFn) -> list[Any]:
    """Random steps, nested in Conditions up to three deep, that depend on any earlier step with any trigger.

    Only Condition steps cannot be depended on.
    """
    names = [f"S{number}" for number in range(draw(st.integers(1, 9)))]
    placed: list[list[Any]] = [[]]
    open_branches: list[list[Any]] = [placed[0]]
    conditions_above: dict[int, list[str]] = {id(placed[0]): []}
    conditions: set[str] = set()
    for index, name in enumerate(names):
        here = draw(st.sampled_from(open_branches))
        above = conditions_above[id(here)]
        earlier = [other for other in names[:index] if other not in conditions]
        depends_on = [
            draw(st.sampled_from([other, on(other, "Failed"), on(other, "Stopped"), on(other, "Any")]))
            for other in draw(st.lists(st.sampled_from(earlier), max_size=3, unique=True) if earlier else st.just([]))
        ]
        if draw(st.integers(0, 3)) == 0 and len(above) < 3:
            then: list[Any] = []
            otherwise: list[Any] = []
            step = condition(name, TRUE, then=then, otherwise=otherwise)
            conditions.add(name)
            if depends_on:
                step["DependsOn"] = depends_on
            for branch in (then, otherwise):
                open_branches.append(branch)
                conditions_above[id(branch)] = [*above, name]
        elif draw(st.integers(0, 3)) == 0:
            body = draw_body(draw, name, earlier)
            step = for_each(name, {"Get": "Parameters.Items"}, body, concurrency=draw(st.integers(1, 3)))
            if depends_on:
                step["DependsOn"] = depends_on
        else:
            step = processing(name, depends_on=depends_on)
        here.append(step)
    return placed[0]


@settings(max_examples=300, deadline=None)
@given(steps=step_lists(), data=st.data())
def test_random_executions_follow_the_reference_to_their_end(steps: list[Any], data: st.DataObject) -> None:
    graph = graph_of(*steps)
    limit = data.draw(st.sampled_from([None, 1, 2]))
    selected = data.draw(st.none() | st.frozensets(st.sampled_from(graph.order)))
    stop_after = data.draw(st.sampled_from([None, 0, 1, 3]))
    statuses: dict[str, StepStatus] = {}
    outcomes: dict[str, bool] = {}
    fan_outs: dict[str, FanOut] = {}
    loops: dict[str, Loop] = {}
    schedule = Schedule(graph, statuses={}, outcomes={}, selected=selected)
    for turn in range(30 * len(graph.nodes) + 4):
        stops = stop_after is not None and turn >= stop_after
        shot = Snapshot(dict(statuses), dict(outcomes), stops, limit, selected, dict(fan_outs))
        decision = decide(graph, shot)
        assert decision == reference(graph, shot, loops)
        assert schedule.decide(stop_requested=stops, max_parallel=limit) == decision, "it learned one by one otherwise"
        if decision.final is not None:
            return
        changes = [
            *((name, EXECUTING) for name in decision.start),
            *((name, STOPPING) for name in decision.stop),
            *decision.end,
        ]
        for name, status in changes:
            statuses[name] = status
            schedule.set_status(name, status)
        for name in decision.start:
            step = graph.nodes[name].step if name in graph.nodes else None
            if isinstance(step, ForEachStep):
                items = data.draw(st.integers(0, 3))
                fan_outs[name] = plan_fan_out(step, range(items))
                loops[name] = write_out(step, items)
                schedule.add_fan_out(name, fan_outs[name])
        active = [name for name, status in statuses.items() if not status.is_terminal and name not in fan_outs]
        assert limit is None or stops or len(active) <= limit
        if not active:
            assert decision.start or decision.stop or decision.end, "an execution that does nothing is stuck"
            continue
        # Several may have ended before anybody looks.
        for name in data.draw(st.lists(st.sampled_from(active), min_size=1, max_size=3, unique=True)):
            if name in graph.nodes and graph.nodes[name].step.type == "Condition":
                outcomes[name] = data.draw(st.booleans())
                schedule.set_outcome(name, is_true=outcomes[name])
            statuses[name] = data.draw(st.sampled_from([SUCCEEDED, SUCCEEDED, FAILED, STOPPED]))
            schedule.set_status(name, statuses[name])
        assert schedule.statuses == statuses
    raise AssertionError("the execution did not end")
