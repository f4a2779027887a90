"""A Python file as bytes and as a tree, and edits that replace spans of its bytes.

The tree is Python's own ``ast``. LibCST needs 18 seconds and a gigabyte for a file of 10,000 tasks, ``ast`` needs one
second; since only spans are replaced, the rest keeps its bytes without it.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sm_pipelines.exceptions import MigrationError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_BYTES = 8 << 20
"""The largest file that is read."""

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Edit:
    """New text in place of a span of the file.

    :param start: offset of the first byte that goes away.
    :param end: offset behind the last one; ``start`` to insert.
    """

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A Python file.

    :param name: as people find it, for places.
    :param data: its text as UTF-8, whatever encoding the file itself has.
    :param encoding: the file's own encoding.
    :param tree: its syntax.
    :param parents: the node around each node.
    """

    name: str
    data: bytes
    encoding: str
    tree: ast.Module
    parents: dict[ast.AST, ast.AST]
    _lines: list[int] = field(repr=False)

    def span(self, node: ast.AST) -> tuple[int, int]:
        """The offsets of a node's first byte and of the byte behind its last."""
        start = self._lines[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        end = self._lines[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
        return start, end

    def text(self, node: ast.AST) -> str:
        """A node as the file has it."""
        start, end = self.span(node)
        return self.data[start:end].decode("utf-8")

    def place(self, node: ast.AST) -> str:
        """Where a node begins: ``dags/train.py:12:5``."""
        start = self._lines[node.lineno - 1]  # type: ignore[attr-defined]
        before = self.data[start : start + node.col_offset]  # type: ignore[attr-defined]
        return f"{self.name}:{node.lineno}:{len(before.decode('utf-8', 'replace')) + 1}"  # type: ignore[attr-defined]

    def indent(self, node: ast.AST) -> str:
        """The white space before the first statement of a node's line."""
        start = self._lines[node.lineno - 1]  # type: ignore[attr-defined]
        found = re.match(rb"[ \t\f]*", self.data[start:])
        return found[0].decode() if found else ""

    @property
    def newline(self) -> str:
        """How the file's first line ends."""
        found = _LINE_END.search(self.data)
        return found[0].decode() if found else "\n"

    def apply(self, edits: Iterable[Edit]) -> bytes:
        """The file's bytes after some edits, in its own encoding.

        :raises MigrationError: the result is no Python, or the file's encoding has no such letter.
        """
        parts, position = [], 0
        for edit in sorted(set(edits), key=lambda one: (one.start, one.end)):
            if edit.start < position:
                raise MigrationError(f"{self.name}: two changes of the same place; nothing was changed.")
            parts += [self.data[position : edit.start], edit.text.encode("utf-8")]
            position = edit.end
        changed = b"".join([*parts, self.data[position:]])
        _parse(changed.decode("utf-8"), name=f"{self.name} after the changes")
        return changed.decode("utf-8").encode(self.encoding)


def read_source(source: bytes, *, name: str) -> SourceFile:
    """Read a Python file.

    :raises MigrationError: it is no Python 3; the message has line and column.
    """
    if len(source) > MAX_BYTES:
        raise MigrationError(f"{name}: {len(source):,} bytes are more than a DAG file has; at most {MAX_BYTES:,}.")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        text = source.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise MigrationError(f"{name}:1:1: its encoding cannot be read: {error}.") from None
    tree = _parse(text, name=name)
    data = text.encode("utf-8")
    lines = [0, *(found.end() for found in _LINE_END.finditer(data))]
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    return SourceFile(name, data, encoding, tree, parents, lines)


def find_scope(file: SourceFile, node: ast.AST) -> ast.AST:
    """The function around a node, or the module."""
    while node in file.parents:
        node = file.parents[node]
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            return node
    return file.tree


def is_in_loop(file: SourceFile, node: ast.AST) -> bool:
    """Whether a node stands in a loop."""
    while node in file.parents:
        node = file.parents[node]
        if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            return True
    return False


def _parse(text: str, *, name: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes in somebody's strings
            return ast.parse(text)
    except SyntaxError as error:
        hint = " Is it Python 2? Migrate it to Python 3 first." if _is_python_2(text) else ""
        raise MigrationError(f"{name}:{error.lineno or 1}:{error.offset or 1}: {error.msg}.{hint}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise MigrationError(f"{name}:1:1: Python cannot parse it: {error or 'it is nested too deeply'}.") from None


def _is_python_2(text: str) -> bool:
    return (
        re.search(r"^\s*(print\s+[\"'\w(]|except\s+[\w.]+\s*,\s*\w+\s*:|raise\s+\w+\s*,|exec\s+\")", text, re.M)
        is not None
    )
