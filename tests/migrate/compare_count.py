"""Runs published state machines against their DAGs: ``make comparisons CORPUS=FOLDER``.

The machines are those of ``tests/data/migrate/field.json`` that become whole, in the half of the repositories that
:mod:`field_count` works with. Each is compared as ``sm-pipelines migrate compare`` does it, all in one Airflow.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.migration_output import make_name
from airflow_sm_pipelines.cli.scratch_airflow import make_airflow
from airflow_sm_pipelines.comparison import prepare_comparison, run_dags
from airflow_sm_pipelines.documents import Variables
from airflow_sm_pipelines.exceptions import DefinitionError, MigrationError
from airflow_sm_pipelines.migrate import make_package
from airflow_sm_pipelines.migrate.stepfunctions import find_machines, read_machine
from tests.migrate.field_count import FILES, get_repository, is_held_back, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.comparison.comparison import PreparedComparison


@dataclass
class Candidate:
    """A machine that can be compared."""

    where: str
    dag_file: Path
    prepared: PreparedComparison


def find_candidates(folder: Path, scratch: Path, wanted: str) -> Iterator[Candidate]:
    """The machines that become whole, with the files of their DAGs; why others cannot be compared is printed."""
    for row in json.loads(FILES.read_text(encoding="utf-8")):
        if is_held_back(row["repository"]):
            continue
        repository = get_repository(row["repository"], folder)
        for path in row["paths"]:
            where = f"{row['repository']} {path}"
            if wanted not in where:
                continue
            source = show(repository, row["commit"], path)
            with suppress(MigrationError, DefinitionError):
                yield from _read(where, source, partial(show, repository, row["commit"], beside=path), scratch)


def _read(where: str, source: Any, read: Any, scratch: Path) -> Iterator[Candidate]:
    variables = Variables()
    for held in find_machines(source or b"", name=where, variables=variables, read=read):
        name = make_name(held.name or Path(where).name.split(".")[0])
        migration = read_machine(held, name=name, origin=where, variables=variables)
        package = make_package(migration)
        if not package.is_complete:
            continue
        target = scratch / str(len(list(scratch.iterdir())))
        target.mkdir()
        for file, text in package.files.items():
            (target / file).write_text(text, encoding="utf-8")
        try:
            prepared = prepare_comparison(held, migration, variables=variables)
        except MigrationError as error:
            print(f"| {where} | {name} | not compared: {error} |", flush=True)
            continue
        yield Candidate(f"{where} | {name}", target / f"{name}.py", prepared)


def main() -> int:
    """Compare, and print a row for each machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the repositories are, or are cloned to")
    parser.add_argument("--only", default="", metavar="TEXT", help="only files whose repository or path has this")
    parser.add_argument("--list", action="store_true", help="run the machines alone, and list what would be compared")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as scratch:
        candidates = []
        for one in find_candidates(arguments.folder, Path(scratch), arguments.only):
            candidates.append(one)
            print(f"{one.where}: {len(one.prepared.scripts)} runs", file=sys.stderr, flush=True)
        if arguments.list:
            return 0
        with make_airflow() as environment:
            ended = run_dags([(one.dag_file, one.prepared.scripts) for one in candidates], environment)
        differing = 0
        for one, runs in zip(candidates, ended, strict=True):
            try:
                comparison = one.prepared.judge(runs)
            except MigrationError as error:
                print(f"| {one.where} | {error} |")
                continue
            differing += not comparison.is_equal
            wrong = "; ".join(run.difference for run in comparison.runs if run.difference)
            counts = f"{len(comparison.runs)} | {len(comparison.unreached)}"
            print(f"| {one.where} | {counts} | {wrong or 'equal'} |")
    return int(bool(differing))


if __name__ == "__main__":
    sys.exit(main())
