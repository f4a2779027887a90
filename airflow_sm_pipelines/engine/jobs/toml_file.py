"""TOML files that users write for the engine."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.rules.errors import StepError

if TYPE_CHECKING:
    from pathlib import Path


def read_toml(path: Path, *, what: str) -> dict[str, Any]:
    """The document in a TOML file.

    :param what: what messages call the file.
    :raises StepError: if it cannot be read.
    """
    # Python 3.10 has no tomllib of its own.
    tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        with path.open("rb") as file:
            document: dict[str, Any] = tomllib.load(file)
    except OSError as error:
        raise StepError(f"{what} {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise StepError(f"{what} {path} is not TOML: {error}.") from error
    return document
