"""The command ``graph``: a pipeline as text, Mermaid or SVG, and an execution's steps over time."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.sources import UnreadableSourceError, read_source
from airflow_sm_pipelines.definition import parse_definition

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.definition import PipelineDefinition
    from airflow_sm_pipelines.render import StepRun

_ENDINGS = {".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid", ".txt": "text"}


def run_graph(arguments: argparse.Namespace) -> int:
    """Draw the pipeline, or the execution."""
    form = arguments.format or _ENDINGS.get(arguments.output.suffix if arguments.output else "", "text")
    if form == "gantt" and arguments.execution is None:
        raise UnreadableSourceError("A Gantt chart shows an execution: name one with --execution ARN.")
    runs = _read_runs(arguments)
    text = _draw(form, arguments, runs)
    if arguments.output is None:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        return 0
    try:
        arguments.output.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")
    except OSError as error:
        raise UnreadableSourceError(f"Cannot write {arguments.output}: {error.strerror}.") from None
    return 0


def _draw(form: str, arguments: argparse.Namespace, runs: tuple[StepRun, ...]) -> str:
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
    from airflow_sm_pipelines.cli.service import list_execution_steps
    from airflow_sm_pipelines.render import parse_step_runs

    return parse_step_runs(list_execution_steps(arguments.execution, arguments))


def _read_definition(arguments: argparse.Namespace) -> PipelineDefinition:
    if arguments.source is not None:
        source = read_source(arguments.source, arguments)
        return parse_definition(source.text, name=source.name)
    if arguments.execution is None:
        raise UnreadableSourceError("Name a definition to draw, or an execution with --execution ARN.")
    from airflow_sm_pipelines.cli.service import describe_execution_definition

    return parse_definition(describe_execution_definition(arguments.execution, arguments), name=arguments.execution)


def _title(arguments: argparse.Namespace) -> str:
    """The given title; else the pipeline and the execution by the ARN, or the source's own name."""
    if arguments.title is not None:
        return str(arguments.title)
    if arguments.execution is not None:
        _, _, names = arguments.execution.partition(":pipeline/")
        return names.replace("/execution/", " · ") or str(arguments.execution)
    if arguments.pipeline_name:
        return str(arguments.pipeline_name)
    path, _, function = str(arguments.source or "").rpartition(":")
    return Path(path or function).stem if arguments.source != "-" else ""
