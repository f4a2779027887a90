"""A pipeline script: how it is named, its text, and the environment that it says it needs.

The environment stands in the script as inline metadata (PEP 723), with a table of ours for what PEP 723 has no word
for.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.problems import find_near
from airflow_sm_pipelines.exceptions import ScriptFunctionError, ScriptMetadataError, ScriptNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

from airflow_sm_pipelines.toml_text import parse_toml

_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
"""Source: the reference implementation in PEP 723."""
_EXAMPLE = '# /// script\n# dependencies = ["sagemaker>=2.257,<3"]\n# ///'


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


def parse_reference(reference: str) -> ScriptReference:
    """Parse ``path.py:function``, ``path.py:pipeline`` or ``path.py``.

    :raises ScriptNotFoundError: the text has another form.
    """
    if reference.endswith(".py"):
        return ScriptReference(Path(reference), None)
    path, separator, function = reference.rpartition(":")
    if not separator or not path.endswith(".py") or not function.isidentifier():
        raise ScriptNotFoundError(
            f"{reference!r} does not name a pipeline function. Write the script and the function in it, "
            "such as 'pipelines/train.py:get_pipeline'."
        )
    return ScriptReference(Path(path), function)


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
        near = sorted(entry.name for entry in path.parent.glob("*.py")) if path.parent.is_dir() else []
        close = find_near(path.name, near)
        if close:
            hint = f" Did you mean '{path.parent / close}'?"
        elif not path.parent.is_dir():
            hint = f" There is no directory {path.parent}."
        else:
            hint = f" {path.parent} has {', '.join(near) or 'no Python file'}."
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
    names = [name for node in _iter_module_level(tree.body) for name in _bound_names(node)]
    if reference.function in names:
        return
    functions = sorted(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    )
    close = find_near(reference.function, [name for name in names if not name.startswith("_")])
    hint = f" Did you mean {close!r}?" if close else f" It has {', '.join(functions) or 'no function'}."
    raise ScriptFunctionError(f"{script} has no such function: {reference.function!r}.{hint}")


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
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]


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
    """

    dependencies: tuple[str, ...]
    requires_python: str | None = None
    uses_current_interpreter: bool = False
    project_root: Path | None = None


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
                f"It should look like:\n{_EXAMPLE}"
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


def explain_missing_metadata(path: Path) -> str:
    """The message for a script without inline metadata: what it should begin with."""
    return (
        f"{path} does not say which SageMaker SDK it needs. Begin it with\n{_EXAMPLE}\n"
        "or name a Python that has the SDK with interpreter= (on the command line, --interpreter)."
    )


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
        _parse_project_root(ours.get("project-root"), path),
    )


def _parse_project_root(given: object, path: Path) -> Path | None:
    if given is None:
        return None
    root = (path.parent / given).resolve() if isinstance(given, str) else None
    if root is None or not root.is_dir():
        raise ScriptMetadataError(
            f"{path}: [tool.sm-pipelines] project-root is {given!r}; it must be a folder, seen from the "
            f"script's, such as '../..'{'' if root is None else f', and there is no {root}'}."
        )
    return root
