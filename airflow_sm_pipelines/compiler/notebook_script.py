"""A pipeline script made of a notebook: the statements that its pipeline follows from, the files that it writes.

Which cells make a pipeline is decided in ``notebook``. Here a script is made of them that a person goes on with; to
build a notebook as it stands, no script is needed.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from airflow_sm_pipelines.compiler.notebook import NOT_RUN, changed_names, names_of_pipelines
from airflow_sm_pipelines.compiler.requirements import merge_requirements
from airflow_sm_pipelines.compiler.script import bound_names
from airflow_sm_pipelines.exceptions import ScriptFunctionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_sm_pipelines.compiler.notebook import Cell, Notebook


@dataclass(frozen=True, slots=True)
class NotebookScript:
    """A script, and what stands beside it.

    :param pipeline: the name of the pipeline in the script.
    :param source: the script with its header.
    :param files: texts that cells write, by their path beside the script.
    :param mentioned: paths that the script names or imports from, which may be files beside the notebook.
    :param dropped: what is not in the script, a line each, with the number of its cell.
    :param unknown: lines of the script whose value only a shell knew, with their cell.
    """

    pipeline: str
    source: str
    files: dict[str, str]
    mentioned: tuple[str, ...]
    dropped: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Statement:
    cell: int
    node: ast.stmt
    text: str

    @property
    def first_line(self) -> str:
        return f"cell {self.cell}: {self.text.strip().splitlines()[0]}"


def make_notebook_script(notebook: Notebook, *, pipeline: str | None = None) -> NotebookScript:
    """Make a script of what a notebook's pipeline follows from.

    :param pipeline: the name of the pipeline in the notebook; None for the only one.
    :raises ScriptFunctionError: the notebook makes no pipeline of that name, or several and none is named.
    """
    name = _choose(notebook, pipeline)
    used = notebook.cells_for(name)
    statements = [one for cell in used for one in _split(cell)]
    kept = _follow_back(statements, name)
    dropped = [
        one.first_line
        for index, one in enumerate(statements)
        if index not in kept and not isinstance(one.node, (ast.Pass, ast.Import, ast.ImportFrom))
    ]
    dropped += [f"cell {cell.number}: {line}" for cell in used for line in cell.skipped]
    dropped += [f"cell {cell.number}: the whole cell" for cell in notebook.cells[len(used) :] if cell.source.strip()]
    files, lost = _gather_files(notebook.cells)
    body = _render([statements[index] for index in sorted(kept)])
    requirements = notebook.requirements or merge_requirements((), notebook.source)
    header = "".join(f'#     "{one}",\n' for one in requirements)
    chosen = [statements[index] for index in sorted(kept)]
    return NotebookScript(
        pipeline=name,
        source=f"# /// script\n# dependencies = [\n{header}# ]\n# ///\n\n{body}",
        files=files,
        mentioned=tuple(
            dict.fromkeys(path for one in chosen for path in (*_paths_of(one.node), *_modules_of(one.node)))
        ),
        dropped=(*dropped, *lost),
        unknown=tuple(one.first_line for one in chosen if NOT_RUN in one.text),
    )


def _choose(notebook: Notebook, pipeline: str | None) -> str:
    found = list(dict.fromkeys(name for cell in notebook.cells for name in names_of_pipelines(cell.source)))
    if pipeline is not None and (pipeline in found or not found):
        return pipeline
    if len(found) == 1 and pipeline is None:
        return found[0]
    what = f"several pipelines: {', '.join(found)}. Name one" if found else "no Pipeline(...). Name what makes it"
    raise ScriptFunctionError(f"The notebook has {what} with --pipeline NAME.")


def _split(cell: Cell) -> Iterator[_Statement]:
    try:
        tree = ast.parse(cell.source)
    except (SyntaxError, ValueError):
        return
    lines = cell.source.split("\n")
    end = 0
    for node in tree.body:
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
        start = first - 1
        while start > end and lines[start - 1].lstrip().startswith("#"):
            start -= 1  # the comment above it
        if first - 1 < end:  # a second statement on a line
            text = ast.unparse(node)
        else:
            text = "\n".join(lines[start : node.end_lineno])
            text = text if text.rstrip() and ast.dump(node) in _dumps(text) else ast.unparse(node)
        end = max(end, node.end_lineno or first)
        yield _Statement(cell.number, node, text)


def _dumps(text: str) -> list[str]:
    """The statements of a text, where it is no more than one."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return []
    return [ast.dump(body[0])] if len(body) == 1 else []


def _follow_back(statements: Sequence[_Statement], name: str) -> set[int]:
    """The places of the statements that the pipeline follows from: what binds, changes or makes what they use."""
    needed = {name}
    kept: set[int] = set()
    size = -1
    while len(kept) != size:  # a function that is kept may read a name that is bound below it
        size = len(kept)
        for index in range(len(statements) - 1, -1, -1):
            node = statements[index].node
            if index not in kept and _is_needed(node, needed, name):
                kept.add(index)
                needed |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} - {NOT_RUN}
                needed |= set(_paths_of(node))
    return kept


def _is_needed(node: ast.stmt, needed: set[str], pipeline: str) -> bool:
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return True
    if bound_names(ast.Module([node], [])) & needed or "__import__('os')" in ast.unparse(node):
        return True  # the second is what a magic has become: folders and variables
    if any(found in needed for part in ast.walk(node) for found in changed_names(part)):
        return True
    return any(
        (isinstance(part, ast.Expr) and _names_in(part) & needed) or set(_paths_of(part.value)) & needed
        for part in ast.walk(node)
        if isinstance(part, (ast.Expr, ast.Assign)) and isinstance(part.value, ast.Call)
        # What has the pipeline itself only starts, shows or deletes it.
        if pipeline not in _names_in(part) and not _is_shown(part.value)
    )


def _is_shown(call: ast.Call) -> bool:
    """Whether a call only shows something."""
    return isinstance(call.func, ast.Name) and call.func.id in ("print", "display", "pprint", "len", NOT_RUN)


def _names_in(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _gather_files(cells: Sequence[Cell]) -> tuple[dict[str, str], list[str]]:
    """What the cells write, and what cannot be written beside the script."""
    files: dict[str, str] = {}
    lost = []
    for cell in cells:
        if cell.file is None:
            continue
        path = PurePosixPath(cell.file)
        if path.is_absolute() or ".." in path.parts or re.search(r"[{}$~]", cell.file):
            lost.append(f"cell {cell.number}: the file {cell.file}, which is not below the notebook's folder")
        elif cell.is_appended:
            files[str(path)] = files.get(str(path), "") + cell.content
        else:
            files[str(path)] = cell.content
    return files, lost


def _paths_of(node: ast.AST) -> Iterator[str]:
    """The texts that may be paths of files below the notebook's folder."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            text = part.value.removeprefix("./")
            path = PurePosixPath(text)
            is_below = not path.is_absolute() and ".." not in path.parts
            if is_below and re.fullmatch(r"[\w\-][\w.\-/]*", text) and ("/" in text or path.suffix):
                yield text


def _modules_of(node: ast.AST) -> Iterator[str]:
    """Where the modules that are imported stand, if they stand beside the notebook: a file or a folder."""
    for part in ast.walk(node):
        names = [one.name for one in part.names] if isinstance(part, ast.Import) else []
        if isinstance(part, ast.ImportFrom) and part.module:
            names = [part.module]
        for name in names:
            first = name.partition(".")[0]
            yield from (f"{first}.py", first)


def _render(statements: Sequence[_Statement]) -> str:
    """The statements as a module: imports from the future first, an empty line between cells."""
    first = [one for one in statements if isinstance(one.node, ast.ImportFrom) and one.node.module == "__future__"]
    text = "".join(f"{one.text}\n" for one in first)
    cell = 0
    for one in statements:
        if one not in first:
            text += ("\n" if cell not in (0, one.cell) else "") + f"{one.text}\n"
            cell = one.cell
    return re.sub(rf"{NOT_RUN}\((['\"])(.*?)\1\)", r'""  # the notebook asked a shell: \2', text)
