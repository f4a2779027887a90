"""The arguments of ``migrate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

EXIT_CODES = (
    "Exit codes: 0 everything became something that works; 1 something is left to do, and the report says what "
    "(--allow-partial makes this 0); 2 the source could not be read, and nothing was written."
)


def add_migrate_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``migrate`` with a command for each kind of source."""
    parser = commands.add_parser(
        "migrate",
        help="turn work that was run without pipelines into pipelines and a DAG",
        description="Write an Airflow DAG file, the definitions of its pipelines and a report of what became of each "
        "node. What no pipeline step does becomes an Airflow task. Nothing is asked of AWS.",
        epilog=EXIT_CODES,
    )
    sources = parser.add_subparsers(title="sources", metavar="SOURCE", required=True)
    jobs = sources.add_parser(
        "jobs",
        help="single SageMaker jobs, from what describes them",
        description="Read the answers of Describe calls, as 'aws sagemaker describe-training-job ... > train.json' "
        "writes them, and find out from names, S3 addresses and times what followed what.",
        epilog=EXIT_CODES,
    )
    jobs.add_argument("files", type=Path, nargs="+", metavar="FILE", help="the answer of a Describe call, JSON")
    jobs.add_argument("--name", required=True, help="of the DAG")
    jobs.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder to write to")
    jobs.add_argument("--force", action="store_true", help="write over files that are there")
    jobs.add_argument("--allow-partial", action="store_true", help="end with 0 although something is left to do")
    jobs.add_argument("--json", action="store_true", dest="as_json", help="print the report as JSON")
    jobs.set_defaults(run=_run_migrate_jobs)


def _run_migrate_jobs(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.migrations import run_migrate_jobs

    return run_migrate_jobs(arguments)
