"""``compile``: an SDK script as a pipeline definition."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import add_output_option, add_policy_options, add_script_options

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.definition import JsonObject, JsonValue, PipelineDefinition
    from airflow_sm_pipelines.policy import TeamPolicy


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "compile",
        help="turn an SDK script into a pipeline definition",
        description="Run a function that returns a SageMaker SDK Pipeline, in an interpreter of its own, and write the "
        "pipeline's definition as JSON. What the SDK prints goes to standard error.",
        epilog="The SDK may call AWS (the caller's identity, S3 for step code). To keep it on this machine, run "
        "'sm-pipelines local exec -- sm-pipelines compile ...'.",
    )
    parser.add_argument("reference", metavar="SCRIPT:FUNCTION", help="for example pipelines/train.py:get_pipeline")
    add_output_option(parser)
    add_policy_options(parser)
    add_script_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the definition that a pipeline script makes."""
    from airflow_sm_pipelines.cli.sources import compile_source, read_policy, write_output
    from airflow_sm_pipelines.cli.terminal import complain, render_json

    policy = read_policy(arguments)
    compiled = compile_source(arguments.reference, arguments)
    document: JsonValue = json.loads(compiled.definition_text)
    if policy is not None and arguments.policy == "apply":
        from airflow_sm_pipelines.definition import parse_definition

        document = _fill_in(parse_definition(compiled.definition_text, name=arguments.reference), policy)
    write_output(arguments.output, render_json(document) + "\n")
    if arguments.output is not None:
        origin = "cached" if compiled.from_cache else compiled.sdk_version
        complain(f"{arguments.output}: pipeline {compiled.name!r} ({origin})")
    return 0


def _fill_in(definition: PipelineDefinition, policy: TeamPolicy) -> JsonObject:
    """The definition with the team's defaults; standard error says what was filled in."""
    from airflow_sm_pipelines.cli.terminal import complain
    from airflow_sm_pipelines.definition import diff_definitions, render_changes
    from airflow_sm_pipelines.policy import with_team_defaults

    filled = with_team_defaults(definition, policy)
    changes = diff_definitions(definition, filled)
    if changes:
        complain(f"Filled in from {policy.name}:\n{render_changes(changes)}")
    return filled.to_json()
