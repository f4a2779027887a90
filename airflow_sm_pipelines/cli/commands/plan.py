"""The command ``plan``: what deploying would do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.sources import (
    Source,
    UnreadableSourceError,
    compile_source,
    is_script,
    read_policy,
    read_source,
)
from airflow_sm_pipelines.cli.terminal import paint
from airflow_sm_pipelines.definition import parse_definition

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.definition import PipelineDefinition

REFUSED = 1
CHANGED = 3
"""The exit codes of a plan that cannot be carried out, and, where it is asked for, of one that changes something."""


def run_plan(arguments: argparse.Namespace) -> int:
    """Show the plan; say by the exit code whether it can be carried out."""
    from airflow_sm_pipelines.planning import plan_deployment, render_plan, render_plan_markdown, write_plan

    policy = read_policy(arguments)
    source, name = _read_new(arguments)
    plan = plan_deployment(
        parse_definition(source.text, name=source.name),
        deployed=_read_deployed(arguments, name),
        name=name or Path(source.name).stem,
        policy=policy,
        is_filled_in=arguments.apply_defaults,
    )
    if arguments.as_json:
        print(json.dumps(write_plan(plan), indent=2, ensure_ascii=False))
    elif arguments.markdown:
        print(render_plan_markdown(plan), end="")
    else:
        for line in render_plan(plan).splitlines():
            print(_paint(line))
    if plan.errors:
        return REFUSED
    return CHANGED if arguments.exit_code and plan.action != "none" else 0


def _read_new(arguments: argparse.Namespace) -> tuple[Source, str | None]:
    """The definition to deploy, and the pipeline's name where it is known."""
    if not is_script(arguments.source):
        return read_source(arguments.source, arguments), arguments.pipeline_name
    compiled = compile_source(arguments.source, arguments)
    return Source(arguments.source, compiled.definition_text.encode()), compiled.name


def _read_deployed(arguments: argparse.Namespace, name: str | None) -> PipelineDefinition | None:
    if arguments.new:
        return None
    if arguments.deployed is not None:
        if arguments.deployed == "-" == arguments.source:
            raise UnreadableSourceError("Only one of the two definitions can come from standard input.")
        source = read_source(arguments.deployed, arguments)
        return parse_definition(source.text, name=source.name)
    if name is None:
        raise UnreadableSourceError(
            "What is deployed? Name the pipeline with --pipeline-name, give its definition with --deployed FILE, or "
            "say with --new that there is none."
        )
    from airflow_sm_pipelines.cli.service import describe_deployed_definition

    text = describe_deployed_definition(name, arguments)
    return None if text is None else parse_definition(text, name=f"deployed {name}")


def _paint(line: str) -> str:
    text = line.lstrip()
    for start, colour in (
        ("+ ", "green"),
        ("- ", "red"),
        ("~ ", "yellow"),
        ("error: ", "red"),
        ("warning: ", "yellow"),
        ("The deployment would be refused", "red"),
    ):
        if text.startswith(start):
            return paint(line, colour)
    return line
