"""``migrate``: reading what was run without pipelines, and writing what it becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.sources import read_object
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate import MigrationPackage, make_package, render_totals
from airflow_sm_pipelines.policy import Severity

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


def run_migrate_jobs(arguments: argparse.Namespace) -> int:
    """Read the jobs, write the files, and say what became of it."""
    from airflow_sm_pipelines.migrate.jobs import parse_jobs

    documents = [(file.name, read_object(file, name=str(file))) for file in arguments.files]
    names = ", ".join(name for name, _ in documents[:3]) + (" and others" if len(documents) > 3 else "")
    package = make_package(parse_jobs(documents, name=arguments.name, origin=f"the SageMaker jobs of {names}"))
    written = _write(package, arguments.output, is_forced=arguments.force)
    report = next(text for name, text in package.files.items() if name.endswith(".report.json"))
    print(report if arguments.as_json else _summarise(package, written))
    has_errors = any(one.severity is Severity.ERROR for found in package.findings.values() for one in found)
    return 0 if arguments.allow_partial or (package.migration.is_complete and not has_errors) else 1


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
    lines = [render_totals(migration.records)]
    lines += [f"To do, {record.source}: {record.action}" for record in migration.records if record.action]
    lines += [
        f"{one.severity}, {name}: {one.path}: {one.message} {one.fix}".rstrip()
        for name, found in package.findings.items()
        for one in found
    ]
    return "\n".join([*lines, *(f"Wrote {path}" for path in written)])
