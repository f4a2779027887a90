"""A pipeline script: how it is named, its text, where it runs, and the environment that it says it needs.

The environment stands in the script as inline metadata (PEP 723), with a table of ours for what PEP 723 has no word
for.
"""

from __future__ import annotations

import ast
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.compiler.sdk_side.sdk import PINS, find_generation
from airflow_sm_pipelines.definition.problems import find_near
from airflow_sm_pipelines.exceptions import ScriptFunctionError, ScriptMetadataError, ScriptNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

from airflow_sm_pipelines.toml_text import parse_toml

_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
"""Source: the reference implementation in PEP 723."""
_SUFFIXES = (".py", ".ipynb")
_SDK_LINE = re.compile(r"(?mi)^sagemaker\s*(\[|[=<>~!;@#]|$)")
_FOLDERS_ABOVE = 4


@dataclass(frozen=True, slots=True)
class ScriptReference:
    """A script and what in it is the pipeline.

    :param path: as the user wrote it.
    :param function: the name of the function that returns the pipeline, or of the pipeline itself. None for a script
        that has one pipeline.
    """

    path: Path
    function: str | None

    def __str__(self) -> str:
        return str(self.path) if self.function is None else f"{self.path}:{self.function}"


def find_reference(text: str) -> ScriptReference | None:
    """Read the name of a pipeline in a script, the one way in which every option and command does it.

    :param text: ``path.py``, ``path.py:function`` or ``path.py:pipeline``; the same with ``.ipynb``.
    :return: None if the text names no script.
    """
    text = text.strip()
    if text.endswith(_SUFFIXES):
        return ScriptReference(Path(text), None)
    path, separator, name = text.rpartition(":")
    if separator and path.endswith(_SUFFIXES) and name.isidentifier():
        return ScriptReference(Path(path), name)
    return None


def parse_reference(text: str) -> ScriptReference:
    """Read the name of a pipeline in a script, as :func:`find_reference` does.

    :raises ScriptNotFoundError: the text has another form.
    """
    reference = find_reference(text)
    if reference is None or not reference.path.stem:
        raise ScriptNotFoundError(
            f"{text!r} names no pipeline script. Write the script, and the function or the pipeline in it, such as "
            "'pipelines/train.py:get_pipeline'."
        )
    return reference


def read_script(script: Path) -> tuple[Path, str]:
    """Read the script.

    :return: its absolute path and its text.
    :raises ScriptNotFoundError: it does not exist or is not UTF-8 text; the message names files with similar names.
    """
    path = script.expanduser().absolute()
    try:
        return path, path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ScriptNotFoundError(f"The pipeline script {path} is not UTF-8 text: {error}.") from error
    except OSError as error:
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        near = sorted(entry.name for entry in beside if entry.suffix == path.suffix)
        close = find_near(path.name, near)
        if close:
            hint = f" Did you mean '{path.parent / close}'?"
        elif not path.parent.is_dir():
            hint = f" There is no directory {path.parent}."
        else:
            hint = f" {path.parent} has {', '.join(near) or f'no {path.suffix} file'}."
        raise ScriptNotFoundError(f"Cannot read the pipeline script {path}: {error.strerror}.{hint}") from error


def check_name(reference: ScriptReference, script: Path, source: str) -> None:
    """Check that a script defines what is named in it, without running it.

    A script that may define names in other ways (``from x import *``, ``globals()``) is not judged.

    :raises ScriptFunctionError: it does not; the message has the names that it does define.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return  # Python says it better, with the line
    if reference.function is None or any(_hides_names(node) for node in ast.walk(tree)):
        return
    names = bound_names(tree)
    if reference.function in names:
        return
    functions = sorted(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    )
    close = find_near(reference.function, sorted(name for name in names if name[0].islower()))
    hint = f" Did you mean {close!r}?" if close else f" It has {', '.join(functions) or 'no function'}."
    raise ScriptFunctionError(f"{script} has no such function: {reference.function!r}.{hint}")


def bound_names(tree: ast.Module) -> set[str]:
    """The names that a module's top level binds, as far as its text shows it."""
    return {name for node in _iter_module_level(tree.body) for name in _bound_names(node)}


def _iter_module_level(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        for field in ("body", "orelse", "finalbody", "handlers"):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield from _iter_module_level(getattr(node, field, ()))


def _bound_names(node: ast.AST) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    blocks = (ast.If, ast.For, ast.While, ast.Try, ast.With)
    parts = ast.walk(node) if not isinstance(node, blocks) else _walk_head(node)
    return [part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]


def _walk_head(node: ast.AST) -> Iterator[ast.AST]:
    """What stands in a block's first line: a loop's variable, the names after ``as``."""
    for field, value in ast.iter_fields(node):
        if field not in ("body", "orelse", "finalbody", "handlers"):
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, ast.AST):
                    yield from ast.walk(part)


def _hides_names(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return any(alias.name == "*" for alias in node.names)
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return is_call and node.func.id in ("globals", "exec", "setattr", "vars", "locals")  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class ScriptMetadata:
    """The environment that a script needs.

    :param dependencies: PEP 508 requirements.
    :param requires_python: a version range such as ``>=3.10``.
    :param uses_current_interpreter: ``interpreter = "current"`` in ``[tool.sm-pipelines]``: the script runs in the
        interpreter that runs this code.
    :param project_root: ``project-root = "../.."`` in the same table: a folder from which the script imports, besides
        its own.
    :param working_dir: ``working-dir = "../.."``: the folder in which the script runs; it imports from there, too.
    """

    dependencies: tuple[str, ...]
    requires_python: str | None = None
    uses_current_interpreter: bool = False
    project_root: Path | None = None
    working_dir: Path | None = None


def parse_metadata(source: str, *, path: Path) -> ScriptMetadata | None:
    """Parse a script's inline metadata.

    :param source: the script's text.
    :param path: of the script, for messages and for the project root.
    :return: None if the script has no metadata.
    :raises ScriptMetadataError: there are two blocks, the TOML cannot be read, or a value has the wrong type.
    """
    blocks = [match for match in _BLOCK.finditer(source) if match["type"] == "script"]
    if not blocks:
        if re.search(r"(?m)^#\s*///\s*script\s*$", source):
            raise ScriptMetadataError(
                f"{path} begins inline metadata (# /// script) that does not end, or that has a line without '# '. "
                f"It should look like:\n{_make_header(source)}"
            )
        return None
    if len(blocks) > 1:
        line = source.count("\n", 0, blocks[1].start()) + 1
        raise ScriptMetadataError(f"{path}:{line}: a second '# /// script' block; PEP 723 allows one.")
    content = "".join(
        line[2:] if line.startswith("# ") else line[1:] for line in blocks[0]["content"].splitlines(keepends=True)
    )
    try:
        table = parse_toml(content)
    except ValueError as error:
        first = source.count("\n", 0, blocks[0].start()) + 1
        raise ScriptMetadataError(
            f"{path}: the inline metadata that begins in line {first} is not TOML: {error}."
        ) from error
    return _parse_table(table, path)


def explain_missing_metadata(path: Path, source: str) -> str:
    """The message for a script that does not say which SDK it needs: what it should begin with, or be given."""
    pin = PINS[find_generation(source) or 2]
    where = "Begin its first code cell with" if path.suffix == ".ipynb" else "Begin it with"
    file = _find_requirements_file(path)
    found = f" The project's {file} names it, too: --requirements '{file}'." if file is not None else ""
    return (
        f"{path} does not say which SageMaker SDK it needs. {where}\n{_make_header(source)}\n"
        f"or give requirements=['{pin}'] (on the command line, --requirements '{pin}'), or name a Python that has the "
        f"SDK with interpreter= (--interpreter).{found}"
    )


def _find_requirements_file(script: Path) -> Path | None:
    """The nearest requirements file, beside a script or above it in its repository, that names the SDK."""
    for folder in script.resolve().parents[:_FOLDERS_ABOVE]:
        with suppress(OSError):
            for file in sorted(folder.glob("requirements*.txt")):
                if _SDK_LINE.search(file.read_text(encoding="utf-8", errors="replace")):
                    return file
            if (folder / ".git").exists():
                break
    return None


def _make_header(source: str) -> str:
    return f'# /// script\n# dependencies = ["{PINS[find_generation(source) or 2]}"]\n# ///'


def _parse_table(table: dict[str, Any], path: Path) -> ScriptMetadata:
    dependencies = table.get("dependencies", [])
    if not isinstance(dependencies, list) or not all(isinstance(item, str) for item in dependencies):
        raise ScriptMetadataError(f"{path}: `dependencies` in the inline metadata is not a list of strings.")
    requires_python = table.get("requires-python")
    if requires_python is not None and not isinstance(requires_python, str):
        raise ScriptMetadataError(f"{path}: `requires-python` in the inline metadata is not a string.")
    tools = table.get("tool", {})
    ours = tools.get("sm-pipelines", {}) if isinstance(tools, dict) else {}
    ours = ours if isinstance(ours, dict) else {"interpreter": ours}
    interpreter = ours.get("interpreter")
    if interpreter not in (None, "current"):
        raise ScriptMetadataError(
            f"{path}: [tool.sm-pipelines] interpreter is {interpreter!r}; it may be 'current' or absent."
        )
    return ScriptMetadata(
        tuple(dependencies),
        requires_python,
        interpreter == "current",
        _parse_folder("project-root", ours, path),
        _parse_folder("working-dir", ours, path),
    )


def _parse_folder(key: str, table: dict[str, Any], path: Path) -> Path | None:
    given = table.get(key)
    if given is None:
        return None
    folder = (path.parent / given).resolve() if isinstance(given, str) else None
    if folder is None or not folder.is_dir():
        raise ScriptMetadataError(
            f"{path}: [tool.sm-pipelines] {key} is {given!r}; it must be a folder, seen from the "
            f"script's, such as '../..'{'' if folder is None else f', and there is no {folder}'}."
        )
    return folder
