"""Turns the amazon provider's operators for pipelines into ours, argument by argument, and says what changes.

A task is changed as a whole or not at all: where one of its arguments, or a reader of its result, cannot be rewritten,
it stays the provider's. Both may stand in one DAG.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.migrate.airflow.call_edits import CallEditor
from airflow_sm_pipelines.migrate.airflow.imports import (
    ImportedNames,
    add_import,
    iter_imported,
    move_imports,
    read_imports,
)
from airflow_sm_pipelines.migrate.airflow.source_file import Edit, SourceFile, read_source
from airflow_sm_pipelines.migrate.airflow.xcom_reads import Reads, ReadTask, find_reads
from airflow_sm_pipelines.migrate.report import Outcome, Reason, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_START, _SENSOR = "SageMakerStartPipelineOperator", "SageMakerPipelineSensor"
_STOP, _CONDITION, _TRIGGER = "SageMakerStopPipelineOperator", "SageMakerConditionOperator", "SageMakerPipelineTrigger"
_NAMES = (_START, _SENSOR, _STOP, _CONDITION, _TRIGGER)
_OURS = {
    _START: "SageMakerRunPipelineOperator",
    _SENSOR: "SageMakerPipelineExecutionSensor",
    _STOP: "SageMakerStopExecutionOperator",
}
_PROVIDER = re.compile(rf"airflow\.providers\.amazon\.aws\.(?:operators|sensors|triggers)\.\w+\.({'|'.join(_NAMES)})")
_MODULE = "airflow_sm_pipelines"
_ARN = "pipeline_execution_arn"
_SECONDS = 30
"""The provider's seconds between two checks where an author names none."""

_START_RENAMED = (
    *("pipeline_params", "check_interval", "waiter_max_attempts", "verbose", "wait_for_completion", "deferrable"),
)

_STOP_RENAMED = (
    *("pipeline_exec_arn", "verbose", "check_interval", "waiter_max_attempts", "wait_for_completion", "deferrable"),
    "fail_if_not_running",
)

_STATUS_POLLED = Reason(
    "PROVIDER-STATUS-001",
    "Stopped and CompletedWithFailures were green and now fail the task; on_stopped='succeed' and "
    "on_completed_with_failures='succeed' bring that back.",
)
_STATUS_DEFERRED = Reason(
    "PROVIDER-STATUS-002",
    "While deferred, CompletedWithFailures was waited on until the attempts were used up; now it fails the task.",
)
_RETRY = Reason(
    "PROVIDER-RETRY-001",
    "A retry started another paid execution; now it goes on with the one that was started, and resumes it from its "
    "failed steps. on_retry='restart' brings that back.",
)
_KILL = Reason(
    "PROVIDER-KILL-001",
    "A task that was killed or marked left its execution running; now it stops it. stop_on_kill=False undoes that.",
)
_NO_WAIT = Reason(
    "PROVIDER-WAIT-001",
    "The task is green as soon as the execution has started, as before: no failure of the execution fails it. Take "
    "wait_for_completion=False away to wait. If [operators] default_deferrable is on, the provider's task did wait.",
)
_NAME = Reason(
    "PROVIDER-NAME-001", "The execution was displayed as airflow-triggered-execution; now after DAG and run."
)
_VERBOSE = Reason("PROVIDER-VERBOSE-001", "verbose is gone: the log has each step's changes, once.")
_STOP_STAYS = Reason(
    "PROVIDER-STOP-001",
    "It waits until the execution has stopped, or fails where it had ended before. The stop operator here does "
    "neither, so it stays the provider's. To wait, let a SageMakerPipelineExecutionSensor with on_stopped='succeed' "
    "follow ours.",
)
_STOPS = Reason(
    "PROVIDER-STOP-002",
    "It does not wait, as before; if [operators] default_deferrable is on, the provider's task did. Its result was the "
    "status, which is the XCom 'status' now.",
)
_CONDITION_STAYS = Reason(
    "PROVIDER-CONDITION-001", "It compares values in Airflow and calls nothing, so it stays the provider's."
)


@dataclass(frozen=True, slots=True)
class FileMigration:
    """What became of one file.

    :param name: of the file.
    :param before: its bytes.
    :param after: its bytes with our operators; the same if nothing changed.
    :param records: one for each place that names one of the provider's classes, and for each doubt.
    """

    name: str
    before: bytes
    after: bytes
    records: tuple[Record, ...]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to do."""
        return not any(record.outcome.is_open for record in self.records)


def mentions_provider(source: bytes) -> bool:
    """Whether a file may use one of the operators."""
    return any(name.encode() in source for name in _NAMES)


def migrate_provider_file(source: bytes, *, name: str) -> FileMigration:
    """Change one DAG file.

    :param name: the file's name, for places.
    :raises MigrationError: it is no Python 3; the message has line and column.
    """
    file = read_source(source, name=name)
    return _FileEditor(file, read_imports(file)).migrate(source)


@dataclass(frozen=True, slots=True)
class _Use:
    """A place where a file names one of the classes."""

    node: ast.Name | ast.Attribute
    kind: str
    call: ast.Call | None = None
    expand: ast.Call | None = None

    @property
    def outer(self) -> ast.Call | None:
        return self.expand or self.call


class _FileEditor:
    def __init__(self, file: SourceFile, imports: ImportedNames) -> None:
        self._file = file
        self._imports = imports
        self._edits: list[Edit] = []
        self._changed: set[str] = set()
        self._kept: set[str] = set()
        self._uses_modules = False
        self._first: ast.expr | None = None

    def migrate(self, source: bytes) -> FileMigration:
        uses = sorted(self._iter_uses(), key=lambda use: self._file.span(use.node))
        reads, starts = self._find_reads(uses, _START, _ARN, _START_RENAMED)
        stops = self._find_reads(uses, _STOP, "status", _STOP_RENAMED)
        records = [self._change(use, ((reads, starts), stops)) for use in uses]
        if starts and self._changed:
            records += [_warn(text) for text in reads.unclear]
        self._edits += self._move_imports()
        after = self._file.apply(self._edits) if self._changed else source
        return FileMigration(self._file.name, source, after, tuple(records))

    def _find_reads(self, uses: list[_Use], kind: str, key: str, gone: tuple[str, ...]) -> tuple[Reads, list[_Use]]:
        """What reads the results of the tasks of a kind, and these tasks."""
        found = [use for use in uses if use.kind == kind and use.outer is not None]
        tasks = [ReadTask(use.outer, _read_task_id(use.call)) for use in found if use.outer is not None]
        return find_reads(self._file, tasks, key=key, gone=gone), found

    def _iter_uses(self) -> Iterator[_Use]:
        defined = {node.name for node in ast.walk(self._file.tree) if isinstance(node, ast.ClassDef)}
        for node in ast.walk(self._file.tree):
            if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Load):
                continue
            found = _PROVIDER.fullmatch(self._imports.resolve(node))
            kind = found[1] if found else ""
            if isinstance(node, ast.Name) and node.id in _NAMES and self._imports.starred and node.id not in defined:
                kind = kind or node.id
            if kind:
                yield self._find_call(node, kind)

    def _find_call(self, node: ast.Name | ast.Attribute, kind: str) -> _Use:
        parents = self._file.parents
        holder = parents[node]
        if isinstance(holder, ast.Call) and holder.func is node:
            return _Use(node, kind, holder)
        if isinstance(holder, ast.Attribute) and holder.attr == "partial":
            call = parents[holder]
            expand = parents.get(call) if isinstance(call, ast.Call) else None
            outer = parents.get(expand) if isinstance(expand, ast.Attribute) and expand.attr == "expand" else None
            if isinstance(call, ast.Call) and isinstance(outer, ast.Call):
                return _Use(node, kind, call, outer)
        return _Use(node, kind)

    def _change(self, use: _Use, known: Sequence[tuple[Reads, list[_Use]]]) -> Record:
        """Change one use, if it can be changed, and say what became of it.

        :param known: what reads the results of some tasks, with these.
        """
        is_stop = use.kind == _STOP and use.call is not None and _is_stop_that_stays(use.call)
        if is_stop or (use.kind == _CONDITION and use.call is not None):
            self._kept.add(use.kind)
            reason = _STOP_STAYS if use.kind == _STOP else _CONDITION_STAYS
            return Record(self._describe(use), use.kind, Outcome.AIRFLOW, reasons=(reason,))
        if use.kind not in _OURS or use.call is None:
            return self._refuse(use, "PROVIDER-USE-001", [f"{use.kind} is not called here as an operator is."])
        editor = CallEditor(self._file, use.call, use.expand)
        plan = {_START: self._plan_start, _SENSOR: self._plan_sensor, _STOP: self._plan_stop}[use.kind]
        reasons = plan(editor)
        reads, index = next(
            ((found, index) for found, uses in known for index, one in enumerate(uses) if one is use), (Reads(), -1)
        )
        problems = [*editor.problems, *reads.problems.get(index, [])]
        if problems:
            return self._refuse(use, "PROVIDER-ARGUMENT-001", problems)
        self._edits += [*editor.edits, *reads.edits.get(index, [])]
        self._edits.append(Edit(*self._file.span(use.node), _OURS[use.kind]))
        self._changed.add(use.kind)
        self._uses_modules |= not self._is_imported_by_name(use.node)
        self._first = self._first or use.node
        return Record(self._describe(use), use.kind, Outcome.TRANSLATED, _OURS[use.kind], tuple(reasons))

    def _refuse(self, use: _Use, code: str, problems: list[str]) -> Record:
        self._kept.add(use.kind)
        return Record(
            self._describe(use),
            use.kind,
            Outcome.UNSUPPORTED,
            reasons=tuple(Reason(code, text) for text in problems),
            action=" ".join([*problems, "It stays as it is: change it by hand, or let it stay."]),
        )

    def _describe(self, use: _Use) -> str:
        task_id = _read_task_id(use.call)
        return f"{self._file.place(use.node)}" + (f" task {task_id!r}" if task_id else "")

    def _is_imported_by_name(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id in self._imports.names

    # --- arguments ----------------------------------------------------------------------------------------------------

    def _plan_start(self, editor: CallEditor) -> list[Reason]:
        editor.rename("pipeline_params", "parameters")
        reasons = [*self._plan_wait(editor), *self._plan_limit(editor)]
        editor.rename("check_interval", "waiter_delay")
        if editor.remove("verbose"):
            reasons.append(_VERBOSE)
        if not editor.has("display_name"):
            reasons.append(_NAME)
        editor.refuse_unknown({"config", "resource_type"}, renamed=_START_RENAMED)
        return reasons

    def _plan_wait(self, editor: CallEditor) -> list[Reason]:
        wait, deferrable = editor.text("wait_for_completion"), editor.text("deferrable")
        if deferrable == "True":
            if wait not in ("", "True"):
                editor.set("wait_for_completion", "True")
            return [_STATUS_DEFERRED, _RETRY, _KILL]
        if deferrable in ("", "False", "None"):
            if wait in ("", "None"):
                editor.set("wait_for_completion", "False")
                wait = "False"
        elif wait in ("", "False", "None"):
            editor.set("wait_for_completion", deferrable)
        elif wait != "True":
            editor.set("wait_for_completion", f"({wait}) or ({deferrable})")
        return [_NO_WAIT, _RETRY] if wait == "False" else [_STATUS_POLLED, _RETRY, _KILL]

    def _plan_limit(self, editor: CallEditor) -> list[Reason]:
        attempts, seconds = editor.text("waiter_max_attempts"), editor.text("check_interval") or str(_SECONDS)
        if not attempts:
            return []
        if attempts.replace("_", "").isdigit() and seconds.replace("_", "").isdigit():
            limit = str(int(attempts) * int(seconds))
        else:
            limit = f"({attempts}) * ({seconds})"
        editor.rename("waiter_max_attempts", "max_wait_seconds", limit)
        text = f"waiter_max_attempts became max_wait_seconds={limit}, the same time; the execution goes on after it."
        return [Reason("PROVIDER-LIMIT-001", text)]

    def _plan_sensor(self, editor: CallEditor) -> list[Reason]:
        editor.rename("pipeline_exec_arn", "execution_arn")
        reasons = [_STATUS_POLLED]
        if editor.remove("verbose"):
            reasons.append(_VERBOSE)
        editor.refuse_unknown({"resource_type"}, renamed=("pipeline_exec_arn", "verbose"))
        return reasons

    def _plan_stop(self, editor: CallEditor) -> list[Reason]:
        editor.rename("pipeline_exec_arn", "execution_arn")
        reasons = [_STOPS]
        if editor.has("verbose"):
            reasons.append(_VERBOSE)
        editor.remove(*_STOP_RENAMED[1:])
        editor.refuse_unknown({"config", "resource_type"}, renamed=_STOP_RENAMED)
        return reasons

    # --- imports ------------------------------------------------------------------------------------------------------

    def _move_imports(self) -> list[Edit]:
        moved, added = {}, set()
        for one in iter_imported(self._file):
            found = _PROVIDER.fullmatch(one.path)
            if found and found[1] in self._changed and found[1] not in self._kept:
                moved[one] = _OURS[found[1]]
            elif found and found[1] in self._changed:
                added.add(_OURS[found[1]])
        plain = {_OURS[kind] for kind in self._changed} if self._uses_modules else set()
        wanted = (added | plain) - set(moved.values())
        known = {path.rpartition(".")[2] for path in self._imports.names.values() if path.startswith(f"{_MODULE}.")}
        edits = move_imports(self._file, moved, module=_MODULE)
        if wanted - known and self._first is not None:
            line = f"from {_MODULE} import {', '.join(sorted(wanted - known))}"
            edits.append(add_import(self._file, line, before=self._first))
        return edits


def _is_stop_that_stays(call: ast.Call) -> bool:
    """Whether a stop waits, or fails if there is nothing to stop, or may do so: ours does neither."""
    given = {one.arg: one.value for one in call.keywords}
    names = [name for name in ("wait_for_completion", "deferrable", "fail_if_not_running") if name in given]
    return any(not isinstance(value, ast.Constant) or bool(value.value) for value in map(given.__getitem__, names))


def _read_task_id(call: ast.Call | None) -> str | None:
    for one in call.keywords if call is not None else []:
        if one.arg == "task_id" and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str):
            return one.value.value
    return None


def _warn(text: str) -> Record:
    place, _, words = text.partition(": ")
    reason = Reason("PROVIDER-READ-001", f"{words} If it reads the ARN of a start task, add key='{_ARN}'.")
    return Record(place, "xcom_pull", Outcome.APPROXIMATED, reasons=(reason,))
