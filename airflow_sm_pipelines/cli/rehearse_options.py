"""The arguments of ``local rehearse``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.options import SOURCE_HELP, add_compile_options

if TYPE_CHECKING:
    import argparse


def add_rehearse_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``rehearse``."""
    parser = commands.add_parser(
        "rehearse",
        help="run a pipeline with what is missing stood in for",
        description="Run a pipeline to its end on an endpoint of its own. Scripts, data, Lambda functions, models and "
        "programs of closed images that are not there are made up, and callbacks are answered; what is there is "
        "used as it is. Parameters, references, conditions, dependencies and the jobs' contract are the real ones.",
        epilog="Exit codes: 0 the execution succeeded; 1 it ended otherwise; 2 it could not be run. Example: "
        "sm-pipelines local rehearse pipeline.json --else CheckQuality",
    )
    parser.add_argument("source", metavar="SOURCE", help=SOURCE_HELP)
    parser.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="parameters",
        help="a parameter of the execution; those without a value and a default are made up",
    )
    parser.add_argument(
        "--else",
        action="append",
        default=[],
        metavar="STEP",
        dest="else_steps",
        help="a Condition step that is to take its Else branch (the If branch by default); * and ? work",
    )
    parser.add_argument(
        "--upload",
        action="append",
        default=[],
        metavar="S3-ADDRESS=PATH",
        dest="uploads",
        help="a real file or folder, put there before the pipeline runs",
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="write the report as JSON")
    parser.add_argument(
        "--execution-timeout", type=float, default=3600, metavar="SECONDS", help="for the execution (3600)"
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="a local endpoint's state directory to run on, with what it holds; by default a fresh one that is removed",
    )
    add_compile_options(parser)
    parser.set_defaults(run=_run_rehearse)


def _run_rehearse(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.rehearse import run_rehearse

    return run_rehearse(arguments)
