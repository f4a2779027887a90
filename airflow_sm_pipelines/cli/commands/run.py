"""``run``: an execution, started and shown until its end; a definition or a script is deployed first."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.shared_options import (
    SOURCE_HELP,
    add_parameter_option,
    add_policy_options,
    add_progress_options,
    add_script_options,
    add_source,
    add_variable_option,
    open_calls,
)
from airflow_sm_pipelines.client.valid_names import find_pipeline_name_problems

if TYPE_CHECKING:
    import argparse
    import logging

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.deployment.deployer import Deployment
    from airflow_sm_pipelines.deployment.options import DeployOptions
    from airflow_sm_pipelines.runs.start_request import StartOptions

_SHOWN_LINES = 20
"""Last lines to show of what a script that failed, or the making of its environment, has printed."""

_DEPLOY_ONLY = {
    "aliases": "--alias",
    "tags": "--tag",
    "cost_tags": "--cost-tag",
    "version_name": "--version-name",
    "version_description": "--version-description",
    "pipeline_display_name": "--pipeline-display-name",
    "definition_bucket": "--definition-bucket",
    "pipeline_name": "--pipeline-name",
    "default_bucket": "--default-bucket",
    "config": "--config",
    "kwargs": "--kwargs",
    "settings": "--set",
    "interpreter": "--interpreter",
    "variables": "--var",
    "requirements": "--requirements",
    "working_dir": "--working-dir",
    "tag_list": "--tags",
}
"""Options that mean nothing for a pipeline that is deployed already, by the names of their attributes."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "run",
        help="start an execution, and show it until its end",
        description="Start one execution of a deployed pipeline, or deploy a definition or a pipeline script first; "
        "then show its steps until it ends: live on a terminal, as plain lines elsewhere.",
        epilog="Exit codes: 0 the execution succeeded; 1 it ended otherwise; 2 it was not started. Ctrl-C stops "
        "watching, not the execution. Example: sm-pipelines local exec -- sm-pipelines run "
        "pipelines/train.py:get_pipeline --role-arn arn:aws:iam::123456789012:role/Sage -p MaxDepth=4",
    )
    add_source(parser, "pipeline", metavar="PIPELINE", help_text=f"a deployed pipeline's name or ARN; or {SOURCE_HELP}")
    _add_start_options(parser)
    _add_deploy_options(parser)
    add_variable_option(parser)
    add_policy_options(parser, modes=("enforce", "apply", "warn", "off"))
    add_script_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Deploy the pipeline if it is a source, start an execution, show it until its end."""
    import uuid
    from dataclasses import replace

    from airflow_sm_pipelines.cli.progress import follow_execution
    from airflow_sm_pipelines.cli.sources import read_pairs
    from airflow_sm_pipelines.cli.terminal import open_log, say, say_json
    from airflow_sm_pipelines.runs.start_request import StartOptions, plan_start_request
    from airflow_sm_pipelines.runs.submitter import start_once

    options = StartOptions.of(
        arguments,
        pipeline_name=arguments.pipeline,
        parameters=read_pairs(arguments.parameters, option="--parameter"),
    )
    is_source = _is_source(arguments.pipeline)
    options.check()
    if is_source:
        _check_source(arguments)
    else:
        _refuse_deploy_options(arguments)
    calls, log = open_calls(arguments, arn=arguments.pipeline), open_log()
    if is_source:
        # The role and the description are the pipeline's here.
        options = replace(options, role_arn=None, description=None)
        deployment = _deploy(calls, arguments, options, log=log)
        options = replace(options, pipeline_name=deployment.pipeline_name, version=deployment.version_id)
    request = plan_start_request(calls, options, identity=None, log=log)
    arn = start_once(calls, request, token=str(uuid.uuid4()), log=log)
    if arguments.no_follow:
        if arguments.as_json:
            say_json({"execution_arn": arn})
        else:
            say(arn)
        return 0
    return follow_execution(calls, arn, arguments)


def _add_start_options(parser: argparse.ArgumentParser) -> None:
    add_parameter_option(parser, help_text="a pipeline parameter")
    parser.add_argument("--version", metavar="VERSION", help="a version id or alias of a deployed pipeline")
    parser.add_argument("--display-name", metavar="NAME", help="a name for the execution")
    parser.add_argument(
        "--description", metavar="TEXT", help="a text for the pipeline when deploying, else for the execution"
    )
    parser.add_argument("--max-parallel-steps", metavar="N", help="steps that may run at once")
    parser.add_argument(
        "--select-step", action="append", metavar="STEP", dest="select_steps", help="run only these steps"
    )
    parser.add_argument("--from-step", metavar="STEP", help="run only this step and all steps that depend on it")
    parser.add_argument(
        "--source-execution",
        metavar="ARN",
        dest="source_execution_arn",
        help="the execution whose results selected steps take; the newest one that has them by default",
    )
    parser.add_argument(
        "--mlflow-experiment", metavar="NAME", dest="mlflow_experiment_name", help="the execution's MLflow experiment"
    )
    parser.add_argument("--no-follow", action="store_true", help="start it, print its ARN, and end")
    add_progress_options(parser)


def _add_deploy_options(parser: argparse.ArgumentParser) -> None:
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


def _is_source(pipeline: str) -> bool:
    """Whether the pipeline is something to deploy, not the name or ARN of one that is deployed.

    :raises ArgumentError: if it is neither.
    """
    from airflow_sm_pipelines.client.valid_names import is_pipeline_name
    from airflow_sm_pipelines.definition.arns import is_arn

    if Path(pipeline).is_file():
        return True
    if is_pipeline_name(pipeline) or is_arn(pipeline):
        return False
    if (
        re.fullmatch(r"[\w.-]+", pipeline)
        and Path(pipeline).suffix not in (".py", ".ipynb", ".json")
        and pipeline != "-"
    ):
        from airflow_sm_pipelines.exceptions import ArgumentError

        (problem,) = find_pipeline_name_problems(pipeline, name="PIPELINE")
        raise ArgumentError(f"{problem} There is no file of that name either.")
    return True


def _check_source(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be deployed, before anything is asked or built.

    :raises ScriptNotFoundError: if the script is not there.
    :raises UnreadableSourceError: if ``--version`` is given.
    :raises ArgumentError: naming each wrong option.
    """
    from airflow_sm_pipelines.cli.sources import UnreadableSourceError, check_script

    if arguments.version is not None:
        raise UnreadableSourceError("--version runs what is deployed: name the pipeline instead of a file.")
    check_script(arguments.pipeline)
    if arguments.pipeline != "-":
        _read_deploy_options(arguments).check()


def _refuse_deploy_options(arguments: argparse.Namespace) -> None:
    from airflow_sm_pipelines.exceptions import ArgumentError

    given = [flag for name, flag in _DEPLOY_ONLY.items() if getattr(arguments, name)]
    if arguments.policy == "apply":
        given.append("--policy apply")
    if not arguments.cache:
        given.append("--no-cache")
    if given:
        raise ArgumentError(
            f"{', '.join(given)}: only for deploying, but there is no file '{arguments.pipeline}', so the pipeline of "
            "that name is run as it is deployed."
        )


def _deploy(
    calls: SageMakerCalls, arguments: argparse.Namespace, start: StartOptions, *, log: logging.Logger
) -> Deployment:
    """Deploy the source; what the SDK prints meanwhile is shown only where the script fails."""
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
            return deployer.deploy(check=start.check)
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
    from airflow_sm_pipelines.cli.sources import is_script, read_config, read_pairs
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
        cost_tags=(
            None
            if arguments.cost_tags is None
            else read_pairs(arguments.cost_tags, option="--cost-tag", what="a key", member="Key")
        ),
    )
