"""``migrate kubeflow``: pipelines of Kubeflow as pipelines and DAGs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.migration_output import EXIT_CODES, add_output_options, make_name, write_packages
from airflow_sm_pipelines.exceptions import MigrationError

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.migrate import MigrationPackage


def add(sources: Commands) -> None:
    """Add the command."""
    parser = sources.add_parser(
        "kubeflow",
        help="pipelines of Kubeflow",
        description="Read compiled pipelines: the YAML or JSON that KFP 2 compiles, and the Workflow of Argo that "
        "KFP 1 did. Each becomes a DAG with its pipelines. A component's container becomes a Processing step, a "
        "SageMaker component the step that it stands for.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a compiled pipeline")
    parser.add_argument("--name", help="the DAG's name, where there is one pipeline; the file's stem if not given")
    parser.add_argument("--select", action="append", default=[], metavar="NAME", help="only the pipeline of that name")
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        dest="images",
        metavar="OLD=NEW",
        help="the image to use in place of another one, such as its copy in ECR",
    )
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read the pipelines, write the files, and say what became of them."""
    images: dict[str, str] = {}
    for one in arguments.images:
        old, equals, new = one.partition("=")
        if not (old and equals and new):
            raise MigrationError(f"--image {one!r} is not OLD=NEW with the names of two images.")
        images[old] = new
    packages = make_packages(arguments.files, images, name=arguments.name, selected=arguments.select)
    return write_packages(packages, arguments)


def make_packages(
    files: list[Path], images: dict[str, str], *, name: str | None, selected: list[str]
) -> list[MigrationPackage]:
    """The migrations of all pipelines in some files.

    :param images: the images to use in place of others.
    :param selected: the names of those that are wanted; empty for all.
    :raises MigrationError: a file cannot be read, or a name is wanted that no pipeline has.
    """
    from airflow_sm_pipelines.migrate import make_package
    from airflow_sm_pipelines.migrate.kubeflow import find_pipelines, read_pipeline

    found = []
    for file in files:
        held = find_pipelines(_read(file), name=file.name)
        stem = file.name.split(".")[0]
        found += [(one, make_name(stem if len(held) == 1 or not one.name else one.name), file) for one in held]
    missing = [one for one in selected if one not in {known for held, stem, _ in found for known in (held.name, stem)}]
    if missing:
        known = ", ".join(held.name or stem for held, stem, _ in found)
        raise MigrationError(f"--select {missing[0]}: there is no such pipeline; those are {known}.")
    wanted = [one for one in found if not selected or one[0].name in selected or one[1] in selected]
    if name is not None and len(wanted) > 1:
        raise MigrationError(f"--name is for one pipeline, and these are {len(wanted)}: choose one with --select.")
    names = [name or stem for _, stem, _ in wanted]
    twice = next((one for one in names if names.count(one) > 1), None)
    if twice is not None:
        raise MigrationError(f"Two of the pipelines would be called {twice}: migrate them one by one, with --name.")
    return [
        make_package(
            read_pipeline(held, name=called, origin=f"the pipeline {held.name or called} of {file.name}", images=images)
        )
        for (held, _, file), called in zip(wanted, names, strict=True)
    ]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise MigrationError(f"Cannot read {file}: {error.strerror}.") from None
