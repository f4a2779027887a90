"""``graph``: a pipeline as text, Mermaid or SVG, and an execution's steps over time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    EXECUTION_HELP,
    SOURCE_HELP,
    add_output_option,
    add_script_options,
    add_variable_option,
    explain_exit_codes,
    open_execution,
)

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.definition import PipelineDefinition
    from airflow_sm_pipelines.render import StepRun

_ENDINGS = {".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid", ".txt": "text", "": "text"}

_NO_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".pdf")
"""Endings of pictures that this command cannot write, whatever the format says."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "graph",
        help="draw a pipeline, or an execution of one",
        description="Draw a pipeline as text, Mermaid or SVG. With --execution, its steps show their status and how "
        "long they took, and there is a Gantt chart.",
    )
    parser.add_argument(
        "source", metavar="SOURCE", nargs="?", help=f"{SOURCE_HELP}; the execution's own definition by default"
    )
    parser.add_argument("--execution", metavar="EXECUTION", help=EXECUTION_HELP)
    parser.add_argument(
        "--format",
        choices=("text", "mermaid", "svg", "gantt"),
        help="what to write; by the ending of --output by default (.svg, .mmd, .txt), else text",
    )
    parser.add_argument("--title", help="what stands at the top of the picture; the pipeline's name by default")
    add_output_option(parser)
    add_variable_option(parser)
    add_script_options(parser)
    explain_exit_codes(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Draw the pipeline, or the execution."""
    from airflow_sm_pipelines.cli.sources import UnreadableSourceError, write_output
    from airflow_sm_pipelines.cli.terminal import complain

    form = _choose_format(arguments)
    if form == "gantt" and arguments.execution is None:
        raise UnreadableSourceError("A Gantt chart shows an execution: name one with --execution.")
    text = _draw(form, arguments, _read_runs(arguments))
    write_output(arguments.output, text if text.endswith("\n") else text + "\n")
    if arguments.output is not None:
        complain(f"{arguments.output}: written as {form}")
    return 0


def _choose_format(arguments: argparse.Namespace) -> str:
    """The format that is asked for, or that the ending of ``--output`` stands for."""
    from airflow_sm_pipelines.cli.sources import UnreadableSourceError

    ending = arguments.output.suffix.lower() if arguments.output else ""
    if ending in _NO_PICTURES:
        raise UnreadableSourceError(
            f"--output {arguments.output}: graph writes no {ending} file. Name it {arguments.output.stem}.svg; "
            "a browser shows SVG and prints it."
        )
    if arguments.format is None and ending not in _ENDINGS:
        raise UnreadableSourceError(
            f"--output {arguments.output}: what is a {ending} file to hold? End it in .svg, .mmd or .txt, "
            "or choose with --format."
        )
    return str(arguments.format or _ENDINGS[ending])


def _draw(form: str, arguments: argparse.Namespace, runs: tuple[StepRun, ...]) -> str:
    from datetime import datetime, timezone

    from airflow_sm_pipelines.render import render_gantt_svg, render_graph_svg, render_mermaid, render_outline

    now = datetime.now(timezone.utc)
    title = _title(arguments)
    if form == "gantt":
        return render_gantt_svg(runs, now=now, title=title)
    definition = _read_definition(arguments)
    if form == "svg":
        return render_graph_svg(definition, title=title, runs=runs, now=now)
    if form == "mermaid":
        return render_mermaid(definition, runs=runs, now=now)
    return render_outline(definition, runs=runs, now=now)


def _read_runs(arguments: argparse.Namespace) -> tuple[StepRun, ...]:
    if arguments.execution is None:
        return ()
    from airflow_sm_pipelines.render import parse_step_runs

    calls = open_execution(arguments)
    return parse_step_runs(calls.iter_step_answers(arguments.execution))


def _read_definition(arguments: argparse.Namespace) -> PipelineDefinition:
    from airflow_sm_pipelines.cli.definition_files import refuse_unused_variables
    from airflow_sm_pipelines.cli.sources import UnreadableSourceError, read_source
    from airflow_sm_pipelines.definition import parse_definition

    if arguments.source is not None:
        source = read_source(arguments.source, arguments)
        refuse_unused_variables(arguments)
        return source.parse()[0]
    if arguments.execution is None:
        raise UnreadableSourceError("Name a definition to draw, or an execution with --execution.")
    calls = open_execution(arguments)
    text = calls.describe_execution_definition(arguments.execution)
    return parse_definition(text, name=arguments.execution)


def _title(arguments: argparse.Namespace) -> str:
    """The given title; else the pipeline and the execution by the ARN, or the source's own name."""
    if arguments.title is not None:
        return str(arguments.title)
    if arguments.execution is not None:
        from airflow_sm_pipelines.definition.arns import parse_execution_arn

        return " · ".join(filter(None, parse_execution_arn(arguments.execution))) or str(arguments.execution)
    if arguments.pipeline_name:
        return str(arguments.pipeline_name)
    file, _, place = str(arguments.source or "").partition("#")
    if place:
        return place.rpartition("/")[2]
    path, _, function = file.rpartition(":")
    return Path(path or function).stem if arguments.source != "-" else ""
