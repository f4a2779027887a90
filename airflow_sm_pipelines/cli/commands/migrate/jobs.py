"""``migrate jobs``: single SageMaker jobs as pipelines and a DAG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import add_json_option
from airflow_sm_pipelines.exceptions import MigrationError

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.migrate import MigrationPackage

EXIT_CODES = (
    "Exit codes: 0 everything became something that works; 1 something is left to do, and the report says what "
    "(--allow-partial makes this 0); 2 nothing was written: the source could not be read, or a file is there "
    "already (--force replaces it)."
)


def add(sources: Commands) -> None:
    """Add the command."""
    parser = sources.add_parser(
        "jobs",
        help="single SageMaker jobs, from what describes them",
        description="Read the answers of Describe calls, as 'aws sagemaker describe-training-job ... > train.json' "
        "writes them, and find out from names, S3 addresses and times what followed what.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="the answer of a Describe call, JSON")
    parser.add_argument("--name", required=True, help="the DAG's name, and the beginning of the files' names")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder to write to")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    parser.add_argument("--allow-partial", action="store_true", help="end with 0 although something is left to do")
    add_json_option(parser, "the report")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read the jobs, write the files, and say what became of them."""
    from airflow_sm_pipelines.cli.sources import read_object
    from airflow_sm_pipelines.cli.terminal import say
    from airflow_sm_pipelines.migrate import make_package
    from airflow_sm_pipelines.migrate.jobs import parse_jobs

    documents = [(file.name, read_object(file, name=str(file))) for file in arguments.files]
    names = ", ".join(name for name, _ in documents[:3]) + (" and others" if len(documents) > 3 else "")
    package = make_package(parse_jobs(documents, name=arguments.name, origin=f"the SageMaker jobs of {names}"))
    written = _write(package, arguments.output, is_forced=arguments.force)
    report = next(text for name, text in package.files.items() if name.endswith(".report.json"))
    say(report if arguments.as_json else _summarise(package, written))
    return 0 if arguments.allow_partial or package.is_complete else 1


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
    """The totals, what is left to do, and which files were written."""
    from airflow_sm_pipelines.migrate import render_totals

    migration = package.migration
    lines = [render_totals(migration.records)]
    lines += [f"To do, {record.source}: {record.action}" for record in migration.records if record.action]
    lines += [
        f"{one.severity}, {name}: {one.path}: {one.message} {one.fix}".rstrip()
        for name, found in package.findings.items()
        for one in found
    ]
    return "\n".join([*lines, *(f"Wrote {path}" for path in written)])
