"""``migrate jobs``: single SageMaker jobs as pipelines and a DAG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.migration_output import EXIT_CODES, add_output_options, make_name, write_packages
from airflow_sm_pipelines.cli.shared_options import explain_exit_codes

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.definition import JsonObject


def add(sources: Commands) -> None:
    """Add the command."""
    parser = sources.add_parser(
        "jobs",
        help="single SageMaker jobs, from what describes them",
        description="Read the answers of Describe calls, as 'aws sagemaker describe-training-job ... > train.json' "
        "writes them, or as a notebook or a log has printed them, and find out from names, S3 addresses and times what "
        "followed what.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a file with answers of Describe calls")
    parser.add_argument("--name", help="the DAG's name, and the beginning of the files' names; the first file's stem")
    add_output_options(parser)
    explain_exit_codes(parser, no="something is left to do")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read the jobs, write the files, and say what became of them."""
    from airflow_sm_pipelines.migrate import make_package
    from airflow_sm_pipelines.migrate.jobs import parse_jobs

    documents = [(file.name, _read(file)) for file in arguments.files]
    names = ", ".join(name for name, _ in documents[:3]) + (" and others" if len(documents) > 3 else "")
    name = arguments.name or make_name(arguments.files[0].stem)
    package = make_package(parse_jobs(documents, name=name, origin=f"the SageMaker jobs of {names}"))
    return write_packages([package], arguments)


def _read(file: Path) -> JsonObject:
    from airflow_sm_pipelines.cli.sources import read_object
    from airflow_sm_pipelines.documents.values import decode_text
    from airflow_sm_pipelines.migrate.jobs import find_answers

    text = decode_text(file.read_bytes()) if file.is_file() else None
    found = None if text is None else find_answers(text, name=file.name)
    return read_object(file, name=str(file)) if found is None else found
