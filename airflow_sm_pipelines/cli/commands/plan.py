"""``plan``: what deploying would do."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    CHANGED,
    SOURCE_HELP,
    add_exit_code_option,
    add_json_option,
    add_policy_options,
    add_script_options,
    open_calls,
)
from airflow_sm_pipelines.exceptions import PipelineNotFoundError

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.cli.sources import Source
    from airflow_sm_pipelines.compiler import CompiledPipeline
    from airflow_sm_pipelines.definition import PipelineDefinition

REFUSED = 1
"""The exit code of a plan that cannot be carried out."""

_COLOURS = (
    ("+ ", "green"),
    ("- ", "red"),
    ("~ ", "yellow"),
    ("error: ", "red"),
    ("warning: ", "yellow"),
    ("The deployment would be refused", "red"),
)


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "plan",
        help="say what deploying a definition would do",
        description="Compare a definition with the deployed one, hold it against SageMaker's limits and the team's "
        "policy, and forecast which steps would take a cached result, and which field keeps the others from it. "
        "Nothing is written to SageMaker; building a script uploads to S3 what its steps use and is not there yet.",
        epilog="Exit codes: 0 can be deployed; 1 would be refused; 2 a definition could not be read; with --exit-code, "
        "3 can be deployed and would change something.",
    )
    parser.add_argument("source", metavar="SOURCE", help=SOURCE_HELP)
    deployed = parser.add_mutually_exclusive_group()
    deployed.add_argument(
        "--deployed",
        metavar="SOURCE",
        help="the deployed definition, so that AWS is not asked; by default DescribePipeline's of --pipeline-name, or "
        "of the script's own name",
    )
    deployed.add_argument("--new", action="store_true", help="plan as if the pipeline did not exist")
    shape = parser.add_mutually_exclusive_group()
    add_json_option(shape, "the plan")
    shape.add_argument("--markdown", action="store_true", help="write it as a comment for a pull request")
    add_exit_code_option(parser)
    add_policy_options(parser)
    add_script_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the plan; say by the exit code whether it can be carried out."""
    from airflow_sm_pipelines.cli.sources import read_policy
    from airflow_sm_pipelines.cli.terminal import paint, say, say_json, say_painted
    from airflow_sm_pipelines.definition import parse_definition
    from airflow_sm_pipelines.deployment.names_only import find_names_only
    from airflow_sm_pipelines.planning import plan_deployment, render_plan, render_plan_markdown, write_plan

    policy = read_policy(arguments)
    source, name, build = _read_new(arguments)
    plan = plan_deployment(
        parse_definition(source.text, name=source.name),
        deployed=_read_deployed(arguments, name),
        name=name or Path(source.name).stem,
        policy=policy,
        is_filled_in=arguments.policy == "apply",
        build=build,
        find_names_only=partial(
            find_names_only, None if arguments.deployed or arguments.new else open_calls(arguments)
        ),
    )
    if arguments.as_json:
        say_json(write_plan(plan))
    elif arguments.markdown:
        say(render_plan_markdown(plan).removesuffix("\n"))
    else:
        for line in render_plan(plan).splitlines():
            say_painted(paint(line, _find_colour(line)))
    if plan.errors:
        return REFUSED
    return CHANGED if arguments.exit_code and plan.action != "none" else 0


def _read_new(arguments: argparse.Namespace) -> tuple[Source, str | None, CompiledPipeline | None]:
    """The definition to deploy, the pipeline's name where it is known, and the build that a script gave."""
    from airflow_sm_pipelines.cli.sources import Source, compile_source, is_script, read_source

    if not is_script(arguments.source):
        return read_source(arguments.source, arguments), arguments.pipeline_name, None
    compiled = compile_source(arguments.source, arguments)
    return Source(arguments.source, compiled.definition_text.encode()), compiled.name, compiled


def _read_deployed(arguments: argparse.Namespace, name: str | None) -> PipelineDefinition | None:
    from airflow_sm_pipelines.cli.sources import UnreadableSourceError, read_source
    from airflow_sm_pipelines.definition import parse_definition

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
    try:
        deployed = open_calls(arguments).describe_pipeline(name)
    except PipelineNotFoundError:
        return None
    return parse_definition(deployed.definition_text, name=f"deployed {name}")


def _find_colour(line: str) -> str:
    text = line.lstrip()
    return next((colour for start, colour in _COLOURS if text.startswith(start)), "")
