"""What the analyzers share: settings, the dataset, the files they write, and how they end.

An analyzer imports it from its own directory. Standard library only.
"""

from __future__ import annotations

import csv
import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/")) / "opt" / "ml"
COMPLETED = "Completed: Job completed successfully with no violations."


class UserError(Exception):
    """Something in the settings or the data that is wrong and that its author can change."""


def run(analyze: Callable[[], str]) -> int:
    """Analyze, and give the exit code. The message is written to where the service shows it."""
    try:
        message = analyze()
    except UserError as error:
        print(error, file=sys.stderr, flush=True)
        _write_message(f"Error: {error}")
        return 1
    print(message, flush=True)
    _write_message(message)
    return 0


def format_message(violations: Sequence[Any]) -> str:
    """The message of an analysis that found these violations."""
    if not violations:
        return COMPLETED
    return f"CompletedWithViolations: Job completed successfully with {len(violations)} violations."


def read_dataset(source: Path, form: dict[str, Any]) -> dict[str, list[str | None]]:
    """The values of each column as text, None if there is no value.

    :param form: as the ``DatasetFormat`` of SDK v2 writes it.
    :raises UserError: the format is not supported, or there is no data.
    """
    for name in ("record_preprocessor_script", "post_analytics_processor_script"):
        if given(name):
            raise UserError(f"{name} is not supported by the local analyzer.")
    files = dataset_files(source)
    rows: Iterator[dict[str, Any]]
    if "csv" in form:
        rows = (row for path in files for row in _read_csv(path, has_header=bool(form["csv"].get("header"))))
    elif "json" in form:
        rows = (row for path in files for row in _read_json(path))
    else:
        raise UserError(f"The local analyzer reads csv and json datasets, not {', '.join(form)}.")
    columns: dict[str, list[str | None]] = {}
    count = 0
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, [None] * count).append(None if value in (None, "") else str(value))
        count += 1
        for values in columns.values():
            if len(values) < count:
                values.append(None)
    if not count:
        raise UserError(f"The dataset at {source} has no rows.")
    return columns


def dataset_files(source: Path) -> list[Path]:
    """The files of a dataset in the order of their names."""
    return [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())


def setting(name: str) -> str:
    """A setting that must be set.

    :raises UserError: it is not set.
    """
    value = given(name)
    if not value:
        raise UserError(f"The environment variable {name} is not set.")
    return value


def given(name: str) -> str | None:
    """A setting, or None. The settings of the containers have lower-case names."""
    return os.environ.get(name)


def read_json(path: Path) -> dict[str, Any]:
    """Read the JSON object in a file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a result, and log that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
    print(f"Wrote {path.name}", flush=True)


def _read_csv(path: Path, *, has_header: bool) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        names = next(reader, []) if has_header else []
        for row in reader:
            if row:
                yield {names[n] if n < len(names) else f"_c{n}": value for n, value in enumerate(row)}


def _read_json(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            value = json.loads(line)
            for row in value if isinstance(value, list) else [value]:
                yield _flatten(row)


def _flatten(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _write_message(text: str) -> None:
    message = BASE / "output" / "message"
    message.parent.mkdir(parents=True, exist_ok=True)
    message.write_text(text[:1024], encoding="utf-8")


def is_same(value: float, other: float) -> bool:
    """Whether two numbers differ by no more than the order in which they were summed up."""
    return math.isclose(value, other, rel_tol=1e-9, abs_tol=1e-12)
