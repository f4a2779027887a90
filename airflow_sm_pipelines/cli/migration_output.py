"""What the sources of ``migrate`` share: their options for the output, and writing files and reports."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import add_json_option
from airflow_sm_pipelines.exceptions import MigrationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from airflow_sm_pipelines.migrate import MigrationPackage

EXIT_CODES = (
    "Exit codes: 0 everything became something that works; 1 something is left to do, and the report says what "
    "(--allow-partial makes this 0); 2 nothing was written: the source could not be read, or a file is there "
    "already (--force replaces it)."
)


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for where to write, and for what ends with 0."""
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder to write to")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    parser.add_argument("--allow-partial", action="store_true", help="end with 0 although something is left to do")
    add_json_option(parser, "the report")


def make_name(text: str) -> str:
    """A DAG's name from a file's, or from what a source calls a workflow."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-_.")[:200] or "workflow"


def write_packages(packages: Sequence[MigrationPackage], arguments: argparse.Namespace) -> int:
    """Write the files of one or more migrations, and say what became of them.

    :return: the exit code.
    :raises MigrationError: nothing was written, because files would be replaced, or the folder cannot be written to.
    """
    from airflow_sm_pipelines.cli.terminal import say

    written = _write(packages, arguments.output, is_forced=arguments.force)
    for package in packages:
        report = next(text for name, text in package.files.items() if name.endswith(".report.json"))
        say(report if arguments.as_json else _summarise(package, written))
    return 0 if arguments.allow_partial or all(package.is_complete for package in packages) else 1


def _write(packages: Sequence[MigrationPackage], folder: Path, *, is_forced: bool) -> list[Path]:
    """The files written; none when one of them is there and may not be replaced."""
    paths = {folder / name: text for package in packages for name, text in package.files.items()}
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
    """The totals, what is left to do, and which files were written."""
    from airflow_sm_pipelines.migrate import render_totals

    migration = package.migration
    lines = [render_totals(migration.records)]
    lines += [f"To do, {record.source}: {record.action}" for record in migration.records if record.action]
    lines += [f"The files contradict the source: {one}." for one in package.contradictions]
    lines += [
        f"{one.severity}, {name}: {one.path}: {one.message} {one.fix}".rstrip()
        for name, found in package.findings.items()
        for one in found
    ]
    return "\n".join([*lines, *(f"Wrote {path}" for path in written if path.name in package.files)])
