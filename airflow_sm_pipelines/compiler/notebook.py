"""A Jupyter notebook as a pipeline script: its code cells as Python, the files that they write, what they install.

Nothing of IPython is run: a magic or a shell line becomes Python where it has a meaning for a build, and is left out
otherwise.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.compiler.requirements import PipLines, merge_requirements
from airflow_sm_pipelines.compiler.script import bound_names
from airflow_sm_pipelines.exceptions import ScriptNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NOT_RUN = "__sm_pipelines_not_run__"
"""What the value of a shell line is made with; the worker defines it."""

_LINE = re.compile(
    r"^(?P<indent>\s*)(?:(?P<target>[A-Za-z_]\w*(?:\s*,\s*\w+)*)\s*=\s*)?(?P<sign>!{1,2}|%)(?P<rest>[^\s=].*|\s+.*)$"
)
_PYTHON_CELLS = frozenset({"time", "timeit", "capture", "prun", "memit", "mprun"})
_QUIET = frozenset({"matplotlib", "load_ext", "reload_ext", "autoreload", "config", "pylab", "precision", "pdb"})
_LARGEST_COPIED = 64 << 20
"""Bytes of a file that is copied; a larger one is linked."""
_NOT_COPIED = frozenset({"__pycache__", "node_modules"})
_SKIP_TAGS = frozenset({"skip-execution", "skip_execution"})


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell.

    :param number: its place among the code cells, from 1.
    :param source: Python with the lines of the cell.
    :param file: the path that ``%%writefile`` names, with ``content`` as what it writes; None for other cells.
    :param skipped: the lines that are not run.
    """

    number: int
    source: str
    file: str | None = None
    content: str = ""
    is_appended: bool = False
    skipped: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What the worker needs."""
        return {
            "number": self.number,
            "source": self.source,
            "file": self.file,
            "content": self.content,
            "is_appended": self.is_appended,
            "skipped": list(self.skipped),
        }


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook's code.

    :param requirements: of its ``pip install`` lines, with the SDK; empty where it installs nothing.
    """

    cells: tuple[Cell, ...]
    requirements: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """The cells as one Python text."""
        return "\n".join(cell.source for cell in self.cells)

    def cells_for(self, name: str | None) -> tuple[Cell, ...]:
        """The cells that a pipeline needs: from the first to the one that makes it.

        Those below only use it: they start it, wait for it and clean up.

        :param name: of the pipeline or of the function; None for the only one.
        """
        trees = [_parse(cell.source) for cell in self.cells]
        names = {name} if name is not None else {found for tree in trees for found in names_of_pipelines(tree)}
        last = max((index for index, tree in enumerate(trees) if _makes(tree, names)), default=None)
        if last is None:
            return self.cells
        needed = {found for tree in trees[: last + 1] for found in _names_in_functions(tree, names)}
        bound = {found for tree in trees[: last + 1] for found in bound_names(tree)}
        for index in range(last + 1, len(trees)):
            if (needed - bound) & bound_names(trees[index]):
                last = index
                bound |= bound_names(trees[index])
        return self.cells[: last + 1]


def parse_notebook(text: str, *, path: Path) -> Notebook:
    """Parse a notebook.

    :param path: of the notebook, for messages and for the requirements files that it names.
    :raises ScriptNotFoundError: it is no notebook, or none with Python.
    """
    try:
        document = json.loads(text)
        found = document["cells"]
        language = (document.get("metadata", {}).get("language_info") or {}).get("name", "python")
        sources = ["".join(cell["source"]) for cell in found if _is_run(cell)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ScriptNotFoundError(
            f"{path} is no Jupyter notebook of format 4 ({type(error).__name__}: {error}). Open it in Jupyter and save "
            "it again."
        ) from None
    if language != "python":
        raise ScriptNotFoundError(f"{path} is a notebook in {language}: expected one in Python.")
    pip = PipLines(path.parent)
    cells = []
    for number, source in enumerate(sources, 1):
        cell = _translate(number, source, pip)
        if cell.file is not None and not cell.is_appended:
            pip.files[cell.file.removeprefix("./")] = cell.content
        cells.append(cell)
    text = "\n".join(cell.source for cell in cells)
    return Notebook(tuple(cells), merge_requirements(pip.found, text) if pip.found else ())


def copy_surroundings(folder: Path, *, root: Path, into: Path) -> Path:
    """Copy a notebook's folder, so that what its cells write does not reach the user's files.

    Around the copy stand links to what stands around the folder, up to the project's root.

    :param into: an empty folder.
    :return: the copy of the folder.
    """
    levels = folder.relative_to(root).parts if folder.is_relative_to(root) else ()
    here, there = (root, into / root.name) if levels else (folder.parent, into / "around")
    there.mkdir(parents=True)
    for part in levels or (folder.name,):
        for entry in here.iterdir():
            if entry.name != part:
                (there / entry.name).symlink_to(entry)
        here, there = here / part, there / part
        there.mkdir()
    _copy_folder(folder, there)
    return there


def _copy_folder(folder: Path, copy: Path) -> None:
    for entry in folder.iterdir():
        target = copy / entry.name
        if entry.name in _NOT_COPIED:
            continue
        if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith("."):
            target.mkdir()
            _copy_folder(entry, target)
        elif entry.is_file() and entry.stat().st_size <= _LARGEST_COPIED:
            shutil.copy2(entry, target)
        else:
            target.symlink_to(entry.resolve())


def _is_run(cell: dict[str, Any]) -> bool:
    tags = (cell.get("metadata") or {}).get("tags") or ()
    return bool(cell["cell_type"] == "code" and not _SKIP_TAGS.intersection(tags))


def _translate(number: int, source: str, pip: PipLines) -> Cell:
    """The cell as Python."""
    lines = source.split("\n")
    first = next((index for index, line in enumerate(lines) if line.strip()), 0)
    magic = re.match(r"%%\s*([\w!]+)\s*(.*)$", lines[first]) if lines else None
    if magic is None:
        python, skipped = _translate_lines(lines, pip)
        return Cell(number, python, skipped=tuple(skipped))
    name, arguments = magic[1], magic[2].strip()
    body = lines[first + 1 :]
    if name in ("writefile", "file") and arguments:
        words = [word.strip("\"'") for word in arguments.split()]
        is_appended = words[0] in ("-a", "--append")
        content = "\n".join(body) + ("\n" if body else "")
        return Cell(number, "", words[-1], content, is_appended)
    if name in _PYTHON_CELLS:
        python, skipped = _translate_lines([""] * (first + 1) + body, pip)
        return Cell(number, python, skipped=tuple(skipped))
    if name in ("sh", "bash", "!", "system"):
        body = [line for line in body if not pip.take(line)]
    return Cell(number, "", skipped=(lines[first],) if any(line.strip() for line in body) else ())


def _translate_lines(lines: list[str], pip: PipLines) -> tuple[str, list[str]]:
    """The lines as Python. Python's own parser says which ones are not: a text in quotes may look like a magic."""
    lines = list(lines)
    skipped: list[str] = []
    for _ in range(len(lines) + 1):
        try:
            ast.parse("\n".join(lines))
            break
        except SyntaxError as error:
            at = (error.lineno or 1) - 1
        except ValueError:
            break
        if not 0 <= at < len(lines) or not _translate_line(lines, at, pip, skipped):
            # Python may name a line below the one that is not its own.
            others = [index for index in range(len(lines)) if _LINE.match(lines[index]) or _is_help(lines[index])]
            if not any(_translate_line(lines, index, pip, skipped) for index in others):
                break
    return "\n".join(lines), skipped


def _translate_line(lines: list[str], at: int, pip: PipLines, skipped: list[str]) -> bool:
    """Replace a line that is not Python, with those that go on from it.

    :return: whether it is such a line.
    """
    line = lines[at]
    match = _LINE.match(re.sub(r"^(\s*)(pip3? install )", r"\1%\2", line))  # Jupyter takes it without its sign
    if match is None:
        if not _is_help(line):
            return False
        lines[at] = line[: len(line) - len(line.lstrip())] + "pass"
        return True
    end = at
    while lines[end].endswith("\\") and end + 1 < len(lines):
        end += 1
    rest = " ".join(part.rstrip("\\").strip() for part in [match["rest"], *lines[at + 1 : end + 1]])
    python = _shell(rest, pip) if match["sign"].startswith("!") else _magic(rest, pip)
    target = match["target"]
    if python is None:
        skipped.append(f"{match['sign']}{rest}")
    if target is not None:
        value = python if python and match["sign"] == "%" else _not_run(match["sign"] + rest)
        lines[at] = f"{match['indent']}{target} = {value}"
    else:
        lines[at] = match["indent"] + (python or "pass")
    lines[at + 1 : end + 1] = [""] * (end - at)
    return True


def _magic(rest: str, pip: PipLines) -> str | None:
    """Python for a line magic; None if the line is left out."""
    name, _, arguments = rest.strip().partition(" ")
    arguments = arguments.strip()
    if name in ("pip", "pip3", "uv") and pip.take(rest.strip()):
        return "pass"
    if name in ("time", "timeit") and arguments:
        return re.sub(r"^(-\w+\s*\d*\s+)+", "", arguments)
    if name in ("env", "set_env"):
        variable, separator, value = arguments.replace(" ", "=", 1).partition("=")
        return f"__import__('os').environ[{variable!r}] = {value.lstrip('=')!r}" if separator else "pass"
    if name == "cd" and arguments:
        return f"__import__('os').chdir({arguments.strip(chr(34) + chr(39))!r})"
    if name == "mkdir":
        return _make_folders(arguments.split())
    return "pass" if name in _QUIET else None


def _shell(rest: str, pip: PipLines) -> str | None:
    """Python for a shell line; None if the line is left out."""
    is_known = True
    python = []
    for part in re.split(r"&&|;", rest):
        if pip.take(part):
            continue
        try:
            words = shlex.split(part, comments=True)
        except ValueError:
            words = ["?"]
        if words[:1] == ["mkdir"]:
            python.append(_make_folders(words[1:]))
        elif words:
            is_known = False
    return ("; ".join(python) or "pass") if is_known else None


def _not_run(line: str) -> str:
    return f"{NOT_RUN}({line!r})"


def _make_folders(words: Sequence[str]) -> str:
    folders = [word for word in words if not word.startswith("-")]
    return f"[__import__('os').makedirs(one, exist_ok=True) for one in {folders!r}]"


def _is_help(line: str) -> bool:
    text = line.strip()
    return re.fullmatch(r"\??\??[\w.]+\??\??", text) is not None and "?" in text


# --- which cells make a pipeline


def _parse(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def names_of_pipelines(source: ast.Module | str) -> Iterator[str]:
    """The names that a cell gives to pipelines, and ``get_pipeline`` where it defines that."""
    for node in ast.walk(_parse(source) if isinstance(source, str) else source):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            if _last_name(node.value.func) in ("Pipeline", "get_pipeline"):
                yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.FunctionDef) and node.name == "get_pipeline":
            yield node.name


def _makes(tree: ast.Module, names: set[str]) -> bool:
    """Whether a cell makes what is named, or changes it."""
    if names & bound_names(tree):
        return True
    return any(found in names for node in ast.walk(tree) for found in changed_names(node))


def changed_names(node: ast.AST) -> Iterator[str]:
    """The names of which a statement changes a part: ``name.tags = ...``, ``name.steps.append(...)``."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = [target for target in node.targets if not isinstance(target, ast.Name)]
    elif isinstance(node, ast.AugAssign):
        targets = [node.target]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        targets = [node.func.value]
    for target in targets:
        inner: ast.AST = target
        while isinstance(inner, (ast.Attribute, ast.Subscript)):
            inner = inner.value
        if isinstance(inner, ast.Name) and inner is not target:
            yield inner.id


def _last_name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def _names_in_functions(tree: ast.Module, names: set[str]) -> set[str]:
    """The names that functions of these names read."""
    return {
        part.id
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name in names
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)
    }
