"""What is known where ways of a choice join, with tasks for the values that only each way can tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Dependency
from airflow_sm_pipelines.migrate.node_references import find_read_nodes
from airflow_sm_pipelines.migrate.stepfunctions.document_values import (
    Env,
    Ref,
    UnsupportedError,
    Value,
    give_nothing,
    make_first,
    merge_envs,
    to_expression,
)
from airflow_sm_pipelines.migrate.workflow import Node, ValueNode, iter_nodes

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow_sm_pipelines.migrate.names import ClaimedNames
    from airflow_sm_pipelines.migrate.stepfunctions.machine import State


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a block.

    :param after: the nodes that must end before what follows.
    :param is_dead: whether the machine always fails in it.
    """

    nodes: tuple[Node, ...]
    env: Env
    after: tuple[str, ...]
    is_dead: bool = False


class WayValues:
    """The values that the ways of one reading give.

    Only the end of a reading tells what is read, so a machine is read again for as long as there are nodes for nobody.

    :param wanted: the keys of the values to give; None for all.
    :param names: the workflow's; the nodes' names are claimed from them.
    """

    def __init__(self, wanted: frozenset[str] | None, names: ClaimedNames) -> None:
        self._wanted = wanted
        self._names = names
        self._nodes: dict[str, str] = {}

    @property
    def given(self) -> frozenset[str]:
        """The keys of the values that have nodes."""
        return frozenset(self._nodes.values())

    def find_read(self, nodes: tuple[Node, ...]) -> frozenset[str]:
        """The keys of those that a node reads."""
        read = find_read_nodes(nodes)
        return frozenset(key for node, key in self._nodes.items() if node in read)

    def join(self, state: State, name: str, ways: list[Done], work: Collection[str] = ()) -> tuple[Env, list[Done]]:
        """What is known where ways join, and the ways with nodes for the values that they give.

        :param name: of the node that has the ways.
        :param work: nodes before the ways whose failure leads into one of them.
        """
        alive = [index for index, way in enumerate(ways) if not way.is_dead]
        inside = {*work, *names_of([node for way in ways for node in way.nodes])}
        added: dict[int, list[Node]] = {}

        def give(path: tuple[str, ...], values: Sequence[tuple[int, Value]]) -> Value:
            key = "/".join((state.source, *path))
            is_wanted = self._wanted is None or key in self._wanted
            if not is_wanted or any(value is None for _, value in values):
                return give_nothing(path, values)
            try:
                written = [(alive[way], to_expression(value)) for way, value in values]
            except UnsupportedError:
                return give_nothing(path, values)
            found: list[Value] = []
            for way, expression in written:
                node_name = self._names.claim(f"{name}-{path[-1].lstrip('$') if path else 'document'}")
                self._nodes[node_name] = key
                node = ValueNode(node_name, state.source, expression, make_after(ways[way].after))
                added.setdefault(way, []).append(node)
                found.append(Ref(f"Tasks.{node_name}"))
            return make_first(found)

        merged = merge_envs([ways[index].env for index in alive], inside, give)
        return merged, [replace(way, nodes=(*way.nodes, *added.get(index, ()))) for index, way in enumerate(ways)]


def make_after(names: tuple[str, ...]) -> tuple[Dependency, ...]:
    """The dependencies on nodes."""
    return tuple(map(Dependency, names))


def names_of(nodes: Sequence[Node]) -> set[str]:
    """The names of nodes and of all nodes in them."""
    return {node.name for node in iter_nodes(tuple(nodes))}
