"""TOML files that users write for the engine: read, and checked table by table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.toml_text import parse_toml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class TomlFileError(LocalEndpointError):
    """A file that cannot be read or is wrong; the message lists all findings."""


def read_toml(path: Path, *, what: str) -> dict[str, Any]:
    """Read the document in a TOML file.

    :param what: how messages call the file, such as ``The table of images``.
    :raises TomlFileError: it cannot be read.
    """
    try:
        return parse_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TomlFileError(f"{what} {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise TomlFileError(f"{what} {path} is not TOML: {error}.") from error


def read_tables(
    path: Path, key: str, *, what: str, check: Callable[[dict[str, Any]], list[str]]
) -> list[dict[str, Any]]:
    """Read a file that holds nothing but ``[[key]]`` tables.

    :param what: how messages call the file.
    :param check: gives what is wrong with one table.
    :raises TomlFileError: it cannot be read, or is wrong.
    """
    document = read_toml(path, what=what)
    findings = [f"unknown table '{name}', expected [[{key}]]" for name in document if name != key]
    tables = document.get(key, [])
    if not isinstance(tables, list):
        findings.append(f"'{key}' must be written as [[{key}]]")
        tables = []
    for number, table in enumerate(tables, start=1):
        faults = check(table) if isinstance(table, dict) else ["must be a table"]
        findings += [f"{key.replace('_', '-')} {number}: {fault}" for fault in faults]
    if findings:
        raise TomlFileError(f"{what} {path} is wrong:\n" + "\n".join(f"- {finding}" for finding in findings))
    return tables


def find_unknown_keys(table: dict[str, Any], known: set[str]) -> list[str]:
    """What is wrong with the keys of a table, a text for each unknown one."""
    return [f"unknown key '{key}', expected one of {', '.join(sorted(known))}" for key in sorted(set(table) - known)]


def is_list_of_texts(value: Any) -> bool:
    """Whether a value is an array of texts."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def is_table_of_texts(value: Any) -> bool:
    """Whether a value is a table whose values are texts."""
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
