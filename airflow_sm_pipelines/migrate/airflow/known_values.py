"""Works out expressions of a DAG file without running them: literals, names, merges, formatting, imported modules.

What only Airflow knows when it imports the file or runs a task, such as a variable, a call, or a Jinja template,
becomes a mark in the text. A mark looks like a word (``q0001airflow``), so that two values with the same mark are known
to be equal; :meth:`Marks.split` finds the marks again.
"""

from __future__ import annotations

import ast
import copy
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.migrate.airflow.imports import read_imports
from airflow_sm_pipelines.migrate.airflow.source_file import find_scope, is_in_loop
from airflow_sm_pipelines.migrate.files.python_text import quote_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_sm_pipelines.definition import JsonValue
    from airflow_sm_pipelines.migrate.airflow.source_file import SourceFile

_MARK = re.compile(r"q\d{4}airflow")
_JINJA = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_MAX_DEPTH = 60
_CHANGING = frozenset({"update", "append", "extend", "insert", "pop", "setdefault", "clear", "remove", "popitem"})


class UnknownValueError(Exception):
    """An expression whose value the file alone does not tell."""

    def __init__(self, node: ast.AST, *, is_foreign: bool = False) -> None:
        super().__init__()
        self.node = node
        self.is_foreign = is_foreign


@dataclass(frozen=True, slots=True)
class Mark:
    """What a mark stands for.

    :param text: the Python expression or the Jinja template.
    :param is_template: whether it is a template.
    """

    text: str
    is_template: bool


@dataclass(slots=True)
class Marks:
    """The marks of one file."""

    _known: dict[Mark, str] = field(default_factory=dict)

    def put(self, text: str, *, is_template: bool) -> str:
        """The mark of an expression; the same for the same text."""
        mark = Mark(text, is_template)
        return self._known.setdefault(mark, f"q{len(self._known):04d}airflow")

    def mark_templates(self, value: Any) -> Any:
        """A value with marks in place of the Jinja templates in its texts."""
        if isinstance(value, dict):
            return {key: self.mark_templates(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.mark_templates(item) for item in value]
        if not isinstance(value, str) or not ("{{" in value or "{%" in value or "{#" in value):
            return value
        blocks = [value] if "{%" in value or "{#" in value else _JINJA.findall(value)
        if any(self.has_mark(one) for one in blocks):
            parts = [quote_python(one) if isinstance(one, str) else f"str({one.text})" for one in self.split(value)]
            return self.put(" + ".join(parts), is_template=False)
        for one in blocks:
            value = value.replace(one, self.put(one, is_template=True), 1)
        return value

    def split(self, text: str) -> Iterator[str | Mark]:
        """A text as texts and marks, in their order."""
        marks = {word: mark for mark, word in self._known.items()}
        position = 0
        for found in _MARK.finditer(text):
            if found[0] in marks:
                if found.start() > position:
                    yield text[position : found.start()]
                yield marks[found[0]]
                position = found.end()
        if position < len(text):
            yield text[position:]

    def has_mark(self, value: JsonValue) -> bool:
        """Whether a text holds a mark."""
        return isinstance(value, str) and any(isinstance(one, Mark) for one in self.split(value))

    def restore(self, text: str) -> str:
        """A text as a person reads it, with what the marks stand for."""
        return "".join(one if isinstance(one, str) else one.text for one in self.split(text))


@dataclass(frozen=True, slots=True)
class _Module:
    file: SourceFile


class Evaluator:
    """Works out the expressions of one file.

    :param load: finds the file of an imported module by its dotted name; None if there is none.
    :param marks: those of the DAG file; None for an imported module, in which nothing unknown can be named.
    :ivar seen: the constants that were read.
    """

    def __init__(
        self, file: SourceFile, *, marks: Marks | None, load: Callable[[str], SourceFile | None], depth: int = 0
    ) -> None:
        self._file = file
        self._marks = marks
        self._load = load
        self.seen: set[ast.AST] = set()
        self._depth = depth
        self._imports = read_imports(file)
        self._bound = _bind_names(file)
        self._changed = _find_changed(file)

    def read(self, node: ast.expr) -> Any:
        """The value of an expression, with marks for what is unknown, and for templates.

        :raises UnknownValueError: nothing of it is known.
        """
        value = self.evaluate(node)
        return value if self._marks is None else self._marks.mark_templates(value)

    def evaluate(self, node: ast.expr) -> Any:
        """The value of an expression, with marks for what is unknown. Templates are text, as they are for Python.

        :raises UnknownValueError: nothing of it is known.
        """
        self._depth += 1
        try:
            if self._depth > _MAX_DEPTH:
                raise UnknownValueError(node)
            return self._evaluate(node)
        finally:
            self._depth -= 1

    def leaf(self, node: ast.expr) -> Any:
        """The value of an expression; a mark if nothing of it is known.

        :raises UnknownValueError: of an imported module.
        """
        try:
            return self.evaluate(node)
        except UnknownValueError as error:
            if self._marks is None:
                raise
            if isinstance(node, ast.Name) and not error.is_foreign and self._is_local(node):
                raise
            return self._marks.put(ast.unparse(node), is_template=False)

    def _is_local(self, node: ast.Name) -> bool:
        """Whether a name stands for something that is known in part, and changed afterwards."""
        return node.id in self._changed

    def _evaluate(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant):
            self.seen.add(node)
            return node.value
        read = {
            ast.Dict: self._evaluate_dict,
            ast.List: self._evaluate_list,
            ast.Tuple: self._evaluate_list,
            ast.JoinedStr: self._evaluate_joined,
            ast.Name: self._evaluate_name,
            ast.Attribute: self._evaluate_attribute,
            ast.Subscript: self._evaluate_subscript,
            ast.BinOp: self._evaluate_operation,
            ast.UnaryOp: self._evaluate_sign,
            ast.Call: self._evaluate_call,
        }.get(type(node), _fail)
        return read(node)  # type: ignore[operator]

    def _evaluate_list(self, node: ast.List | ast.Tuple) -> list[Any]:
        if any(isinstance(one, ast.Starred) for one in node.elts):
            raise UnknownValueError(node)
        return [self.leaf(one) for one in node.elts]

    def _evaluate_joined(self, node: ast.JoinedStr) -> str:
        return "".join(self._format_part(one) for one in node.values)

    def _evaluate_sign(self, node: ast.UnaryOp) -> Any:
        value = self.evaluate(node.operand)
        return -value if isinstance(node.op, ast.USub) and isinstance(value, (int, float)) else _fail(node)

    def _evaluate_dict(self, node: ast.Dict) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                merged = self.evaluate(value)
                made.update(merged if isinstance(merged, dict) else _fail(value))
                continue
            name = self.evaluate(key)
            made[name if isinstance(name, str) else str(name)] = self.leaf(value)
        return made

    def _format_part(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return str(node.value)
        if not isinstance(node, ast.FormattedValue) or node.format_spec is not None or node.conversion != -1:
            return self._mark(node)
        try:
            value = self.evaluate(node.value)
        except UnknownValueError:
            return self._mark(node.value)
        return str(value) if isinstance(value, (str, int, float)) else self._mark(node.value)

    def _mark(self, node: ast.expr) -> str:
        if self._marks is None:
            raise UnknownValueError(node, is_foreign=True)
        text = ast.unparse(ast.JoinedStr([node])) if isinstance(node, ast.FormattedValue) else ast.unparse(node)
        return self._marks.put(text, is_template=False)

    def _evaluate_name(self, node: ast.Name) -> Any:
        values = self._find_bound(node)
        if len(values) == 1 and values[0] is not None and node.id not in self._changed:
            return self.evaluate(values[0])
        path = self._imports.names.get(node.id)
        if not values and path is not None:
            return self._read_foreign(path, node)
        return _fail(node)

    def _find_bound(self, node: ast.Name) -> list[ast.expr | None]:
        """What the name is bound to in the innermost scope that binds it."""
        scope: ast.AST = find_scope(self._file, node)
        while (scope, node.id) not in self._bound and scope is not self._file.tree:
            scope = find_scope(self._file, scope)
        return self._bound.get((scope, node.id), [])

    def _read_foreign(self, path: str, node: ast.expr) -> Any:
        """The value that an imported name has in its own module; the module itself if it names one."""
        module = self._load(path)
        if module is not None:
            return _Module(module)
        holder, _, name = path.rpartition(".")
        module = self._load(holder) if holder else None
        return self._read_member(module, name, node) if module is not None else _fail(node)

    def _read_member(self, module: SourceFile, name: str, node: ast.expr) -> Any:
        inner = Evaluator(module, marks=None, load=self._load, depth=self._depth + 1)
        try:
            return inner.evaluate(ast.Name(name, ast.Load()))
        except UnknownValueError as error:
            raise UnknownValueError(node, is_foreign=True) from error

    def _evaluate_attribute(self, node: ast.Attribute) -> Any:
        value = self.evaluate(node.value)
        return self._read_member(value.file, node.attr, node) if isinstance(value, _Module) else _fail(node)

    def _evaluate_subscript(self, node: ast.Subscript) -> Any:
        value, key = self.evaluate(node.value), self.evaluate(node.slice)
        try:
            return value[key] if isinstance(value, (dict, list)) else _fail(node)
        except (KeyError, IndexError, TypeError):
            return _fail(node)

    def _evaluate_operation(self, node: ast.BinOp) -> Any:
        left, right = self.leaf(node.left), self.leaf(node.right)
        if isinstance(node.op, ast.Add) and isinstance(left, str) and isinstance(right, str):
            return left + right
        if isinstance(node.op, ast.Add) and isinstance(left, list) and isinstance(right, list):
            return left + right
        if isinstance(node.op, ast.BitOr) and isinstance(left, dict) and isinstance(right, dict):
            return {**left, **right}
        if isinstance(node.op, ast.Mod) and isinstance(left, str):
            return _format_percent(left, right, node)
        if isinstance(left, (int, float)) and isinstance(right, (int, float)):
            return _calculate(node, left, right)
        return _fail(node)

    def _evaluate_call(self, node: ast.Call) -> Any:
        if any(isinstance(one, ast.Starred) for one in node.args):
            return _fail(node)
        name = self._imports.resolve(node.func)
        known = {"str": str, "int": int, "float": float}.get(name)
        if known is not None and len(node.args) == 1 and not node.keywords:
            value = self.evaluate(node.args[0])
            is_marked = self._marks is not None and self._marks.has_mark(value)
            if is_marked and known is not str:
                return _fail(node)
            return known(value) if isinstance(value, (str, int, float)) else _fail(node)
        if name == "dict" and not node.args and all(one.arg for one in node.keywords):
            return {str(one.arg): self.leaf(one.value) for one in node.keywords}
        if name in ("copy.deepcopy", "copy.copy", "dict", "list") and len(node.args) == 1 and not node.keywords:
            return copy.deepcopy(self.evaluate(node.args[0]))
        if name == "os.path.join" and not node.keywords:
            parts = [self.leaf(one) for one in node.args]
            return "/".join(str(one).rstrip("/") for one in parts[:-1]) + f"/{parts[-1]}" if parts else _fail(node)
        return self._evaluate_method(node)

    def _evaluate_method(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Attribute):
            return _fail(node)
        method = node.func.attr
        holder = self.evaluate(node.func.value)
        if isinstance(holder, str) and method == "format":
            return self._format(holder, node)
        if node.keywords:
            return _fail(node)
        arguments = [self.leaf(one) for one in node.args]
        if isinstance(holder, str) and method == "join" and len(arguments) == 1 and isinstance(arguments[0], list):
            return holder.join(str(one) for one in arguments[0])
        if isinstance(holder, dict) and method == "get" and arguments and isinstance(arguments[0], str):
            return holder.get(arguments[0], arguments[1] if len(arguments) > 1 else None)
        if isinstance(holder, dict) and method == "copy":
            return copy.deepcopy(holder)
        is_marked = self._marks is not None and self._marks.has_mark(holder)
        plain = {"lower", "upper", "strip", "rstrip", "lstrip", "replace", "title"}
        if (
            isinstance(holder, str)
            and method in plain
            and not is_marked
            and all(isinstance(one, str) for one in arguments)
        ):
            return getattr(holder, method)(*arguments)
        return _fail(node)

    def _format(self, text: str, node: ast.Call) -> str:
        arguments = [self.leaf(one) for one in node.args]
        named = {str(one.arg): self.leaf(one.value) for one in node.keywords if one.arg}
        if any(not isinstance(one, (str, int, float)) for one in (*arguments, *named.values())):
            return str(_fail(node))
        if len(named) < len(node.keywords) or re.search(r"\{[^{}]*[.\[!:][^{}]*\}", text):
            return str(_fail(node))
        try:
            return text.format(*arguments, **named)
        except (IndexError, KeyError, ValueError):
            return str(_fail(node))


def _fail(node: ast.AST) -> Any:
    raise UnknownValueError(node)


def _format_percent(text: str, value: Any, node: ast.AST) -> str:
    given = tuple(value) if isinstance(value, list) else value
    if re.search(r"%(\(\w+\))?[^sd%(]", text):
        return str(_fail(node))
    try:
        return text % given
    except (TypeError, ValueError, KeyError):
        return str(_fail(node))


def _calculate(node: ast.BinOp, left: float, right: float) -> Any:
    if isinstance(node.op, ast.Add):
        return left + right
    if isinstance(node.op, ast.Sub):
        return left - right
    if isinstance(node.op, ast.Mult):
        return left * right
    if isinstance(node.op, (ast.FloorDiv, ast.Div)) and right:
        return left // right if isinstance(node.op, ast.FloorDiv) else left / right
    return _fail(node)


def _bind_names(file: SourceFile) -> dict[tuple[ast.AST, str], list[ast.expr | None]]:
    """What each name of each scope is bound to; None for what is no plain assignment."""
    bound: dict[tuple[ast.AST, str], list[ast.expr | None]] = {}
    for node in ast.walk(file.tree):
        value = None
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            holder = file.parents[node]
            is_plain = isinstance(holder, (ast.Assign, ast.AnnAssign)) and not is_in_loop(file, holder)
            value, name = getattr(holder, "value", None) if is_plain else None, node.id
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = node.name
        else:
            continue
        bound.setdefault((find_scope(file, node), name), []).append(value)
    return bound


def _find_changed(file: SourceFile) -> set[str]:
    """Names of objects that are changed after they were made: ``config["x"] = 1``, ``config.update(...)``."""
    changed = set()
    for node in ast.walk(file.tree):
        target: ast.AST | None = None
        if isinstance(node, (ast.Subscript, ast.Attribute)) and not isinstance(node.ctx, ast.Load):
            target = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
            target = node.func.value
        while isinstance(target, (ast.Subscript, ast.Attribute)):
            target = target.value
        if isinstance(target, ast.Name):
            changed.add(target.id)
    return changed
