"""Finds the SageMaker operators of a DAG file, what else uses them, and which task follows which."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sm_pipelines.migrate.airflow.imports import ImportedNames, read_imports
from airflow_sm_pipelines.migrate.airflow.source_file import find_scope, is_in_loop

if TYPE_CHECKING:
    from airflow_sm_pipelines.migrate.airflow.source_file import SourceFile

NOUNS = {
    "SageMakerProcessingOperator": "ProcessingJob",
    "SageMakerTrainingOperator": "TrainingJob",
    "SageMakerTuningOperator": "HyperParameterTuningJob",
    "SageMakerTransformOperator": "TransformJob",
    "SageMakerModelOperator": "Model",
    "SageMakerEndpointConfigOperator": "EndpointConfig",
    "SageMakerEndpointOperator": "Endpoint",
}
"""What each operator creates that a pipeline step can make."""
SENSORS = {
    "SageMakerProcessingSensor": "job_name",
    "SageMakerTrainingSensor": "job_name",
    "SageMakerTuningSensor": "job_name",
    "SageMakerTransformSensor": "job_name",
    "SageMakerEndpointSensor": "endpoint_name",
}
"""The sensors that wait for such a thing, and the argument that names it."""

_CLASS = re.compile(r"airflow\..*sagemaker[\w.]*\.(SageMaker\w+(?:Operator|Sensor))")
_SETTINGS = ("wait_for_completion", "check_interval", "max_ingestion_time", "print_log", "deferrable")
_SETTERS = ("set_downstream", "set_upstream")


@dataclass(slots=True)
class JobTask:
    """A task of one of the operators.

    :param kind: the class of the operator or the sensor.
    :param call: the call that makes it.
    :param statement: the assignment or expression that holds only this call.
    :param variable: the name that it is bound to; empty for none.
    :param task_id: empty if the file does not say.
    :param problems: why it stays as it is.
    :param settings: attributes that are set afterwards, as ``train.wait_for_completion = False``.
    """

    kind: str
    call: ast.Call
    statement: ast.stmt | None
    variable: str
    task_id: str
    problems: list[str] = field(default_factory=list)
    settings: list[ast.Assign] = field(default_factory=list)

    @property
    def is_sensor(self) -> bool:
        """Whether it only waits."""
        return self.kind in SENSORS

    @property
    def keywords(self) -> dict[str, ast.expr]:
        """Its arguments by name, with those that are set afterwards."""
        given = {one.arg: one.value for one in self.call.keywords if one.arg}
        return given | {
            one.targets[0].attr: one.value for one in self.settings if isinstance(one.targets[0], ast.Attribute)
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """A task that a statement puts into an order.

    :param task: None for a task of another kind.
    :param text: as the file has it.
    """

    node: ast.expr
    task: JobTask | None
    text: str

    @property
    def name(self) -> str:
        """What it is known by."""
        return self.text if self.task is None else f"task {self.task.task_id}"


@dataclass(frozen=True, slots=True)
class Stage:
    """Tasks that stand beside each other.

    :param node: the name or the list.
    """

    node: ast.expr
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """A statement that says which task follows which.

    :param stages: as the statement has them, first to last in time.
    :param separator: what stands between two of them: `` >> `` or ``, ``; empty where a method joins them.
    """

    statement: ast.stmt
    stages: tuple[Stage, ...]
    separator: str

    @property
    def edges(self) -> list[tuple[tuple[Entry, ...], tuple[Entry, ...]]]:
        """Pairs of tasks; all of the second follow all of the first. ``chain`` joins two lists one by one."""
        found: list[tuple[tuple[Entry, ...], tuple[Entry, ...]]] = []
        for first, second in zip(self.stages, self.stages[1:], strict=False):
            if self.separator == ", " and len(first.entries) > 1 and len(second.entries) > 1:
                found += [((one,), (two,)) for one, two in zip(first.entries, second.entries, strict=False)]
            else:
                found.append((first.entries, second.entries))
        return found


@dataclass(frozen=True, slots=True)
class DagFile:
    """What a file says about SageMaker tasks.

    :param tasks: in the file's order.
    :param orders: the statements that name one of them.
    :param others: uses of other classes for SageMaker, with their place and name.
    """

    file: SourceFile
    imports: ImportedNames
    tasks: list[JobTask]
    orders: list[Order]
    others: list[tuple[str, str]]


def read_dag_file(file: SourceFile) -> DagFile:
    """Read a file's SageMaker tasks."""
    reader = _Reader(file)
    return reader.read()


class _Reader:
    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self._imports = read_imports(file)
        self._tasks: list[JobTask] = []
        self._others: list[tuple[str, str]] = []
        self._orders: list[Order] = []
        self._explained: set[ast.AST] = set()
        self._uses: dict[str, list[ast.Name]] = {}

    def read(self) -> DagFile:
        for node in ast.walk(self._file.tree):
            if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load):
                found = _CLASS.fullmatch(self._imports.resolve(node))
                if found:
                    self._read_use(node, found[1])
        self._tasks.sort(key=lambda task: self._file.span(task.call))
        variables = {task.variable for task in self._tasks}
        for node in ast.walk(self._file.tree):
            if isinstance(node, ast.Name) and node.id in variables:
                self._uses.setdefault(node.id, []).append(node)
        self._others.sort()
        for node in ast.walk(self._file.tree):
            if isinstance(node, ast.Expr):
                self._read_order(node)
            elif isinstance(node, ast.Assign):
                self._read_setting(node)
        self._orders.sort(key=lambda order: self._file.span(order.statement))
        for task in self._tasks:
            self._check(task)
        return DagFile(self._file, self._imports, self._tasks, self._orders, self._others)

    def _read_use(self, node: ast.expr, kind: str) -> None:
        call = self._file.parents[node]
        if (kind not in NOUNS and kind not in SENSORS) or not isinstance(call, ast.Call) or call.func is not node:
            self._others.append((self._file.place(node), kind))
            return
        holder = self._file.parents[call]
        statement: ast.stmt | None = None
        variable = ""
        if isinstance(holder, ast.Assign) and len(holder.targets) == 1 and isinstance(holder.targets[0], ast.Name):
            statement, variable = holder, holder.targets[0].id
            self._explained.add(holder.targets[0])
        elif isinstance(holder, ast.Expr):
            statement = holder
        named = next((one.value for one in call.keywords if one.arg == "task_id"), None)
        task_id = named.value if isinstance(named, ast.Constant) and isinstance(named.value, str) else ""
        self._tasks.append(JobTask(kind, call, statement, variable, task_id))

    def find(self, node: ast.expr) -> JobTask | None:
        """The task that a name stands for."""
        if not isinstance(node, ast.Name) or node.id not in self._uses:
            return None
        return next(
            (
                task
                for task in self._tasks
                if task.variable == node.id and find_scope(self._file, task.call) in self._scopes(node)
            ),
            None,
        )

    def _scopes(self, node: ast.AST) -> list[ast.AST]:
        scopes = [find_scope(self._file, node)]
        while scopes[-1] is not self._file.tree:
            scopes.append(find_scope(self._file, scopes[-1]))
        return scopes

    # --- which task follows which -------------------------------------------------------------------------------------

    def _read_order(self, node: ast.Expr) -> None:
        stages = self._read_stages(node.value)
        if stages is None or not any(entry.task for stage in stages for entry in stage.entries):
            return
        separator = " >> " if isinstance(node.value, ast.BinOp) else ", "
        if isinstance(node.value, ast.Call) and getattr(node.value.func, "attr", "") in _SETTERS:
            separator = ""
        self._explained |= {entry.node for stage in stages for entry in stage.entries if entry.task}
        self._orders.append(Order(node, tuple(stages), separator))

    def _read_setting(self, node: ast.Assign) -> None:
        """Note an attribute that is set afterwards in the block in which the task is made."""
        target = node.targets[0]
        if len(node.targets) > 1 or not isinstance(target, ast.Attribute) or target.attr not in _SETTINGS:
            return
        task = self.find(target.value)
        is_beside = task is not None and task.statement is not None
        if task is not None and is_beside and self._file.parents[node] is self._file.parents[task.statement]:  # type: ignore[index]
            task.settings.append(node)
            self._explained.add(target.value)

    def _read_stages(self, node: ast.expr) -> list[Stage] | None:
        """The stages that an expression puts one after the other; None if it is something else."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.RShift):
            left = self._read_stages(node.left) if isinstance(node.left, ast.BinOp) else [self._read_stage(node.left)]
            return None if left is None else [*left, self._read_stage(node.right)]
        if not isinstance(node, ast.Call) or node.keywords or any(isinstance(one, ast.Starred) for one in node.args):
            return None
        if isinstance(node.func, ast.Attribute) and node.func.attr in _SETTERS and len(node.args) == 1:
            first, second = self._read_stage(node.func.value), self._read_stage(node.args[0])
            return [first, second] if node.func.attr == "set_downstream" else [second, first]
        if self._imports.resolve(node.func).rpartition(".")[2] == "chain":
            return [self._read_stage(one) for one in node.args]
        return None

    def _read_stage(self, node: ast.expr) -> Stage:
        nodes = node.elts if isinstance(node, (ast.List, ast.Tuple)) else [node]
        return Stage(node, tuple(Entry(one, self.find(one), self._file.text(one)) for one in nodes))

    # --- what cannot be lifted ----------------------------------------------------------------------------------------

    def _check(self, task: JobTask) -> None:
        place = self._file.place(task.call)
        if task.statement is None:
            task.problems.append(f"{place}: it is made inside another expression.")
        elif is_in_loop(self._file, task.statement):
            task.problems.append(f"{place}: it is made in a loop.")
        if not task.task_id:
            task.problems.append(f"{place}: its task_id is not written out.")
        if any(one.arg is None for one in task.call.keywords) or task.call.args:
            task.problems.append(f"{place}: it takes arguments by * or **.")
        if sum(one.task_id == task.task_id for one in self._tasks) > 1 and task.task_id:
            task.problems.append(f"{place}: another task of the file has this task_id, too.")
        if not task.variable:
            return
        for node in self._uses.get(task.variable, []):
            if node in self._explained:
                continue
            if find_scope(self._file, task.call) in self._scopes(node):
                task.problems.append(f"{self._file.place(node)}: {task.variable} is used here as something else.")
                return
