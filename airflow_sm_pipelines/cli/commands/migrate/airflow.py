"""``migrate airflow``: DAG files with SageMaker operators, edited so that pipelines do their work."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.migration_output import EXIT_CODES, add_output_options, make_name, write_packages
from airflow_sm_pipelines.cli.shared_options import explain_exit_codes
from airflow_sm_pipelines.exceptions import MigrationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.migrate.airflow.source_file import SourceFile


def add(sources: Commands) -> None:
    """Add the command."""
    parser = sources.add_parser(
        "airflow",
        help="Airflow DAGs with SageMaker operators",
        description="Put a deploy and a run task in place of SageMaker operators that follow each other, and write the "
        "pipeline's definition beside the DAG. All other tasks, comments and helpers keep their bytes. Configs are "
        "read from the file and the modules that it imports; no code is run.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the DAG file")
    parser.add_argument(
        "--search-path", type=Path, action="append", default=[], metavar="DIR", help="where modules are that it imports"
    )
    parser.add_argument(
        "--rendered",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="rendered fields of a run, as Airflow's API answers them: for configs that the file does not tell",
    )
    parser.add_argument("--name", help="the beginning of the files' names; the file's stem if not given")
    add_output_options(parser)
    explain_exit_codes(parser, no="something is left to do")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Migrate the file, show what changes, and write the result."""
    from airflow_sm_pipelines.cli.terminal import say
    from airflow_sm_pipelines.migrate.airflow.dag_migration import migrate_dag_file

    source = _read(arguments.file)
    package = migrate_dag_file(
        source,
        file_name=str(arguments.file),
        name=make_name(arguments.name or arguments.file.stem),
        load=make_loader([arguments.file.parent, *arguments.search_path]),
        rendered=_read_rendered(arguments.rendered),
    )
    name = next(iter(package.files))
    if not arguments.as_json:
        before, after = source.decode("utf-8", "replace"), package.files[name]
        lines = (before.splitlines(), after.splitlines())
        say(*difflib.unified_diff(*lines, str(arguments.file), str(arguments.output / name), lineterm=""))
    return write_packages([package], arguments)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MigrationError(f"Cannot read {path}: {error.strerror}.") from None


def make_loader(folders: list[Path]) -> Callable[[str], SourceFile | None]:
    """What finds the file of an imported module below the folders."""
    from airflow_sm_pipelines.migrate.airflow.source_file import read_source

    known: dict[str, SourceFile | None] = {}

    def load(module: str) -> SourceFile | None:
        if module not in known:
            known[module] = None
            inside = Path(*module.split("."))
            paths = (
                folder / path for folder in folders for path in (inside.with_suffix(".py"), inside / "__init__.py")
            )
            found = next((path for path in paths if path.is_file()), None)
            if found is not None:
                known[module] = read_source(found.read_bytes(), name=str(found))
        return known[module]

    return load


def _read_rendered(paths: list[Path]) -> dict[str, Any]:
    """The rendered configs by task id."""
    from airflow_sm_pipelines.cli.sources import read_object
    from airflow_sm_pipelines.migrate.airflow.job_steps import parse_rendered

    rendered: dict[str, Any] = {}
    for path in paths:
        rendered |= parse_rendered(read_object(path, name=str(path)), name=str(path))
    return rendered
