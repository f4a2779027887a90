"""Deploying a definition or a script from the command line: the options, and the deployment with its output."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.shared_options import add_policy_options, add_script_options, add_variable_option

if TYPE_CHECKING:
    import argparse
    import logging
    from collections.abc import Callable

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.definition import PipelineDefinition
    from airflow_sm_pipelines.deployment.deployer import Deployment
    from airflow_sm_pipelines.deployment.options import DeployOptions

_SHOWN_LINES = 20
"""Last lines to show of what a script that failed, or the making of its environment, has printed."""


def add_deploy_options(parser: argparse.ArgumentParser) -> None:
    """Add what a deployment takes: how the pipeline is made, a team's policy, and how a script is built."""
    group = parser.add_argument_group("for deploying")
    group.add_argument(
        "--alias", action="append", metavar="NAME", dest="aliases", help="an alias to point to this version"
    )
    group.add_argument("--tag", action="append", metavar="KEY=VALUE", dest="tags", help="a tag for the pipeline")
    group.add_argument(
        "--tags",
        metavar="LIST",
        dest="tag_list",
        help='the same as AWS\'s list, [{"Key": ..., "Value": ...}], as the project template\'s option',
    )
    group.add_argument(
        "--cost-tag",
        action="append",
        metavar="KEY=VALUE",
        dest="cost_tags",
        help="a tag for every job that the steps start; adds the pipeline, the execution and the step",
    )
    group.add_argument("--version-name", metavar="NAME", help="the display name of a new version")
    group.add_argument("--version-description", metavar="TEXT", help="the description of a new version")
    group.add_argument("--pipeline-display-name", metavar="NAME", help="shown in Studio")
    group.add_argument("--definition-bucket", metavar="BUCKET", help="where a definition of 100 KB and more goes")
    add_variable_option(parser)
    add_policy_options(parser, modes=("enforce", "apply", "warn", "off"))
    add_script_options(parser)


def check_deployable(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be deployed, before anything is asked or built.

    :raises ScriptNotFoundError: if the script is not there.
    :raises ArgumentError: naming each wrong option.
    """
    from airflow_sm_pipelines.cli.sources import check_script

    check_script(arguments.pipeline)
    if arguments.pipeline != "-":
        _read_deploy_options(arguments).check()


def deploy_source(
    calls: SageMakerCalls,
    arguments: argparse.Namespace,
    *,
    log: logging.Logger,
    check: Callable[[PipelineDefinition], None] | None = None,
) -> Deployment:
    """Deploy ``arguments.pipeline``; what the SDK prints meanwhile is shown only where the script fails.

    :param check: called with the definition before anything is written; what it raises ends the deployment.
    :raises CompileError: if the script fails.
    :raises DefinitionError: naming everything that SageMaker or the team would refuse.
    :raises ArgumentError: if an option is wrong or missing.
    """
    from airflow_sm_pipelines.cli.sources import is_script
    from airflow_sm_pipelines.cli.terminal import complain, show_elapsed
    from airflow_sm_pipelines.deployment.deployer import PipelineDeployer
    from airflow_sm_pipelines.deployment.provenance import CommandProvenance, read_git_revision
    from airflow_sm_pipelines.deployment.source import resolve_code_path
    from airflow_sm_pipelines.exceptions import CompileError

    options = _read_deploy_options(arguments)
    code = resolve_code_path(options.pipeline, folder=options.folder)
    printed: list[str] = []
    is_built = is_script(arguments.pipeline)
    if is_built:
        log.info("Building %s%s ...", arguments.pipeline, "" if options.cache else " anew, without an earlier build")
    deployer = PipelineDeployer(
        calls,
        options,
        provenance=CommandProvenance(None if code is None else read_git_revision(code)),
        log=log,
        script_log=log.info if arguments.verbose else printed.append,
    )
    try:
        with show_elapsed(f"Building {arguments.pipeline}") if is_built else contextlib.nullcontext():
            return deployer.deploy(check=check)
    except CompileError:
        complain(*[line for line in printed if not line.startswith(("::", " + "))][-_SHOWN_LINES:])
        raise


def _read_tags(arguments: argparse.Namespace) -> dict[str, Any]:
    from airflow_sm_pipelines.cli.sources import parse_literal, read_pairs
    from airflow_sm_pipelines.option_reader import TAG_MEMBERS, parse_named_values

    listed: object = None
    if arguments.tag_list is not None:
        listed = parse_literal(arguments.tag_list)
        listed = arguments.tag_list if listed is None else listed
    return {
        **parse_named_values("tags", listed, members=TAG_MEMBERS),
        **read_pairs(arguments.tags or (), option="--tag", what="a key", member="Key"),
    }


def _read_deploy_options(arguments: argparse.Namespace) -> DeployOptions:
    from airflow_sm_pipelines.cli.definition_files import read_deployable
    from airflow_sm_pipelines.cli.sources import is_script, read_config, read_pairs, read_script_env
    from airflow_sm_pipelines.deployment.options import DeployOptions

    pipeline, name = arguments.pipeline, arguments.pipeline_name
    if not is_script(pipeline):
        pipeline, held_name = read_deployable(pipeline, arguments)
        name = name or held_name
    return DeployOptions.of(
        arguments,
        pipeline=pipeline,
        pipeline_name=name,
        folder=str(Path.cwd()),
        config=read_config(arguments),
        tags=_read_tags(arguments),
        script_env=read_script_env(arguments),
        cost_tags=(
            None
            if arguments.cost_tags is None
            else read_pairs(arguments.cost_tags, option="--cost-tag", what="a key", member="Key")
        ),
    )
