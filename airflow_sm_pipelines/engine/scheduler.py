"""What an execution does next: from the graph and the steps' statuses to starts, stops and the final status.

Pure, and the one place where the rules of running stand:

* A step starts when each of its dependencies ended as its trigger says (``Completed`` means Succeeded) and, inside a
  Condition's branch, when the Condition took that branch.
* A step that waits for something that can no longer happen never starts: the branch not taken, and whatever depends
  on it. Depending on a Condition step means waiting for its evaluation, not for its branches.
* A Failed or Stopped step is *handled* if a step with a matching trigger (``Failed``, ``Stopped``, ``Any``) runs or
  still may. An unhandled one blocks: running steps finish, nothing new starts except steps with such a trigger and what
  depends on these. (Whether the service still starts independent branches is not documented; this is our choice.)
* A ForEach step that runs starts, by these same rules among them, the steps it makes of its items, and ends when
  nothing of them is left to do. It counts neither as active nor against a limit itself; its steps do.
* Final status: Stopped if a stop was requested, Failed if a failure was unhandled, CompletedWithFailures if all were
  handled (SDK v3, ``StepDependency``), else Succeeded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import ForEachStep
from airflow_sm_pipelines.definition.status import ExecutionStatus, StepStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.definition import StepGraph, StepNode
    from airflow_sm_pipelines.engine.fan_out import FanOut


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where an execution stands.

    :param statuses: the status of every step that was scheduled; absent means not yet.
    :param outcomes: what each evaluated Condition step found.
    :param stop_requested: whether StopPipelineExecution was called.
    :param selected: the only steps that may start (selective execution); None means all.
    :param max_parallel: how many steps may be active at once; None means no limit.
    :param fan_outs: the ForEach steps that run, by name; the statuses of their steps are among ``statuses``.
    """

    statuses: Mapping[str, StepStatus]
    outcomes: Mapping[str, bool] = field(default_factory=dict)
    stop_requested: bool = False
    max_parallel: int | None = None
    selected: frozenset[str] | None = None
    fan_outs: Mapping[str, FanOut] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now.

    :param start: steps to start.
    :param stop: active steps to stop.
    :param end: ForEach steps whose iterations are over, and how they end.
    :param final: the execution's final status, once nothing is left to do.
    """

    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    end: tuple[tuple[str, StepStatus], ...] = ()
    final: ExecutionStatus | None = None


class Prospect(Enum):
    """What lies ahead of a step that is not scheduled yet."""

    READY = "ready"
    WAITING = "waiting"
    NEVER = "never"


def decide(graph: StepGraph, snapshot: Snapshot) -> Decision:
    """The next actions of an execution; the same snapshot always gives the same decision.

    Starts come in topological order, so with a limit the steps declared first go first.
    """
    active = [name for name, status in snapshot.statuses.items() if not status.is_terminal]
    if snapshot.stop_requested:
        stop = tuple(name for name in active if snapshot.statuses[name] is not StepStatus.STOPPING)
        over = tuple(
            (name, StepStatus.STOPPED)
            for name, fan_out in _running(snapshot)
            if not any(child in fan_out.graph.nodes for child in active)
        )
        return Decision(stop=stop, end=over, final=None if active else ExecutionStatus.STOPPED)
    prospects = find_prospects(graph, snapshot)
    bad = {
        name: status
        for name, status in snapshot.statuses.items()
        if status in (StepStatus.FAILED, StepStatus.STOPPED) and name in graph.nodes
    }
    handlers = _find_handlers(graph) if bad else {}
    unhandled = [
        name for name, status in bad.items() if not _is_handled(name, status, handlers=handlers, prospects=prospects)
    ]
    ready = [name for name in graph.order if prospects.get(name) is Prospect.READY]
    if unhandled and ready:
        rescuers = _find_rescuers(graph)
        ready = [name for name in ready if name in rescuers]
    children, end = _decide_iterations(snapshot)
    if snapshot.max_parallel is not None:
        room = max(0, snapshot.max_parallel - sum(name not in snapshot.fan_outs for name in active))
        children, room = children[:room], max(0, room - len(children))
        ready = _fit(graph, ready, room)
    if active or ready:
        return Decision(start=(*children, *ready), end=end)
    if unhandled:
        return Decision(final=ExecutionStatus.FAILED)
    return Decision(final=ExecutionStatus.COMPLETED_WITH_FAILURES if bad else ExecutionStatus.SUCCEEDED)


def _running(snapshot: Snapshot) -> Iterator[tuple[str, FanOut]]:
    return ((name, fan_out) for name, fan_out in snapshot.fan_outs.items() if not snapshot.statuses[name].is_terminal)


def _decide_iterations(snapshot: Snapshot) -> tuple[list[str], tuple[tuple[str, StepStatus], ...]]:
    """The steps of running ForEach steps that may start now, and the ForEach steps that are over."""
    start: list[str] = []
    end: list[tuple[str, StepStatus]] = []
    for name, fan_out in _running(snapshot):
        statuses = {child: snapshot.statuses[child] for child in fan_out.graph.order if child in snapshot.statuses}
        inner = decide(fan_out.graph, Snapshot(statuses, max_parallel=fan_out.max_concurrency))
        start.extend(inner.start)
        if inner.final is not None:
            failed = inner.final is ExecutionStatus.FAILED
            end.append((name, StepStatus.FAILED if failed else StepStatus.SUCCEEDED))
    return start, tuple(end)


def _fit(graph: StepGraph, ready: list[str], room: int) -> list[str]:
    """As many of the steps, in their order, as there is room for; ForEach steps take none."""
    fitting = []
    for name in ready:
        is_free = isinstance(graph.nodes[name].step, ForEachStep)
        if is_free or room > 0:
            fitting.append(name)
            room -= not is_free
    return fitting


def find_prospects(graph: StepGraph, snapshot: Snapshot) -> dict[str, Prospect]:
    """The prospect of every step that is not scheduled."""
    prospects: dict[str, Prospect] = {}
    for name in graph.order:
        if name not in snapshot.statuses:
            prospects[name] = _prospect(graph.nodes[name], snapshot, prospects)
    return prospects


def steps_to_reset(graph: StepGraph, statuses: Mapping[str, StepStatus]) -> tuple[str, ...]:
    """The steps RetryPipelineExecution runs again: those that failed or stopped, and whatever ran because of that."""
    reset = {name for name, status in statuses.items() if status in (StepStatus.FAILED, StepStatus.STOPPED)}
    work = list(reset)
    while work:
        followers = [name for name in graph.downstream(work.pop()) if name not in reset]
        reset.update(followers)
        work.extend(followers)
    return tuple(name for name in graph.order if name in reset and name in statuses)


def _prospect(node: StepNode, snapshot: Snapshot, prospects: Mapping[str, Prospect]) -> Prospect:
    waiting = False
    if snapshot.selected is not None and node.step.name not in snapshot.selected:
        return Prospect.NEVER
    if node.parent is not None:
        status = snapshot.statuses.get(node.parent)
        if status is None:
            if prospects[node.parent] is Prospect.NEVER:
                return Prospect.NEVER
            waiting = True
        elif not status.is_terminal:
            waiting = True
        elif status is not StepStatus.SUCCEEDED or snapshot.outcomes.get(node.parent) is not (node.branch == "If"):
            return Prospect.NEVER
    for dependency in node.upstream:
        status = snapshot.statuses.get(dependency.step)
        if status is None:
            if prospects[dependency.step] is Prospect.NEVER:
                return Prospect.NEVER
            waiting = True
        elif not status.is_terminal:
            waiting = True
        elif not _satisfies(dependency.trigger, status):
            return Prospect.NEVER
    return Prospect.WAITING if waiting else Prospect.READY


def _satisfies(trigger: str, status: StepStatus) -> bool:
    if trigger == "Any":
        return True
    wanted = {"Completed": StepStatus.SUCCEEDED, "Failed": StepStatus.FAILED, "Stopped": StepStatus.STOPPED}
    return wanted[trigger] is status


def _find_handlers(graph: StepGraph) -> dict[str, list[tuple[str, str]]]:
    """For each step, the steps that name a trigger other than Completed on it, with that trigger."""
    handlers: dict[str, list[tuple[str, str]]] = {}
    for name, node in graph.nodes.items():
        for dependency in node.upstream:
            if dependency.trigger != "Completed":
                handlers.setdefault(dependency.step, []).append((name, dependency.trigger))
    return handlers


def _is_handled(
    name: str,
    status: StepStatus,
    *,
    handlers: Mapping[str, list[tuple[str, str]]],
    prospects: Mapping[str, Prospect],
) -> bool:
    # A handler that is absent from the prospects has been scheduled already.
    return any(
        _satisfies(trigger, status) and prospects.get(handler) is not Prospect.NEVER
        for handler, trigger in handlers.get(name, ())
    )


def _find_rescuers(graph: StepGraph) -> set[str]:
    """Steps that may start while a failure blocks: those with a run condition, and all that follow from them."""
    rescuers: set[str] = set()
    for name in graph.order:
        node = graph.nodes[name]
        if node.parent in rescuers or any(
            dependency.trigger != "Completed" or dependency.step in rescuers for dependency in node.upstream
        ):
            rescuers.add(name)
    return rescuers
