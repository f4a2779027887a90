"""Reads what a script says of the environment it needs: PEP 723 inline metadata and our table in it."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.exceptions import ScriptMetadataError

if TYPE_CHECKING:
    from pathlib import Path

# Dynamic, since a type checker sees only one of them. Python 3.10 has none of its own.
_toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

# The expression of PEP 723's reference implementation.
_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_EXAMPLE = '# /// script\n# dependencies = ["sagemaker>=2.257,<3"]\n# ///'


@dataclass(frozen=True, slots=True)
class ScriptMetadata:
    """What a script needs: requirements, a ``requires-python``, and what our table ``[tool.sm-pipelines]`` says.

    :param uses_current_interpreter: ``interpreter = "current"``: it runs in the interpreter that runs us.
    :param project_root: ``project-root = "../.."``: the folder its imports start from, beside its own.
    """

    dependencies: tuple[str, ...]
    requires_python: str | None = None
    uses_current_interpreter: bool = False
    project_root: Path | None = None


def parse_metadata(source: str, *, path: Path) -> ScriptMetadata | None:
    """Read a script's inline metadata; None where it has none.

    :param source: the script's text.
    :param path: for messages.
    :raises ScriptMetadataError: two blocks, TOML that cannot be read, or values of the wrong type.
    """
    blocks = [match for match in _BLOCK.finditer(source) if match["type"] == "script"]
    if not blocks:
        if re.search(r"(?m)^#\s*///\s*script\s*$", source):
            raise ScriptMetadataError(
                f"{path} begins inline metadata (# /// script) that does not end, or has a line without '# ' in it. "
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
        table = _toml.loads(content)
    except ValueError as error:
        first = source.count("\n", 0, blocks[0].start()) + 1
        raise ScriptMetadataError(
            f"{path}: the inline metadata that begins in line {first} is not TOML: {error}."
        ) from error
    return _metadata_of(table, path)


def explain_missing_metadata(path: Path) -> str:
    """Say what a script without inline metadata should begin with."""
    return (
        f"{path} does not say which SageMaker SDK it needs. Begin it with\n{_EXAMPLE}\n"
        "or name a Python that has the SDK with interpreter= (on the command line, --interpreter)."
    )


def _metadata_of(table: dict[str, Any], path: Path) -> ScriptMetadata:
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
        tuple(dependencies), requires_python, interpreter == "current", _project_root(ours.get("project-root"), path)
    )


def _project_root(given: object, path: Path) -> Path | None:
    if given is None:
        return None
    root = (path.parent / given).resolve() if isinstance(given, str) else None
    if root is None or not root.is_dir():
        raise ScriptMetadataError(
            f"{path}: [tool.sm-pipelines] project-root is {given!r}; it names a folder, seen from the script's, "
            f"such as '../..'{'' if root is None else f', and there is no {root}'}."
        )
    return root
