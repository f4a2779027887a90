"""What the names of a Python file stand for, as far as its imports say, and edits of those imports."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.migrate.airflow.source_file import Edit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.migrate.airflow.source_file import SourceFile


@dataclass(frozen=True, slots=True)
class ImportedNames:
    """The dotted paths that names of a file stand for.

    :param names: the dotted path by name: ``{"BashOperator": "airflow.operators.bash.BashOperator"}``.
    :param starred: modules of which everything is imported.
    """

    names: dict[str, str]
    starred: tuple[str, ...]

    def resolve(self, node: ast.AST) -> str:
        """The dotted path of a name or an attribute; empty if it is another expression."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            before = self.resolve(node.value)
            return f"{before}.{node.attr}" if before else ""
        return ""


def read_imports(file: SourceFile) -> ImportedNames:
    """The imports of a file, wherever they stand in it."""
    names: dict[str, str] = {}
    starred = []
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                names[one.asname or one.name.partition(".")[0]] = one.name if one.asname else one.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for one in node.names:
                if one.name == "*":
                    starred.append(node.module or "")
                else:
                    names[one.asname or one.name] = f"{node.module}.{one.name}"
    return ImportedNames(names, tuple(starred))


@dataclass(frozen=True, slots=True)
class ImportedName:
    """One name of a ``from ... import`` statement."""

    statement: ast.ImportFrom
    alias: ast.alias
    path: str


def iter_imported(file: SourceFile) -> Iterator[ImportedName]:
    """Each name that a ``from ... import`` statement of a file brings."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield ImportedName(node, alias, f"{node.module}.{alias.name}")


def move_imports(file: SourceFile, moved: Mapping[ImportedName, str], *, module: str) -> list[Edit]:
    """Edits that import some names from another module instead.

    :param moved: the new name of each name that goes away. Names that stay in a statement keep their bytes.
    :param module: where the new names come from.
    """
    edits: list[Edit] = []
    statements = {one.statement: None for one in moved}
    for statement in statements:
        ours = {one.alias: name for one, name in moved.items() if one.statement is statement}
        names = ", ".join(
            dict.fromkeys(
                f"{name} as {alias.asname}" if alias.asname else name
                for alias, name in sorted(ours.items(), key=lambda item: item[1])
            )
        )
        line = f"from {module} import {names}"
        start, end = file.span(statement)
        if len(ours) == len(statement.names):
            edits.append(Edit(start, end, line))
            continue
        edits += remove_names(file, statement, set(ours))
        is_alone = not file.data[:start].split(b"\n")[-1].strip()
        edits.append(Edit(start, start, line + (file.newline + file.indent(statement) if is_alone else "; ")))
    return edits


def remove_names(file: SourceFile, statement: ast.ImportFrom, removed: set[ast.alias]) -> Iterator[Edit]:
    """Edits that take names out of a statement in which others stay."""
    names = statement.names
    last_kept = max(index for index, alias in enumerate(names) if alias not in removed)
    for index, alias in enumerate(names):
        if alias not in removed:
            continue
        if index < last_kept:
            yield Edit(file.span(alias)[0], file.span(names[index + 1])[0], "")
        else:
            yield Edit(file.span(names[index - 1])[1], file.span(alias)[1], "")


def add_import(file: SourceFile, line: str, *, before: ast.AST) -> Edit:
    """An edit that adds an import behind the last one at the file's top level that stands before its use.

    :param before: the first node that uses it.
    """
    use = file.span(before)[0]
    last: ast.stmt | None = None
    for node in file.tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)) and file.span(node)[1] <= use:
            last = node
    if last is None:
        body = file.tree.body
        first = body[1] if len(body) > 1 and ast.get_docstring(file.tree) is not None else body[0]
        start = file.span(first)[0]
        return Edit(start, start, line + file.newline)
    end = file.span(last)[1]
    rest = re.match(rb"[ \t]*(?:#[^\r\n]*)?", file.data[end:])
    end += rest.end() if rest is not None else 0
    return Edit(end, end, file.newline + line)
