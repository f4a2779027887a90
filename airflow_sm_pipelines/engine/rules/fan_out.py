"""A ForEach step that runs: its items, and the graph of the steps it makes for them.

Each step of the body becomes one step for each item, called ``<body step>-<index>`` (SDK v3, ``ForEachStep``). Within
an iteration the steps wait for each other as the body says. The ForEach step waits for what the body needs from
outside.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Dependency, StepGraph, StepNode
from airflow_sm_pipelines.definition.graph import iter_edges
from airflow_sm_pipelines.definition.steps import name_iteration
from airflow_sm_pipelines.engine.rules.errors import StepError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_sm_pipelines.definition import ForEachStep, JsonValue, Step


@dataclass(frozen=True, slots=True)
class Iteration:
    """The steps that a ForEach step makes for one item.

    :param parent: the ForEach step.
    :param index: the index of the item, from 0.
    :param siblings: the steps of the body, by their names in the definition.
    """

    parent: str
    index: int
    item: JsonValue
    siblings: Mapping[str, Step]

    def child(self, body_step: str) -> str:
        """The name of the step that a body step becomes for this item."""
        return name_iteration(body_step, self.index)


@dataclass(frozen=True, slots=True)
class FanOut:
    """The steps that a ForEach step makes.

    :param graph: the steps by name; in its order one iteration comes after the other.
    :param iterations: the iteration of each step.
    :param max_concurrency: how many of the steps may be active at once.
    """

    step: ForEachStep
    items: tuple[JsonValue, ...]
    graph: StepGraph
    iterations: Mapping[str, Iteration]
    max_concurrency: int


def plan_fan_out(step: ForEachStep, items: Iterable[JsonValue]) -> FanOut:
    """Plan the steps that a ForEach step makes for its items."""
    all_items = tuple(items)
    siblings = {body_step.name: body_step for body_step in step.body}
    upstream = {name: _inner_dependencies(body_step, siblings) for name, body_step in siblings.items()}
    body_order = _sort({name: [dependency.step for dependency in needed] for name, needed in upstream.items()})
    nodes: dict[str, StepNode] = {}
    downstream: dict[str, list[str]] = {}
    iterations: dict[str, Iteration] = {}
    for index, item in enumerate(all_items):
        iteration = Iteration(step.name, index, item, siblings)
        for name in body_order:
            child = iteration.child(name)
            needed = tuple(Dependency(iteration.child(entry.step), entry.trigger) for entry in upstream[name])
            nodes[child] = StepNode(replace(siblings[name], name=child), None, None, needed)
            iterations[child] = iteration
            for before in nodes[child].waits_for:
                downstream.setdefault(before, []).append(child)
    graph = StepGraph(nodes, tuple(nodes), {name: tuple(names) for name, names in downstream.items()})
    return FanOut(step, all_items, graph, iterations, step.max_concurrency)


def read_items(value: JsonValue, *, step: str) -> list[JsonValue]:
    """The items in a resolved ``IterableItems``: a list, or the text of a JSON list.

    :raises StepError: it is neither.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise StepError(
                f"ClientError: IterableItems of step '{step}' must be the text of a JSON list, found {value!r:.200}."
            ) from error
    if not isinstance(value, list):
        raise StepError(f"ClientError: IterableItems of step '{step}' must be a JSON list, found {value!r:.200}.")
    return value


def _inner_dependencies(step: Step, siblings: Mapping[str, Step]) -> tuple[Dependency, ...]:
    explicit = {dependency.step for dependency in step.depends_on}
    found = {
        (edge.upstream, edge.trigger): Dependency(edge.upstream, edge.trigger)
        for edge in iter_edges(step)
        if edge.upstream in siblings and (edge.is_explicit or edge.upstream not in explicit)
    }
    return tuple(found.values())


def _sort(waits_for: Mapping[str, list[str]]) -> list[str]:
    """The names, each after those it waits for; a checked definition has no cycles."""
    order: list[str] = []
    waiting = dict(waits_for)
    while waiting:
        name = next(name for name, needed in waiting.items() if not any(other in waiting for other in needed))
        del waiting[name]
        order.append(name)
    return order
