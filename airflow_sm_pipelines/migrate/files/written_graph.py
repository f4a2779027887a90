"""Reads the files of a migration back: which tasks and steps are there, what comes after what, and what each reads.

It reads the DAG file as Python and the definitions as JSON, and knows nothing of the plan that they were written from.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from airflow_sm_pipelines.migrate.node_references import iter_gets, parse_node_reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


def read_written_graph(files: Mapping[str, str]) -> WrittenGraph:
    """Read the files of a migration, by their names; the DAG file is the first."""
    reader = _DagReader(next(iter(files.values())))
    graph = WrittenGraph(reader.tasks)
    for task_id, before in reader.before.items():
        graph.places.setdefault(task_id, []).append(WrittenPlace(task_id))
        graph.before[WrittenPlace(task_id)] = {WrittenPlace(one) for one in before}
    for task in reader.tasks.values():
        if task.task_id in reader.runs and task.definition in files:
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
