"""``local env``: the lines that point a shell to the endpoint that runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import add_state_option
from airflow_sm_pipelines.cli.shell_exports import SHELLS

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands

NOT_RUNNING = 1
"""The exit code where no endpoint runs."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "env",
        help="print what points a shell to the running endpoint",
        description="Print the lines that point this shell to the endpoint that 'local serve' keeps running. They "
        "unset the profile and the credentials of a real account.",
        epilog='Example: eval "$(sm-pipelines local env)". In fish: sm-pipelines local env | source. Exit codes: 0 '
        "printed; 1 no endpoint runs there.",
    )
    add_state_option(parser)
    parser.add_argument("--shell", choices=SHELLS, help="the shell to write for; by default the one that SHELL names")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the lines, or say on standard error that no endpoint runs."""
    from airflow_sm_pipelines.cli.local_session import find_state_dir
    from airflow_sm_pipelines.cli.shell_exports import find_shell, render_exports
    from airflow_sm_pipelines.cli.terminal import complain, say
    from airflow_sm_pipelines.local_endpoint import child_environment, resolve_region
    from airflow_sm_pipelines.server import find_running_server, read_secret

    state_dir = find_state_dir(arguments)
    server = find_running_server(state_dir)
    if server is None:
        complain(f"# No local endpoint runs on {state_dir}. Start one in another terminal: sm-pipelines local serve")
        return NOT_RUNNING
    region = server.get("region") or resolve_region(os.environ)
    secret = read_secret(state_dir)
    if secret is None:
        complain(f"# The key of the endpoint at {server['url']} cannot be read in {state_dir}: it is another user's.")
        return NOT_RUNNING
    environment = child_environment(os.environ, server["url"], region, secret=secret)
    shell = arguments.shell or find_shell(os.environ.get("SHELL"))
    say(*render_exports(environment, shell=shell, present=os.environ))
    return 0
