"""``migrate stepfunctions``: state machines of AWS Step Functions as pipelines and DAGs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.migration_output import EXIT_CODES, add_output_options, make_name, write_packages
from airflow_sm_pipelines.cli.shared_options import explain_exit_codes
from airflow_sm_pipelines.exceptions import MigrationError

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.documents import Variables
    from airflow_sm_pipelines.migrate import MigrationPackage


def add(sources: Commands) -> None:
    """Add the command."""
    parser = sources.add_parser(
        "stepfunctions",
        help="state machines of AWS Step Functions",
        description="Read state machines from a definition, the answer of describe-state-machine, a CloudFormation, "
        "SAM or CDK template, a Serverless or Terraform file, or a notebook that has printed one. Each becomes a DAG "
        "with its pipelines.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a file that holds state machines")
    parser.add_argument("--name", help="the DAG's name, where there is one machine; the file's stem if not given")
    parser.add_argument("--select", action="append", default=[], metavar="NAME", help="only the machine of that name")
    parser.add_argument("--sample-input", type=Path, metavar="FILE", help="an input of the machine, JSON: the defaults")
    parser.add_argument(
        "--define",
        "--var",
        action="append",
        default=[],
        dest="variables",
        metavar="NAME=VALUE",
        help="the value of a placeholder ${NAME}, or of a template's parameter",
    )
    add_output_options(parser)
    explain_exit_codes(parser, no="something is left to do")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read the machines, write the files, and say what became of them."""
    from airflow_sm_pipelines.cli.sources import read_object
    from airflow_sm_pipelines.documents import Variables

    bad = next((one for one in arguments.variables if not one.partition("=")[0] or "=" not in one), None)
    if bad is not None:
        raise MigrationError(f"--define {bad!r} is not NAME=VALUE with the name of a placeholder.")
    variables = Variables(arguments.variables)
    path = arguments.sample_input
    sample = None if path is None else read_object(path, name=str(path))
    packages = make_packages(arguments.files, variables, sample=sample, name=arguments.name, selected=arguments.select)
    if variables.unused:
        raise MigrationError(f"--define {variables.unused[0]}: there is no placeholder of that name.")
    return write_packages(packages, arguments)


def make_packages(
    files: list[Path], variables: Variables, *, sample: object, name: str | None, selected: list[str]
) -> list[MigrationPackage]:
    """The migrations of all machines in some files.

    :param selected: the names of those that are wanted; empty for all.
    :raises MigrationError: a file cannot be read, or a name is wanted that no machine has.
    """
    from airflow_sm_pipelines.migrate import make_package
    from airflow_sm_pipelines.migrate.stepfunctions import find_machines, read_machine

    found = []
    for file in files:
        held = find_machines(read_file(file), name=file.name, variables=variables, read=partial(read_beside, file))
        stem = file.name.split(".")[0]
        found += [(one, make_name(stem if len(held) == 1 or not one.name else one.name), file) for one in held]
    missing = [one for one in selected if one not in {known for held, stem, _ in found for known in (held.name, stem)}]
    if missing:
        known = ", ".join(held.name or stem for held, stem, _ in found)
        raise MigrationError(f"--select {missing[0]}: there is no such machine; those are {known}.")
    wanted = [one for one in found if not selected or one[0].name in selected or one[1] in selected]
    if name is not None and len(wanted) > 1:
        raise MigrationError(f"--name is for one machine, and these are {len(wanted)}: choose one with --select.")
    names = [name or stem for _, stem, _ in wanted]
    twice = next((one for one in names if names.count(one) > 1), None)
    if twice is not None:
        raise MigrationError(f"Two of the machines would be called {twice}: migrate them one by one, with --name.")
    return [
        make_package(
            read_machine(
                held,
                name=called,
                origin=f"the state machine {held.name or called} of {file.name}",
                variables=variables,
                sample=sample if isinstance(sample, dict) else None,
            )
        )
        for (held, _, file), called in zip(wanted, names, strict=True)
    ]


def read_file(file: Path) -> bytes:
    """The bytes of a source.

    :raises MigrationError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise MigrationError(f"Cannot read {file}: {error.strerror}.") from None


def read_beside(file: Path, uri: str) -> bytes | None:
    """The file that a template names, if it is below the template's folder."""
    folder = file.resolve().parent
    path = (folder / uri).resolve()
    return path.read_bytes() if path.is_relative_to(folder) and path.is_file() else None
