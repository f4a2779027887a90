"""``run``: an execution, started and shown until its end; a definition or a script is deployed first."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.deploying import add_deploy_options, check_deployable, deploy_source
from airflow_sm_pipelines.cli.shared_options import (
    SOURCE_HELP,
    UnreadableSourceError,
    add_parameter_option,
    add_progress_options,
    add_source,
    open_calls,
)
from airflow_sm_pipelines.client.valid_names import find_pipeline_name_problems

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands

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
    "script_args": "--script-args",
    "script_env": "--script-env",
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
    add_deploy_options(parser)
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
        if arguments.version is not None:
            raise UnreadableSourceError("--version runs what is deployed: name the pipeline instead of a file.")
        check_deployable(arguments)
    else:
        _refuse_deploy_options(arguments)
    calls, log = open_calls(arguments, arn=arguments.pipeline), open_log()
    if is_source:
        # The role and the description are the pipeline's here.
        options = replace(options, role_arn=None, description=None)
        deployment = deploy_source(calls, arguments, log=log, check=options.check)
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
