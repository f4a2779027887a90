"""The command ``local run``: a script of the SDK's local mode, without Docker or with it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def run_script(arguments: argparse.Namespace) -> int:
    """Run the script where AWS is the local endpoint, or as it is where Docker is asked for; give its exit code.

    :raises CompileError: there is no interpreter for the script, or no Docker.
    """
    from airflow_sm_pipelines.cli.local import announced_endpoint, run_command
    from airflow_sm_pipelines.compiler.local_scripts import make_local_command

    command = make_local_command(
        arguments.script,
        arguments.arguments,
        interpreter=arguments.interpreter,
        in_docker=arguments.docker,
        log=lambda line: print(line, file=sys.stderr),
    )
    environment = {**os.environ, "SAGEMAKER_SUPPRESS_V2_WARNING": "1"}
    # Docker takes images and data from where they are; inside `local exec`, there is an endpoint already.
    if arguments.docker or "SM_PIPELINES_ENDPOINT" in os.environ:
        return run_command(command, environment)
    with announced_endpoint(arguments) as server:
        return run_command(command, {**server.environment(), "SAGEMAKER_SUPPRESS_V2_WARNING": "1"})
