"""Finds who reads a task's return value in a DAG file, and makes those reads name an XCom key.

A read is ``task.output``, ``XComArg(task)``, or an ``xcom_pull`` in Python or in a Jinja template. A pull that does not
say which task it reads is told, not changed.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sm_pipelines.migrate.airflow.source_file import Edit, find_scope

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from airflow_sm_pipelines.migrate.airflow.source_file import SourceFile

_PULL = re.compile(r"xcom_pull\(([^()]*)\)")
_ESCAPED_QUOTE = re.compile(r"\\(?=[\"'])")


@dataclass(frozen=True, slots=True)
class ReadTask:
    """A task whose reads are looked for.

    :param call: the call that makes it; the outermost one, ``X.partial(...).expand(...)``.
    :param task_id: None if the file does not say.
    """

    call: ast.Call
    task_id: str | None


@dataclass(slots=True)
class Reads:
    """The reads of some tasks.

    :param edits: what makes them name the key, by the position of the task in the list of tasks.
    :param problems: a read that cannot be changed, with its place, by the position of the task.
    :param unclear: places of pulls that may read one of the tasks.
    """

    edits: dict[int, list[Edit]] = field(default_factory=dict)
    problems: dict[int, list[str]] = field(default_factory=dict)
    unclear: list[str] = field(default_factory=list)


def find_reads(file: SourceFile, tasks: list[ReadTask], *, key: str, gone: Collection[str] = ()) -> Reads:
    """Find every read of the tasks' return values.

    :param key: the XCom key that has the value from now on.
    :param gone: attributes that the tasks do not have any more; a use of one is a problem.
    """
    return _Finder(file, tasks, key, gone).find()


class _Finder:
    def __init__(self, file: SourceFile, tasks: list[ReadTask], key: str, gone: Collection[str]) -> None:
        self._file = file
        self._gone = gone
        self._tasks = tasks
        self._key = key
        self._reads = Reads()
        self._variables = self._bind_variables()
        self._constants = _read_constants(file.tree)

    def find(self) -> Reads:
        """Look at every node of the file."""
        for node in ast.walk(self._file.tree):
            if isinstance(node, ast.Attribute) and node.attr == "output":
                self._read_output(node)
            elif isinstance(node, ast.Attribute) and node.attr in self._gone:
                ours = [index for index in self._tasks_of(node.value) if index is not None]
                self._fail(ours, f"{self._file.place(node)}: {node.attr} is used as the task's attribute.")
            elif isinstance(node, ast.Call):
                self._read_call(node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "xcom_pull" in node.value:
                if not isinstance(self._file.parents.get(node), (ast.JoinedStr, ast.FormattedValue)):
                    self._read_template(node, node.value)
            elif isinstance(node, ast.JoinedStr):
                pieces = (one.value for one in node.values if isinstance(one, ast.Constant))
                if any("xcom_pull" in str(one) for one in pieces):
                    self._reads.unclear.append(f"{self._file.place(node)}: a template is put together here.")
        return self._reads

    # --- which variable is which task ---------------------------------------------------------------------------------

    def _bind_variables(self) -> dict[tuple[ast.AST, str], list[int | None]]:
        """For each variable of each scope what it is bound to: positions of tasks, None for anything else."""
        positions = {task.call: index for index, task in enumerate(self._tasks)}
        bound: dict[tuple[ast.AST, str], list[int | None]] = {}
        for node in ast.walk(self._file.tree):
            if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Store):
                continue
            holder = self._file.parents.get(node)
            value = getattr(holder, "value", None) if isinstance(holder, (ast.Assign, ast.NamedExpr)) else None
            known = positions.get(value) if isinstance(value, ast.Call) else None
            bound.setdefault((find_scope(self._file, node), node.id), []).append(known)
        return bound

    def _tasks_of(self, node: ast.AST) -> list[int | None]:
        """What an expression may be: positions of tasks, None for anything else."""
        if isinstance(node, ast.Call):
            return [index for index, task in enumerate(self._tasks) if task.call is node] or [None]
        if not isinstance(node, ast.Name):
            return [None]
        scope: ast.AST = find_scope(self._file, node)
        while (scope, node.id) not in self._variables and scope in self._file.parents:
            scope = find_scope(self._file, scope)
        return self._variables.get((scope, node.id), [None])

    # --- reads in Python ----------------------------------------------------------------------------------------------

    def _read_output(self, node: ast.Attribute) -> None:
        end = self._file.span(node)[1]
        self._change(node, self._tasks_of(node.value), Edit(end, end, f'["{self._key}"]'))

    def _change(self, node: ast.AST, found: list[int | None], edit: Edit) -> None:
        ours = [one for one in found if one is not None]
        if not ours:
            return
        place = self._file.place(node)
        if len(set(found)) > len(set(ours)):
            self._fail(ours, f"{place}: this reads the task's result or something else; it cannot be told which.")
        elif any(isinstance(one, ast.JoinedStr) for one in _iter_around(self._file, node)):
            self._fail(ours, f"{place}: the task's result is put into a text here.")
        else:
            self._add(ours[0], edit)

    def _read_call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name == "XComArg" and len(node.args) == 1 and not node.keywords:
            end = self._file.span(node.args[0])[1]
            self._change(node, self._tasks_of(node.args[0]), Edit(end, end, f', key="{self._key}"'))
        elif name == "xcom_pull" and isinstance(node.func, ast.Attribute):
            ours = self._find_ours(node, node)
            if ours:
                self._add(ours[0], self._add_key(node))

    def _find_ours(self, pull: ast.AST | None, node: ast.AST) -> list[int]:
        """The tasks that a pull reads, if it reads no others.

        :param node: the place in the file.
        """
        found = self._find_pulled(pull) if isinstance(pull, ast.Call) else None
        place = self._file.place(node)
        if found is None:
            self._reads.unclear.append(f"{place}: this xcom_pull does not say which task it reads.")
            return []
        ours, others = found
        if ours and others:
            self._fail(ours, f"{place}: this xcom_pull reads the task together with others.")
            return []
        return ours

    def _add_key(self, pull: ast.Call) -> Edit:
        key = _get_argument(pull, "key", 2)
        if key is not None:
            return Edit(*self._file.span(key), f'"{self._key}"')
        last = max(self._file.span(one)[1] for one in (*pull.args, *pull.keywords))
        return Edit(last, last, f', key="{self._key}"')

    def _find_pulled(self, pull: ast.Call) -> tuple[list[int], list[str]] | None:
        """The tasks that a pull reads: positions of ours, and other ids; None if it does not say."""
        key = _get_argument(pull, "key", 2)
        if isinstance(key, ast.Constant) and key.value not in (None, "return_value"):
            return [], []
        ids = _get_argument(pull, "task_ids", 0)
        if ids is None or (key is not None and not isinstance(key, ast.Constant)) or _get_argument(pull, "dag_id", 1):
            return None
        ours: list[int] = []
        others: list[str] = []
        for one in ids.elts if isinstance(ids, (ast.List, ast.Tuple)) else [ids]:
            if isinstance(one, ast.Attribute) and one.attr == "task_id":
                known = [index for index in self._tasks_of(one.value) if index is not None]
                ours += known
                others += [] if known else [ast.unparse(one)]
                continue
            text = self._constants.get(one.id) if isinstance(one, ast.Name) else getattr(one, "value", None)
            if not isinstance(text, str):
                return None
            matched = [index for index, task in enumerate(self._tasks) if _is_named(task.task_id, text)]
            ours += matched
            others += [] if matched else [text]
        return ours, others

    # --- reads in templates -------------------------------------------------------------------------------------------

    def _read_template(self, node: ast.Constant, value: str) -> None:
        source = self._file.text(node)
        start = self._file.span(node)[0]
        matches = list(_PULL.finditer(source))
        if len(matches) < value.count("xcom_pull(") or (not matches and "xcom_pull" in value):
            self._reads.unclear.append(f"{self._file.place(node)}: this template has an xcom_pull that is not read.")
        for match in matches:
            text = _ESCAPED_QUOTE.sub("", match[1]).strip()
            try:
                pull: ast.AST | None = ast.parse(f"p({text})", mode="eval").body
            except SyntaxError:
                pull = None
            if pull is not None and any(isinstance(one, ast.Name) and one.id != "p" for one in ast.walk(pull)):
                pull = None  # a variable of Jinja
            ours = self._find_ours(pull, node)
            if ours:
                edit = self._add_key_to_text(match[1])
                before = start + len(source[: match.start(1)].encode())
                self._add(ours[0], Edit(before + edit.start, before + edit.end, edit.text))

    def _add_key_to_text(self, arguments: str) -> Edit:
        """An edit of a pull's arguments as the file has them, in their own quotes."""
        found = re.search(r"\\?[\"']", arguments)
        quote = found[0] if found else '"'
        named = re.search(r"key\s*=\s*(\\?[\"'])return_value\\?[\"']", arguments)
        start, end = named.span() if named else (len(arguments.rstrip().rstrip(",")),) * 2
        text = f"{'' if named else ', '}key={quote}{self._key}{quote}"
        return Edit(len(arguments[:start].encode()), len(arguments[:end].encode()), text)

    # --- what comes of it ---------------------------------------------------------------------------------------------

    def _add(self, index: int, edit: Edit) -> None:
        self._reads.edits.setdefault(index, []).append(edit)

    def _fail(self, ours: list[int], problem: str) -> None:
        for index in ours:
            self._reads.problems.setdefault(index, []).append(problem)


def _is_named(task_id: str | None, text: str) -> bool:
    """Whether a pull names a task, perhaps with the groups that it stands in."""
    return task_id is not None and (text == task_id or text.endswith(f".{task_id}"))


def _get_argument(call: ast.Call, name: str, position: int) -> ast.expr | None:
    for one in call.keywords:
        if one.arg == name:
            return one.value
    return call.args[position] if len(call.args) > position else None


def _read_constants(tree: ast.Module) -> dict[str, str]:
    """The texts that variables of the module are bound to once."""
    found: dict[str, list[object]] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).append(getattr(node.value, "value", None))
    return {name: texts[0] for name, texts in found.items() if len(texts) == 1 and isinstance(texts[0], str)}


def _iter_around(file: SourceFile, node: ast.AST) -> Iterator[ast.AST]:
    while node in file.parents:
        node = file.parents[node]
        yield node
