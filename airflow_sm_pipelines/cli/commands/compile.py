"""``compile``: an SDK script as a pipeline definition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    add_output_option,
    add_policy_options,
    add_script_options,
    add_source,
    add_variable_option,
    explain_exit_codes,
)

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
        description="Build the pipeline of a SageMaker SDK script or notebook, in an interpreter of its own, and write "
        "its definition as JSON. The script is named by its path, and after a colon by the function that returns the "
        "pipeline or the pipeline's variable. What it prints goes to standard error; what the SDK prints is shown if "
        "it fails, or with --verbose.",
        epilog="The SDK may call AWS (the caller's identity, S3 for step code). To keep it on this machine, run "
        "'sm-pipelines local exec -- sm-pipelines compile ...'.",
    )
    add_source(
        parser,
        "reference",
        metavar="SCRIPT",
        help_text="for example pipelines/train.py:get_pipeline, train.py:pipeline, train.py, train.ipynb:pipeline; or "
        "a file that holds a definition, such as a CloudFormation template, to write that definition alone",
    )
    add_output_option(parser)
    add_variable_option(parser)
    add_policy_options(parser)
    add_script_options(parser)
    explain_exit_codes(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the definition that a pipeline script makes."""
    from airflow_sm_pipelines.cli.sources import read_policy, write_output
    from airflow_sm_pipelines.cli.terminal import complain, render_json

    policy = read_policy(arguments)
    text, name, origin = _make_definition(arguments)
    document: JsonValue = json.loads(text)
    if policy is not None and arguments.policy == "apply":
        from airflow_sm_pipelines.definition import parse_definition

        document = _fill_in(parse_definition(text, name=arguments.reference), policy)
    write_output(arguments.output, render_json(document) + "\n")
    if arguments.output is not None:
        complain(f"{arguments.output}: pipeline {name!r} ({origin})")
    return 0


def _make_definition(arguments: argparse.Namespace) -> tuple[str, str, str]:
    """The definition's text, the pipeline's name, and where they are from."""
    from airflow_sm_pipelines.cli.sources import compile_source, is_script

    if not is_script(arguments.reference) and _is_file(arguments.reference):
        return _extract_definition(arguments)
    compiled = compile_source(arguments.reference, arguments)
    return compiled.definition_text, compiled.name, "cached" if compiled.from_cache else str(compiled.sdk_version)


def _is_file(reference: str) -> bool:
    """Whether a file holds the definition. What names no file is taken for a script, whose errors say what is wrong."""
    from airflow_sm_pipelines.documents import split_name

    file, _ = split_name(reference, exists=lambda path: Path(path).exists())
    return file == "-" or (Path(file).exists() and Path(file).suffix not in (".py", ".ipynb"))


def _extract_definition(arguments: argparse.Namespace) -> tuple[str, str, str]:
    """The definition that a file holds, whole and checked as far as it can be read."""
    from airflow_sm_pipelines.cli.definition_files import refuse_unused_variables, short_name
    from airflow_sm_pipelines.cli.sources import read_source
    from airflow_sm_pipelines.documents import explain_unfilled
    from airflow_sm_pipelines.exceptions import DefinitionError

    source = read_source(arguments.reference, arguments)
    refuse_unused_variables(arguments)
    if source.held is not None and (problem := explain_unfilled(source.held, name=source.name)):
        raise DefinitionError(f"{problem} Give each with --var NAME=VALUE.")
    source.parse()
    name = (source.held.name if source.held else None) or short_name(source)
    return source.text.decode("utf-8-sig"), name, source.name


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
