"""``shape``: the names, types and edges of a pipeline's steps, for the tasks that a DAG makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    add_output_option,
    add_script_options,
    add_source,
    add_variable_option,
    explain_exit_codes,
)

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.definition.shape import PipelineShape


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "shape",
        help="write the names, types and edges of a pipeline's steps",
        description="Write the shape of a pipeline as JSON: the names and types of its steps, and which step waits for "
        "which. SageMakerPipelineTaskGroup reads the file and makes a task of each step. The shape is the same for "
        "every account, role and edit of a step's code, so it can be committed beside the script.",
    )
    add_source(parser, "source", metavar="SOURCE")
    add_output_option(parser)
    parser.add_argument(
        "--check",
        type=Path,
        metavar="FILE",
        help="write nothing; end with 1 if FILE is not the pipeline's shape",
    )
    add_variable_option(parser)
    add_script_options(parser)
    explain_exit_codes(parser, no="with --check, the shape is another one")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the shape, or compare it with a file's."""
    from airflow_sm_pipelines.cli.definition_files import refuse_unused_variables
    from airflow_sm_pipelines.cli.sources import read_source, write_output
    from airflow_sm_pipelines.cli.terminal import complain
    from airflow_sm_pipelines.definition.shape import make_shape, render_shape

    known = None if arguments.check is None else _read_known(arguments.check)
    source = read_source(arguments.source, arguments)
    refuse_unused_variables(arguments)
    shape = make_shape(source.parse()[0])
    if known is None:
        write_output(arguments.output, render_shape(shape))
        if arguments.output is not None:
            complain(f"{arguments.output}: {len(shape.steps)} steps")
        return 0
    return _compare(known, shape, arguments)


def _read_known(path: Path) -> str:
    from airflow_sm_pipelines.cli.sources import UnreadableSourceError

    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UnreadableSourceError(f"Cannot read {path}: {error.strerror}.") from None


def _compare(known: str, shape: PipelineShape, arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.terminal import complain
    from airflow_sm_pipelines.definition.shape import find_shape_changes, parse_shape

    changes = find_shape_changes(parse_shape(known, name=str(arguments.check)), shape)
    if not changes:
        complain(f"{arguments.check}: the shape of {arguments.source}")
        return 0
    complain(f"{arguments.check} is not the shape of {arguments.source}:")
    for change in changes:
        complain(f"  {change}")
    complain(f"Write it anew: sm-pipelines shape {arguments.source} -o {arguments.check}")
    return 1
