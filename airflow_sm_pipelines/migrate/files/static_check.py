"""Holds the files of a migration against the workflow that they were made of.

The graph is rebuilt from the files: the DAG file is read as Python, the definitions as JSON, and nothing is known of
the plan that they were written from. Each node must be there, after what it comes after in the workflow; each value
must be read from something that comes before; each branch must lead to tasks that follow it.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from airflow_sm_pipelines.migrate.dag_plan.steps_after_choice import ends_in_fail
from airflow_sm_pipelines.migrate.node_references import find_own_values, iter_gets, parse_node_reference
from airflow_sm_pipelines.migrate.workflow import ChoiceNode, LoopNode, TryNode, iter_nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_sm_pipelines.migrate.report import Record
    from airflow_sm_pipelines.migrate.workflow import Node, Workflow

DEFINITION_ENDING = ".definition.json"

_TEMPLATE = re.compile(r"\{\{((?:'(?:\\.|[^'\\])*'|[^'])*?)\}\}", re.DOTALL)
_PULL = re.compile(
    r"ti\.xcom_pull\(task_ids='([^'\\]*)'(?:, key='([^'\\]*)')?(?:, map_indexes=ti\.map_index)?\)|'(?:\\.|[^'\\])*'",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class WrittenPlace:
    """Where a node stands: a task, or a step in the pipeline that a task runs.

    :param task: the task's id.
    :param step: the step's name; empty for the task itself.
    """

    task: str
    step: str = ""


@dataclass(slots=True)
class WrittenTask:
    """One task of the DAG file.

    :ivar definition: the name of the file of the pipeline that the task runs or deploys; empty for none.
    :ivar pulls: the tasks whose XComs its templates read, and the key: ``return_value`` unless one is named.
    :ivar outputs: the keys of the results that it gives out as a run task.
    :ivar chosen: the tasks that it may choose as a branch.
    """

    task_id: str
    definition: str = ""
    pulls: set[tuple[str, str]] = field(default_factory=set)
    outputs: set[str] = field(default_factory=set)
    chosen: set[str] = field(default_factory=set)


@dataclass(slots=True)
class WrittenGraph:
    """The files as a graph.

    :ivar tasks: by their ids.
    :ivar places: the places of each name. A step has one in each pipeline that has a step of this name.
    :ivar before: for each place, the places that come directly before it.
    :ivar references: what each step reads of another one of its pipeline.
    """

    tasks: dict[str, WrittenTask] = field(default_factory=dict)
    places: dict[str, list[WrittenPlace]] = field(default_factory=dict)
    before: dict[WrittenPlace, set[WrittenPlace]] = field(default_factory=dict)
    references: list[tuple[WrittenPlace, WrittenPlace]] = field(default_factory=list)

    def find_all_before(self, place: WrittenPlace) -> set[WrittenPlace]:
        """Every place that has ended when this one begins."""
        found: set[WrittenPlace] = set()
        left = [place]
        while left:
            for other in self.before.get(left.pop(), ()):
                if other not in found:
                    found.add(other)
                    left.append(other)
        return found


def read_written_graph(files: Mapping[str, str], order: Mapping[str, Iterable[str]] | None = None) -> WrittenGraph:
    """Read the files of a migration, by their names; the DAG file is the first.

    :param order: for each task, the tasks directly before it, where Airflow has said so; None to read the file for it.
    """
    reader = _DagReader(next(iter(files.values())))
    graph = WrittenGraph(reader.tasks)
    for task_id, before in (reader.before if order is None else order).items():
        graph.places.setdefault(task_id, []).append(WrittenPlace(task_id))
        graph.before[WrittenPlace(task_id)] = {WrittenPlace(one) for one in before}
    for task in reader.tasks.values():
        if task.task_id in reader.runs and task.definition in files and WrittenPlace(task.task_id) in graph.before:
            _add_pipeline(graph, task, json.loads(files[task.definition]))
    return graph


# --- the DAG file ----------------------------------------------------------------------------------------------------


class _DagReader:
    def __init__(self, text: str) -> None:
        self.tasks: dict[str, WrittenTask] = {}
        self.before: dict[str, set[str]] = {}
        self.runs: set[str] = set()
        self._ids: dict[str, str] = {}
        self._functions: dict[str, WrittenTask] = {}
        self._groups: dict[str, list[str]] = {}
        for statement in ast.parse(text).body:
            if isinstance(statement, ast.With):
                for inner in statement.body:
                    self._read(inner)

    def _read(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.FunctionDef):
            self._read_function(statement)
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            self._read_task(statement.targets[0].id, statement.value)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.BinOp):
            self._read_chain(statement.value)

    def _read_function(self, function: ast.FunctionDef) -> None:
        if any(isinstance(one, ast.Name) and one.id == "task_group" for one in ast.walk(function.decorator_list[0])):
            known = set(self.tasks)
            for inner in function.body:
                self._read(inner)
            self._groups[function.name] = [task_id for task_id in self.tasks if task_id not in known]
            return
        task_id = next(_iter_keywords(function.decorator_list[0], "task_id"), None)
        task = WrittenTask(_get_text(task_id))
        for one in ast.walk(function):
            if isinstance(one, ast.Return) and isinstance(one.value, ast.List):
                task.chosen |= set(_iter_texts(one.value))
            elif isinstance(one, ast.Return) and one.value is not None:
                for key in ("succeeded", "failed"):
                    task.chosen |= {text for value in _iter_keywords(one.value, key) for text in _iter_texts(value)}
        self._functions[function.name] = task

    def _read_task(self, variable: str, value: ast.expr) -> None:
        named = [one.id for one in ast.walk(value) if isinstance(one, ast.Name)]
        group = next((self._groups[name] for name in named if name in self._groups), None)
        if group is not None:  # the group is mapped over what a task gives
            items = {self._ids[name] for name in named if name in self._ids}
            for task_id in group:
                self.before[task_id] |= items
            self._groups[variable] = group
            return
        function = value.func if isinstance(value, ast.Call) else None
        if isinstance(function, ast.Name) and function.id in self._functions:
            task = self._functions[function.id]
        else:
            task = WrittenTask(_get_text(next(_iter_keywords(value, "task_id"), None)))
        self._ids[variable] = task.task_id
        self.tasks[task.task_id] = task
        before = {self._ids[name] for name in named if name in self._ids and name != variable}
        self.before.setdefault(task.task_id, set()).update(before)
        for text in _iter_texts(value):
            if text.endswith(DEFINITION_ENDING):
                task.definition = text
            task.pulls |= set(_iter_pulls(text))
        if "SageMakerRunPipelineOperator" in named:
            self.runs.add(task.task_id)
        if not task.definition:
            task.definition = next((found for one in before if (found := self._find_definition(one, named))), "")
        for outputs in _iter_keywords(value, "outputs"):
            if isinstance(outputs, ast.Dict):
                task.outputs |= {_get_text(key) for key in outputs.keys}

    def _find_definition(self, before: str, named: list[str]) -> str:
        """The definition that an operator takes over from the task that deploys or fills it."""
        is_operator = "SageMakerRunPipelineOperator" in named or "SageMakerDeployPipelineOperator" in named
        return self.tasks[before].definition if is_operator and before not in self.runs else ""

    def _read_chain(self, value: ast.expr) -> list[str]:
        """Note the order that ``a >> [b, c] >> d`` gives, and return the ids of its last tasks."""
        if isinstance(value, ast.BinOp):
            left, right = self._read_chain(value.left), self._read_chain(value.right)
            for one in right:
                self.before[one].update(left)
            return right
        names = value.elts if isinstance(value, ast.List) else [value]
        read = [one.id for one in names if isinstance(one, ast.Name)]
        return [task_id for name in read for task_id in self._groups.get(name, [self._ids.get(name, "")])]


def _iter_keywords(value: ast.AST, name: str) -> Iterator[ast.expr]:
    for one in ast.walk(value):
        if isinstance(one, ast.keyword) and one.arg == name:
            yield one.value


def _iter_texts(value: ast.AST) -> Iterator[str]:
    for one in ast.walk(value):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value


def _get_text(value: ast.expr | None) -> str:
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def _iter_pulls(text: str) -> Iterator[tuple[str, str]]:
    for template in _TEMPLATE.finditer(text):
        for found in _PULL.finditer(template[1]):
            if found[1] is not None:
                yield found[1], found[2] or "return_value"


# --- the definitions -------------------------------------------------------------------------------------------------


def _add_pipeline(graph: WrittenGraph, task: WrittenTask, definition: Any) -> None:
    """Add the steps of the pipeline that a task runs; the task has ended when each of its steps has."""
    run = WrittenPlace(task.task_id)
    outside = set(graph.before[run])
    steps: dict[str, Any] = {}
    around: dict[str, list[str]] = {}
    for step, outer in _iter_steps(definition["Steps"], []):
        steps[step["Name"]] = step
        around[step["Name"]] = outer
    for name, step in steps.items():
        place = WrittenPlace(task.task_id, name)
        graph.places.setdefault(name, []).append(place)
        own = {**step, "Arguments": {k: v for k, v in step.get("Arguments", {}).items() if k not in _BLOCKS}}
        read = {found[1] for _, text in iter_gets(cast("Any", own)) if (found := parse_node_reference(text))}
        graph.references += [(place, WrittenPlace(task.task_id, one)) for one in sorted(read)]
        waits = read | {one if isinstance(one, str) else one["Step"] for one in step.get("DependsOn", [])}
        ended = {inner for one in waits for inner, outer in around.items() if one in outer} | waits
        before = {WrittenPlace(task.task_id, one) for one in (*ended, *around[name]) if one in steps}
        graph.before[place] = before | outside
        graph.before[run].add(place)


_BLOCKS = ("IfSteps", "ElseSteps", "ForEachBody")


def _iter_steps(steps: Any, outer: list[str]) -> Iterator[tuple[Any, list[str]]]:
    """Every step, with the names of the steps that it stands in."""
    for step in steps:
        yield step, outer
        for key in _BLOCKS:
            yield from _iter_steps(step.get("Arguments", {}).get(key) or [], [*outer, step["Name"]])


# --- the check -------------------------------------------------------------------------------------------------------


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


def find_lost_order(
    files: Mapping[str, str], workflow: Workflow, copies: Mapping[str, str], order: Mapping[str, Iterable[str]]
) -> tuple[str, ...]:
    """What a DAG does not have or does not do in the order of its workflow, in words.

    :param files: the DAG file and its definitions. The DAG may have been edited.
    :param copies: for the name of each copied step, the name of its original.
    :param order: for each task, the tasks directly before it, as Airflow has them.
    """
    return _Checker(read_written_graph(files, order), workflow, copies).check_order()


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

    def check_order(self) -> tuple[str, ...]:
        """Check that all nodes are there and come after what they wait for, and give all contradictions."""
        self._check_block(self._workflow.nodes, ())
        return tuple(self._faults)

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
