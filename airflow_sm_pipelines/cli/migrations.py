"""``migrate``: reading a workflow of another orchestrator, and writing what it becomes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate import Migration, MigrationPackage, count_outcomes, make_package

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from airflow_sm_pipelines.definition import JsonObject


def run_migrate(arguments: argparse.Namespace) -> int:
    """Read, write the files, and say what became of it."""
    package = make_package(_READERS[arguments.reader](arguments))
    written = _write(package, arguments.output, is_forced=arguments.force)
    report = next(text for name, text in package.files.items() if name.endswith(".report.json"))
    print(report if arguments.as_json else _summarise(package, written))
    has_errors = any(str(one.severity) == "error" for found in package.findings.values() for one in found)
    return 0 if arguments.allow_partial or (package.migration.is_complete and not has_errors) else 1


def _read_step_functions(arguments: argparse.Namespace) -> Migration:
    from airflow_sm_pipelines.migrate.step_functions import read_state_machine

    sample = None if arguments.sample_input is None else _read_object(arguments.sample_input)
    return read_state_machine(
        _read_text(arguments.file),
        name=arguments.name or _stem(arguments.file),
        origin=f"the Step Functions state machine {arguments.file.name}",
        sample_input=sample,
    )


def _read_kubeflow(arguments: argparse.Namespace) -> Migration:
    from airflow_sm_pipelines.migrate.kubeflow import read_kubeflow

    return read_kubeflow(
        _read_text(arguments.file), name=arguments.name, origin=f"the Kubeflow pipeline {arguments.file.name}"
    )


def _read_jobs(arguments: argparse.Namespace) -> Migration:
    from airflow_sm_pipelines.migrate.jobs import read_jobs

    documents = [(file.name, _read_object(file)) for file in arguments.files]
    names = ", ".join(name for name, _ in documents[:5]) + (" and others" if len(documents) > 5 else "")
    return read_jobs(documents, name=arguments.name or _stem(arguments.files[0]), origin=f"the SageMaker jobs {names}")


def _read_airflow_dag(arguments: argparse.Namespace) -> Migration:
    from airflow_sm_pipelines.migrate.airflow_dags import read_dag

    return read_dag(
        _read_object(arguments.tasks),
        _read_object(arguments.task_instances),
        None if arguments.dag_run is None else _read_object(arguments.dag_run),
        name=arguments.name,
        origin=f"the Airflow DAG of {arguments.tasks.name}",
    )


_READERS: dict[str, Callable[[Any], Migration]] = {
    "step_functions": _read_step_functions,
    "kubeflow": _read_kubeflow,
    "jobs": _read_jobs,
    "airflow_dag": _read_airflow_dag,
}


def _stem(file: Path) -> str:
    return file.name.split(".")[0]


def _read_text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise MigrationError(f"Cannot read {file}: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise MigrationError(f"{file} is not text in UTF-8: {error}.") from None


def _read_object(file: Path) -> JsonObject:
    try:
        value = json.loads(_read_text(file))
    except ValueError as error:
        raise MigrationError(f"{file} is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise MigrationError(f"{file} must hold a JSON object.")
    return value


def _write(package: MigrationPackage, folder: Path, *, is_forced: bool) -> list[Path]:
    """The files written; none when one of them is there and may not be replaced."""
    paths = {folder / name: text for name, text in package.files.items()}
    there = [str(path) for path in paths if path.exists()]
    if there and not is_forced:
        raise MigrationError(f"Nothing was written: {', '.join(there)} would be replaced. --force does so.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MigrationError(f"Cannot write to {folder}: {error.strerror}.") from None
    return list(paths)


def _summarise(package: MigrationPackage, written: list[Path]) -> str:
    """What a person wants to know at once: totals, what is to be done, where the rest stands."""
    migration = package.migration
    totals = ", ".join(f"{count} {outcome}" for outcome, count in count_outcomes(migration.records).items())
    lines = [f"{len(migration.records)} nodes: {totals}."]
    lines += [f"To do, {record.source}: {record.action}" for record in migration.records if record.action]
    lines += [
        f"{one.severity}, {name}: {one.path}: {one.message} {one.fix}".rstrip()
        for name, found in package.findings.items()
        for one in found
    ]
    return "\n".join([*lines, *(f"Wrote {path}" for path in written)])
