"""Runs pipelines of public repositories against their DAGs: ``make kubeflow-comparisons CLONES=DIR``.

The pipelines are those of ``tests/data/migrate/kubeflow/corpus.json`` that are complete and have lightweight components
only. Each is compared as ``sm-pipelines migrate compare`` does it, all in one Airflow.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.migration_output import make_name
from airflow_sm_pipelines.cli.scratch_airflow import make_airflow
from airflow_sm_pipelines.comparison.kfp_environment import find_packages, make_kfp_environment
from airflow_sm_pipelines.comparison.pipeline_comparison import PreparedPipelineComparison, run_jobs
from airflow_sm_pipelines.exceptions import DefinitionError, MigrationError
from airflow_sm_pipelines.migrate import make_package
from airflow_sm_pipelines.migrate.kubeflow import find_pipelines, read_pipeline
from tests.migrate.kubeflow.corpus import LIST, _find_clone, _show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.comparison import MachineComparison
    from airflow_sm_pipelines.migrate import MigrationPackage
    from airflow_sm_pipelines.migrate.kubeflow import HeldPipeline


def find_candidates(clones: Path, wanted: list[str]) -> Iterator[tuple[str, HeldPipeline, MigrationPackage]]:
    """The complete pipelines whose components kfp.local runs; each document once, wherever it lies."""
    seen = set()
    for row in json.loads(LIST.read_text(encoding="utf-8")):
        for path in row["paths"]:
            where = f"{row['repository']} {path}"
            if not any(one in where for one in wanted):
                continue
            source = _show(_find_clone(clones, row["repository"]), row["commit"], path) or b""
            with suppress(MigrationError, DefinitionError):
                for held in find_pipelines(source, name=path):
                    text = json.dumps(held.document, sort_keys=True)
                    find_packages(held)
                    name = make_name(PurePosixPath(path).name.split(".")[0])
                    package = make_package(read_pipeline(held, name=name, origin=path))
                    if package.is_complete and not held.is_argo and text not in seen:
                        seen.add(text)
                        yield where, held, package


def main() -> int:
    """Compare, and print a row for each pipeline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clones", type=Path, help="where the repositories are")
    parser.add_argument("--only", action="append", metavar="TEXT", help="only files whose repository or path has it")
    parser.add_argument("--list", action="store_true", help="only list what would be compared")
    parser.add_argument("--limit", type=int, default=8, help="how many runs of each at most")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    differing = 0
    for where, held, package in find_candidates(arguments.clones, arguments.only or [""]):
        if arguments.list:
            print(where, find_packages(held))
            continue
        try:
            comparison = compare(held, package, limit=arguments.limit)
        except MigrationError as error:
            print(f"| {where} | not compared: {str(error)[-300:]} |", flush=True)
            continue
        wrong = "; ".join(run.difference for run in comparison.runs if run.difference)
        differing += bool(wrong)
        counts = f"{len(comparison.runs)} | {len(comparison.unreached)}"
        print(f"| {where} | {counts} | {wrong or 'equal'} |", flush=True)
    return int(bool(differing))


def compare(held: HeldPipeline, package: MigrationPackage, *, limit: int) -> MachineComparison:
    """Compare one pipeline."""
    with tempfile.TemporaryDirectory() as scratch, make_kfp_environment([held]) as environment:
        for file, text in package.files.items():
            Path(scratch, file).write_text(text, encoding="utf-8")
        prepared = PreparedPipelineComparison(held, package.migration, environment, limit=limit)
        dag_file = Path(scratch, next(iter(package.files)))
        with make_airflow() as airflow:
            (ended,) = run_jobs([(dag_file, prepared)], airflow)
        return prepared.judge(ended)


if __name__ == "__main__":
    sys.exit(main())
