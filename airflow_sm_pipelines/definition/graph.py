"""The graph of a pipeline's steps: which step waits for which, by ``DependsOn`` and by the expressions it holds.

The rules, with their sources:

- A step waits for every step it names in ``DependsOn`` and every step whose property or property file it reads
  (developer guide, "Data dependency between steps"). A step that does both waits once, with the trigger that
  ``DependsOn`` names.
- A Condition step waits for what its conditions read, not for what its branches read.
- A step in a branch waits for its Condition step besides its own dependencies, which may lie anywhere.
- A step that depends on a Condition step waits for its decision, not for the branch that it chose (the SDK's graph
  draws this edge from the Condition step itself).
- A ForEach step waits for everything that its body needs from outside.
- A Cleanup step waits for the steps whose objects it deletes (SDK v3 ``CleanupStep``).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.expressions import (
    PropertyFileReference,
    StepReference,
    iter_candidates,
    parse_expression,
)
from airflow_sm_pipelines.definition.step_places import iter_places
from airflow_sm_pipelines.definition.steps import Dependency, ForEachStep, Step
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_sm_pipelines.definition.json_value import JsonPath, JsonValue
    from airflow_sm_pipelines.definition.pipeline import PipelineDefinition


@dataclass(frozen=True, slots=True)
class Edge:
    """One reason why a step waits for another.

    :param upstream: the step it waits for.
    :param trigger: how that step must have ended.
    :param path: where in the waiting step the reason stands.
    :param is_explicit: whether it comes from ``DependsOn``.
    """

    upstream: str
    trigger: str
    path: JsonPath
    is_explicit: bool


@dataclass(frozen=True, slots=True)
class StepNode:
    """A step in the graph.

    :param parent: the Condition step in whose branch it stands; ``None`` outside of branches.
    :param branch: ``If`` or ``Else``; ``None`` outside of branches.
    :param upstream: the steps it waits for, explicit before implied, each once. The parent is among them only if the
        definition names it; :attr:`waits_for` always has it.
    """

    step: Step
    parent: str | None
    branch: str | None
    upstream: tuple[Dependency, ...]

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The names of all steps that must end before this one can start, its Condition step first."""
        names = dict.fromkeys([self.parent] if self.parent else [])
        names.update(dict.fromkeys(dependency.step for dependency in self.upstream))
        return tuple(names)


@dataclass(frozen=True, slots=True)
class StepGraph:
    """The steps of a pipeline by what they wait for.

    :param nodes: every step by name, in document order; ForEach bodies are not part of the graph.
    :param order: the names, sorted so that each comes after all it waits for, and otherwise in document order.
    """

    nodes: Mapping[str, StepNode]
    order: tuple[str, ...]
    _downstream: Mapping[str, tuple[str, ...]] = field(repr=False)

    def downstream(self, name: str) -> tuple[str, ...]:
        """The names of the steps that wait directly for this one, a Condition's branches included."""
        return self._downstream.get(name, ())


def build_graph(definition: PipelineDefinition) -> StepGraph:
    """Build the graph of a definition's steps.

    :raises DefinitionError: for a cycle or a dependency on an unknown step. A parsed definition has neither.
    """
    nodes = {
        place.step.name: StepNode(
            place.step, place.parent.name if place.parent else None, place.branch, _merge(iter_edges(place.step))
        )
        for place in iter_places(definition)
        if not place.is_template
    }
    downstream: dict[str, list[str]] = {name: [] for name in nodes}
    for name, node in nodes.items():
        for upstream in node.waits_for:
            if upstream not in nodes:
                raise DefinitionError(f"Step {name!r} depends on {upstream!r}, but no step is called so.")
            downstream[upstream].append(name)
    waits_for = {name: node.waits_for for name, node in nodes.items()}
    order = _sort(waits_for, downstream)
    if len(order) < len(nodes):
        cycles = [" → ".join([*cycle, cycle[0]]) for cycle in find_cycles(waits_for)]
        raise DefinitionError(f"These steps wait for each other: {'; '.join(cycles)}.")
    return StepGraph(nodes, order, {name: tuple(steps) for name, steps in downstream.items()})


def list_unconditional_steps(definition: PipelineDefinition) -> frozenset[str]:
    """The names of the steps that every successful execution of the whole pipeline runs.

    A step in a branch or in a ForEach body may not run. Neither may one that waits for such a step, or for the failure
    of another one.
    """
    graph = build_graph(definition)
    found: set[str] = set()
    for name in graph.order:
        node = graph.nodes[name]
        if node.parent is None and all(one.step in found and one.trigger != "Failed" for one in node.upstream):
            found.add(name)
    return frozenset(found)


def iter_edges(step: Step) -> Iterator[Edge]:
    """Find every reason why this step waits for another, explicit ones first, then in document order.

    Malformed expressions are passed over; the checks report them.
    """
    for index, dependency in enumerate(step.depends_on):
        yield Edge(dependency.step, dependency.trigger, ("DependsOn", index), is_explicit=True)
    if step.type == "Cleanup":
        for path, name in iter_cleanup_sources(step):
            yield Edge(name, "Completed", path, is_explicit=False)
    for path, operand in step.iter_operands():
        for inner, candidate in iter_candidates(operand):
            upstream = _referenced_step(candidate)
            if upstream is not None:
                yield Edge(upstream, "Completed", (*path, *inner), is_explicit=False)
    if isinstance(step, ForEachStep):
        yield from _iter_body_edges(step)


def _iter_body_edges(step: ForEachStep) -> Iterator[Edge]:
    """Find every reason why the body of a ForEach step waits for a step outside of it."""
    inside = {body_step.name for body_step in step.body}
    for index, body_step in enumerate(step.body):
        for edge in iter_edges(body_step):
            if edge.upstream not in inside:
                path = ("Arguments", "ForEachBody", index, *edge.path)
                yield Edge(edge.upstream, edge.trigger, path, edge.is_explicit)


def iter_cleanup_sources(step: Step) -> Iterator[tuple[JsonPath, str]]:
    """Find the steps whose objects a Cleanup step deletes, each with its path in the step."""
    resources = step.arguments.get("Resources")
    sources = resources.get("S3") if isinstance(resources, dict) else None
    for index, source in enumerate(sources if isinstance(sources, list) else []):
        name = source.get("StepName") if isinstance(source, dict) else None
        if isinstance(name, str):
            yield ("Arguments", "Resources", "S3", index, "StepName"), name


def find_cycles(waits_for: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Find one shortest cycle in each group of nodes that wait for each other; each name once, in waiting order."""
    cycles = []
    for group in _strongly_connected(waits_for):
        members = set(group)
        start = next(name for name in waits_for if name in members)
        if len(members) > 1 or start in waits_for[start]:
            cycles.append(_shortest_cycle(start, members, waits_for))
    positions = {name: index for index, name in enumerate(waits_for)}
    return sorted(cycles, key=lambda cycle: positions[cycle[0]])


def _referenced_step(candidate: JsonValue) -> str | None:
    try:
        expression = parse_expression(candidate)
    except DefinitionError:
        return None
    return expression.step if isinstance(expression, (StepReference, PropertyFileReference)) else None


def _merge(edges: Iterable[Edge]) -> tuple[Dependency, ...]:
    merged: dict[tuple[str, str], Dependency] = {}
    explicit: set[str] = set()
    for edge in edges:
        if edge.is_explicit:
            explicit.add(edge.upstream)
        elif edge.upstream in explicit:
            continue
        merged.setdefault((edge.upstream, edge.trigger), Dependency(edge.upstream, edge.trigger))
    return tuple(merged.values())


def _sort(waits_for: Mapping[str, tuple[str, ...]], downstream: Mapping[str, list[str]]) -> tuple[str, ...]:
    names = list(waits_for)
    positions = {name: index for index, name in enumerate(names)}
    waiting = {name: len(upstream) for name, upstream in waits_for.items()}
    ready = [positions[name] for name, count in waiting.items() if count == 0]
    order = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for follower in downstream[name]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                heapq.heappush(ready, positions[follower])
    return tuple(order)


def _strongly_connected(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Find the groups by Tarjan's algorithm, without recursion: a chain may have thousands of steps."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    open_nodes: list[str] = []
    is_open: set[str] = set()
    components: list[list[str]] = []
    for root in graph:
        if root in number:
            continue
        number[root] = low[root] = len(number)
        open_nodes.append(root)
        is_open.add(root)
        work = [(root, iter(graph[root]))]
        while work:
            node, followers = work[-1]
            for follower in followers:
                if follower not in graph:
                    continue
                if follower not in number:
                    number[follower] = low[follower] = len(number)
                    open_nodes.append(follower)
                    is_open.add(follower)
                    work.append((follower, iter(graph[follower])))
                    break
                if follower in is_open:
                    low[node] = min(low[node], number[follower])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == number[node]:
                    at = open_nodes.index(node)
                    components.append(open_nodes[at:])
                    is_open.difference_update(open_nodes[at:])
                    del open_nodes[at:]
    return components


def _shortest_cycle(start: str, members: set[str], graph: Mapping[str, Iterable[str]]) -> list[str]:
    came_from: dict[str, str] = {}
    level = [start]
    while level:
        following = []
        for node in level:
            for follower in graph[node]:
                if follower == start:
                    cycle = [node]
                    while cycle[-1] != start:
                        cycle.append(came_from[cycle[-1]])
                    return cycle[::-1]
                if follower in members and follower not in came_from:
                    came_from[follower] = node
                    following.append(follower)
        level = following
    return [start]
