"""What to say after an ``airflow`` command that found no DAG: Airflow does not say where it has looked."""

from __future__ import annotations

import configparser
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER_VARIABLE = "AIRFLOW__CORE__DAGS_FOLDER"
"""Airflow's variable for the folder of the DAG files."""


def explain_missing_dag(command: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """A sentence for ``airflow dags test`` or ``airflow tasks test`` of a DAG that no file of the DAG folder names.

    :param command: the command that has failed.
    :param environment: of the command.
    :return: None for another command, or where a file names the DAG.
    """
    if Path(command[0]).name != "airflow" or command[1:3] not in (["dags", "test"], ["tasks", "test"]):
        return None
    dag_id = next((word for word in command[3:] if not word.startswith("-")), None)
    folder = find_dag_folder(environment)
    if not folder.is_dir():
        return f"There is no DAG folder {folder}: set {FOLDER_VARIABLE} to the folder of your DAG file."
    if dag_id is None or any(dag_id in _read(path) for path in folder.rglob("*.py")):
        return None
    return (
        f"No Python file of the DAG folder {folder} names {dag_id!r}: set {FOLDER_VARIABLE} to the folder of your DAG "
        "file, or correct the name."
    )


def find_dag_folder(environment: Mapping[str, str]) -> Path:
    """The folder in which Airflow looks for DAG files: by its variable, its configuration file, or its default."""
    home = Path(environment.get("AIRFLOW_HOME") or "~/airflow").expanduser()
    if given := environment.get(FOLDER_VARIABLE):
        return Path(given).expanduser()
    settings = configparser.RawConfigParser(strict=False)
    settings.read_string("[core]\n")
    try:
        settings.read(environment.get("AIRFLOW_CONFIG") or home / "airflow.cfg", encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return home / "dags"
    return Path(settings.get("core", "dags_folder", fallback=str(home / "dags"))).expanduser()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
