"""``plan``: what deploying would do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    CHANGED,
    add_exit_code_option,
    add_json_option,
    add_policy_options,
    add_script_options,
    add_source,
    add_variable_option,
    open_calls,
)
from airflow_sm_pipelines.exceptions import PipelineNotFoundError

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.definition_files import Source
    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.compiler import CompiledPipeline
    from airflow_sm_pipelines.policy import Finding

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
        description="Compare a definition with the deployed one, check it against SageMaker's limits and the team's "
        "policy, and forecast which steps would take a cached result, and which field keeps the others from it. "
        "Nothing is written to SageMaker; building a script uploads to S3 what its steps use and is not there yet.",
        epilog="Exit codes: 0 can be deployed; 1 would be refused; 2 a definition could not be read; with --exit-code, "
        "3 can be deployed and would change something.",
    )
    add_source(parser, "source", metavar="SOURCE")
    deployed = parser.add_mutually_exclusive_group()
    deployed.add_argument(
        "--deployed",
        metavar="SOURCE",
        help="the deployed definition, so that AWS is not asked; by default what a Terraform plan says, or "
        "DescribePipeline's of --pipeline-name, or of the name that the script or the file gives",
    )
    deployed.add_argument("--new", action="store_true", help="plan as if the pipeline did not exist")
    shape = parser.add_mutually_exclusive_group()
    add_json_option(shape, "the plan")
    shape.add_argument("--markdown", action="store_true", help="write it as a comment for a pull request")
    add_exit_code_option(parser)
    add_variable_option(parser)
    add_policy_options(parser)
    add_script_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the plan; say by the exit code whether it can be carried out."""
    from airflow_sm_pipelines.cli.definition_files import refuse_unused_variables, short_name, with_values_of_other
    from airflow_sm_pipelines.cli.sources import read_policy
    from airflow_sm_pipelines.cli.terminal import paint, say, say_json, say_painted
    from airflow_sm_pipelines.deployment.names_only import find_names_only
    from airflow_sm_pipelines.planning import plan_deployment, render_plan, render_plan_markdown, write_plan

    policy = read_policy(arguments)
    source, name, build = _read_new(arguments)
    deployed = _read_deployed(arguments, source, name)
    refuse_unused_variables(arguments)
    previous = None if deployed is None else deployed.parse()[0]
    definition, variants = (source if deployed is None else with_values_of_other(source, deployed)).parse()
    plan = plan_deployment(
        definition,
        deployed=previous,
        name=name or short_name(source),
        policy=policy,
        is_filled_in=arguments.policy == "apply",
        variants=variants,
        notes=_find_notes(source),
        build=build,
        find_names_only=partial(find_names_only, open_calls(arguments) if _asks_sagemaker(arguments, source) else None),
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
    from airflow_sm_pipelines.cli.definition_files import Source
    from airflow_sm_pipelines.cli.sources import compile_source, is_script, read_source

    if not is_script(arguments.source):
        source = read_source(arguments.source, arguments)
        return source, arguments.pipeline_name or (source.held.name if source.held else None), None
    compiled = compile_source(arguments.source, arguments)
    return Source(arguments.source, compiled.definition_text.encode()), compiled.name, compiled


def _find_notes(source: Source) -> list[Finding]:
    from airflow_sm_pipelines.documents import explain_unknown
    from airflow_sm_pipelines.policy import Severity
    from airflow_sm_pipelines.policy.findings import find

    message = explain_unknown(source.held) if source.held else ""
    return [find("unknown", Severity.WARNING, (), message)] if message else []


def _read_deployed(arguments: argparse.Namespace, new: Source, name: str | None) -> Source | None:
    """The deployed definition; None if there is none."""
    from airflow_sm_pipelines.cli.definition_files import Source
    from airflow_sm_pipelines.cli.sources import UnreadableSourceError, read_source

    if arguments.new:
        return None
    if arguments.deployed is not None:
        if arguments.deployed == "-" == arguments.source:
            raise UnreadableSourceError("Only one of the two definitions can come from standard input.")
        return read_source(arguments.deployed, arguments)
    if new.held is not None and new.held.has_before:
        before = new.held.before
        return None if before is None else Source(f"{new.name} (before)", b"", held=before)
    if name is None:
        raise UnreadableSourceError(
            "What is deployed? Name the pipeline with --pipeline-name, give its definition with --deployed FILE, or "
            "say with --new that there is none."
        )
    try:
        deployed = open_calls(arguments).describe_pipeline(name)
    except PipelineNotFoundError:
        return None
    return Source(f"deployed {name}", deployed.definition_text.encode())


def _asks_sagemaker(arguments: argparse.Namespace, new: Source) -> bool:
    """Whether SageMaker is asked what is deployed: no file says it."""
    is_said = new.held is not None and new.held.has_before
    return not (arguments.new or arguments.deployed is not None or is_said)


def _find_colour(line: str) -> str:
    text = line.lstrip()
    return next((colour for start, colour in _COLOURS if text.startswith(start)), "")
