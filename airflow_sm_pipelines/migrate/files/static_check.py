"""Holds the files of a migration against the workflow that they were made of.

The graph is rebuilt from the files (:mod:`written_graph`). Each node must be there, after what it comes after in the
workflow; each value must be read from something that comes before; each branch must lead to tasks that follow it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.migrate.dag_plan.steps_after_choice import ends_in_fail
from airflow_sm_pipelines.migrate.files.written_graph import WrittenGraph, WrittenPlace, read_written_graph
from airflow_sm_pipelines.migrate.node_references import find_own_values, iter_gets, parse_node_reference
from airflow_sm_pipelines.migrate.workflow import ChoiceNode, LoopNode, TryNode, iter_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_sm_pipelines.migrate.report import Record
    from airflow_sm_pipelines.migrate.workflow import Node, Workflow


@dataclass(frozen=True, slots=True)
class StaticCheck:
    """What the files were found to hold.

    :param nodes: how many nodes were found in them.
    :param orders: how many times one node was found to come after another, as in the workflow.
    :param reads: how many values were found to be read from what comes before.
    :param contradictions: what the files do not do although the workflow or a record says so.
    """

    nodes: int
    orders: int
    reads: int
    contradictions: tuple[str, ...]


def check_files(
    files: Mapping[str, str], workflow: Workflow, records: Sequence[Record], copies: Mapping[str, str]
) -> StaticCheck:
    """Read the files of a migration back, and hold them against its workflow and records.

    :param files: by their names; the DAG file is the first.
    :param copies: for the name of each copied step, the name of its original.
    """
    return _Checker(read_written_graph(files), workflow, copies).check(records)


class _Checker:
    def __init__(self, graph: WrittenGraph, workflow: Workflow, copies: Mapping[str, str]) -> None:
        self._graph = graph
        self._workflow = workflow
        self._faults: dict[str, None] = {}
        self._orders = 0
        self._reads = 0
        self._known: dict[WrittenPlace, set[WrittenPlace]] = {}
        self._places: dict[str, list[WrittenPlace]] = {}
        for node in iter_nodes(workflow.nodes):
            names = [node.name, *(copy for copy, original in copies.items() if original == node.name)]
            self._places[node.name] = [place for name in names for place in self._find_places(name)]

    def _find_places(self, name: str) -> list[WrittenPlace]:
        """The places of a node; one that waits for what it started has ended with its second task."""
        ends = self._graph.places.get(f"{name}_end", [])
        return ends or self._graph.places.get(name, [])

    def check(self, records: Sequence[Record]) -> StaticCheck:
        """Check everything, and give all contradictions."""
        self._check_block(self._workflow.nodes, ())
        self._check_reads()
        for task in self._graph.tasks.values():
            for chosen in sorted(task.chosen):
                if WrittenPlace(task.task_id) not in self._graph.before.get(WrittenPlace(chosen), ()):
                    self._fault(f"the task {task.task_id} may choose {chosen}, which does not follow it")
        for place in self._graph.before:
            if place in self._find_before(place):
                self._fault(f"{_tell(place)} comes after itself")
        for record in records:
            if record.target and not record.outcome.is_open and not self._is_there(record.target):
                self._fault(f"{record.source} is said to be {record.target}, which is not there")
        found = sum(1 for places in self._places.values() if places)
        return StaticCheck(found, self._orders, self._reads, tuple(self._faults))

    def _fault(self, text: str) -> None:
        self._faults[text] = None

    def _find_before(self, place: WrittenPlace) -> set[WrittenPlace]:
        known = self._known.get(place)
        if known is None:
            known = self._known[place] = self._graph.find_all_before(place)
        return known

    def _is_there(self, name: str) -> bool:
        if self._places.get(name):
            return True
        loops = (node for node in iter_nodes(self._workflow.nodes) if isinstance(node, LoopNode) and node.name == name)
        # A loop that Airflow repeats is the mapped task that runs its pipeline.
        return any(self._is_there(inner.name) for loop in loops for inner in loop.nodes)

    # --- order --------------------------------------------------------------------------------------------------

    def _check_block(self, nodes: Sequence[Node], outer: tuple[str, ...]) -> None:
        """Check the nodes of a block.

        :param outer: the nodes that each node of the block comes after, because the block does.
        """
        named = {node.name: node for node in nodes}
        for node in nodes:
            if not self._is_there(node.name):
                self._fault(f"{node.source} ({node.name}) is not there")
                continue
            for name in outer:
                self._check_order(node, name)
            for dependency in node.after:
                for name in _iter_ends(named[dependency.step]) if dependency.step in named else (dependency.step,):
                    self._check_order(node, name)
            self._check_inside(node)

    def _check_inside(self, node: Node) -> None:
        if isinstance(node, TryNode):
            self._check_block(node.nodes, ())
            self._check_end(node, node.nodes)
            for block in (node.handler, node.otherwise):
                self._check_block(block, (node.name,))
        elif isinstance(node, ChoiceNode):
            for branch in node.branches:
                self._check_block(branch.nodes, (node.name,))
        elif isinstance(node, LoopNode):
            self._check_loop(node)

    def _check_loop(self, node: LoopNode) -> None:
        places = self._places[node.name]
        if f"{node.name}_items" in self._graph.tasks:
            self._check_block(node.nodes, tuple(one.step for one in node.after))
            self._check_end(node, node.nodes)
        elif all(place.step for place in places):  # another loop that is a task is one that fails
            self._check_block(node.nodes, (node.name,) if places else ())

    def _check_end(self, node: Node, inside: Sequence[Node]) -> None:
        """Check that a node comes after what ends nodes inside it."""
        for inner in inside:
            for name in _iter_ends(inner):
                self._check_order(node, name)

    def _check_order(self, node: Node, name: str) -> None:
        """Check that a node comes after another one, and count it: in each of its places, or in that one's branch."""
        earlier, later = self._places.get(name, []), self._places[node.name]
        if not earlier or not later:
            return
        if all(any(one in self._find_before(place) for one in earlier) for place in later) or all(
            any(one in self._find_before(place) for place in later) for one in earlier
        ):
            self._orders += 1
        else:
            self._fault(f"{node.source} ({node.name}) does not come after {name}")

    # --- values -------------------------------------------------------------------------------------------------

    def _check_reads(self) -> None:
        for node in iter_nodes(self._workflow.nodes):
            if self._places[node.name]:
                for value in find_own_values(node):
                    for _, text in iter_gets(value):
                        reference = parse_node_reference(text)
                        if reference is not None:
                            self._check_order(node, reference[1])
        for place, other in self._graph.references:
            self._note_read(place, other, self._find_before(place))
        for task in self._graph.tasks.values():
            place = WrittenPlace(task.task_id)
            for name, key in sorted(task.pulls):
                self._note_read(place, WrittenPlace(name), self._find_before(place))
                outputs = self._graph.tasks[name].outputs if name in self._graph.tasks else set()
                if outputs and key not in outputs and key != "error":
                    self._fault(f"{_tell(place)} reads {key} of the task {name}, which does not give it")

    def _note_read(self, place: WrittenPlace, other: WrittenPlace, before: set[WrittenPlace]) -> None:
        if other in before:
            self._reads += 1
        else:
            self._fault(f"{_tell(place)} reads {_tell(other)}, which does not come before it")


def _tell(place: WrittenPlace) -> str:
    return f"the step {place.step} of the task {place.task}" if place.step else f"the task {place.task}"


def _iter_ends(node: Node) -> Iterator[str]:
    """The names of a node and of what runs inside it, without branches that fail."""
    yield node.name
    blocks: list[tuple[Node, ...]] = []
    if isinstance(node, ChoiceNode):
        blocks = [branch.nodes for branch in node.branches if not ends_in_fail(branch.nodes)]
    elif isinstance(node, LoopNode):
        blocks = [node.nodes]
    for block in blocks:
        for inner in block:
            yield from _iter_ends(inner)
