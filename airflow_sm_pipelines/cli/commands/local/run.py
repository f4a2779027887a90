"""``local run``: a script of the SDK's local mode, without Docker or with it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import add_endpoint_options, add_strict_option, explain_exit_codes
from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.local_endpoint import ENDPOINT_VARIABLE, START_ENDPOINT
from airflow_sm_pipelines.loopback import is_listened_to

if TYPE_CHECKING:
    from airflow_sm_pipelines.cli.shared_options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "run",
        help="run a script of the SDK's local mode, without Docker or with it",
        usage="%(prog)s [options] SCRIPT [ARGUMENT ...]",
        description="Run a script that builds and starts pipelines with the SDK's LocalPipelineSession, unchanged. "
        "Its pipelines run on the local endpoint; with --docker, the SDK runs them in containers.",
        epilog="Example: sm-pipelines local run pipelines/train.py",
    )
    add_endpoint_options(parser, port=0, port_help="the endpoint's port (a free one)")
    parser.add_argument("--quiet", action="store_true", help="do not say where the endpoint is")
    add_strict_option(parser)
    parser.add_argument("--docker", action="store_true", help="let the SDK start containers, with your own AWS account")
    parser.add_argument("--interpreter", metavar="PYTHON", help="a Python that has the SDK; uv makes one by default")
    parser.add_argument("script", type=Path, metavar="SCRIPT", help="a Python file")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="the script's own arguments")
    explain_exit_codes(parser, own="the script", no="also if --strict finds what may differ on AWS")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the script against a local endpoint, or unchanged with ``--docker``; give its exit code.

    :raises CompileError: if there is no interpreter for the script, or no Docker.
    :raises LocalEndpointError: if the shell leads to an endpoint that has stopped.
    """
    from airflow_sm_pipelines.cli.local_contents import now
    from airflow_sm_pipelines.cli.local_judgement import judge_run
    from airflow_sm_pipelines.cli.local_session import announced_endpoint, read_umask, run_command
    from airflow_sm_pipelines.cli.terminal import complain
    from airflow_sm_pipelines.compiler.local_scripts import make_local_command

    command = make_local_command(
        arguments.script,
        arguments.arguments,
        interpreter=arguments.interpreter,
        in_docker=arguments.docker,
        log=complain,
    )
    environment = {**os.environ, "SAGEMAKER_SUPPRESS_V2_WARNING": "1"}
    # With Docker the SDK reaches AWS itself; inside `local exec` there is an endpoint already.
    endpoint = None if arguments.docker else os.environ.get(ENDPOINT_VARIABLE)
    if endpoint is not None and not is_listened_to(endpoint):
        raise LocalEndpointError(f"This shell leads to {endpoint}. {START_ENDPOINT}")
    if arguments.docker or endpoint is not None:
        return run_command(command, environment)
    umask = read_umask()
    with announced_endpoint(arguments) as server:
        since = now()
        code = run_command(command, {**server.environment(), "SAGEMAKER_SUPPRESS_V2_WARNING": "1"}, umask=umask)
        return judge_run(server, since, code, arguments)
