"""Digests of what a compiled pipeline depends on: folders of code, files, installed packages, JSON values."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.exceptions import CompileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition.json_value import JsonValue

_CACHES = frozenset({"__pycache__", "node_modules"})


def json_digest(value: JsonValue) -> str:
    """Give the digest of a JSON value; the order of keys does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str | None:
    """Give the digest of a file's bytes; None where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()


def folder_digest(folder: Path) -> str:
    """Give the digest of every file under a folder, by relative name and content.

    Hidden entries, ``__pycache__`` and compiled Python do not count, nor do times and owners.

    :raises CompileError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in _iter_files(folder):
        content = file_digest(path)
        if content is None:
            raise CompileError(
                f"Cannot read {path}. Every file in the pipeline script's folder belongs to the pipeline; "
                "a folder that holds other things is better left to them."
            )
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def packages_digest(interpreter: Path) -> str:
    """Give the digest of the packages and versions installed in an environment, by the names of their records."""
    environment = interpreter.parent.parent
    names = sorted(entry.name for entry in environment.glob("lib/python*/site-packages/*.dist-info"))
    return json_digest([str(interpreter), *names])


def _iter_files(folder: Path) -> Iterator[Path]:
    for directory, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith(".") and name not in _CACHES)
        for name in sorted(files):
            path = Path(directory, name)
            if not name.startswith(".") and not name.endswith((".pyc", ".pyo")) and path.is_file():
                yield path
