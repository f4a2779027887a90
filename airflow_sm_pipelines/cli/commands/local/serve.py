"""``local serve``: a local endpoint that keeps running."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.local_contents import add_contents_options
from airflow_sm_pipelines.cli.shared_options import DEFAULT_PORT, add_endpoint_options, explain_exit_codes

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "serve",
        help="keep a local endpoint running",
        description="Run the endpoint until Ctrl-C, and say how to point AWS to it.",
    )
    add_endpoint_options(parser, port=DEFAULT_PORT, port_help=f"the port ({DEFAULT_PORT}); 0 takes a free one")
    add_contents_options(parser)
    explain_exit_codes(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Keep an endpoint running until a signal ends it."""
    import signal
    import threading

    from airflow_sm_pipelines.cli.local_contents import fill, read_contents
    from airflow_sm_pipelines.cli.local_session import default_state_dir, handled_signals, open_endpoint
    from airflow_sm_pipelines.cli.shell_exports import find_shell, render_exports
    from airflow_sm_pipelines.cli.terminal import say, show_log_lines
    from airflow_sm_pipelines.local_endpoint import PROXY_VARIABLES

    show_log_lines()
    contents = read_contents(arguments)
    shell = find_shell(os.environ.get("SHELL"))
    stop = threading.Event()
    with (
        open_endpoint(arguments) as server,
        handled_signals(lambda _: stop.set(), signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
    ):
        fill(server, contents)
        environment = server.environment()
        # What is printed here often ends in a log.
        read_key = f"cat {shlex.quote(str(server.state_dir / 'secret'))}"
        quoted = f"'({read_key})'" if shell == "fish" else f'"$({read_key})"'
        environment = {name: value for name, value in environment.items() if name not in PROXY_VARIABLES}
        exports = [
            line.replace(server.secret, quoted) for line in render_exports(environment, shell=shell, present=os.environ)
        ]
        is_default = server.state_dir == default_state_dir(os.environ).absolute()
        option = "" if is_default else f" --state-dir {shlex.quote(str(server.state_dir))}"
        command = f"sm-pipelines local env{option}"
        say(
            f"Local SageMaker endpoint: {server.endpoint_url} (region {server.region}, account {server.account_id})",
            f"Pages: {server.console_url}",
            f"State: {server.state_dir}",
            server.isolation,
            "Point another shell to it:",
            f"  {command} | source" if shell == "fish" else f'  eval "$({command})"',
            "which does this:",
            *(f"  {line}" for line in exports),
            f"and makes the endpoint the proxy of that shell ({', '.join(PROXY_VARIABLES)}), which refuses AWS.",
            *([] if not arguments.require_key else [f"Open the pages: sm-pipelines local open{option}"]),
            "Stop it with Ctrl-C.",
        )
        stop.wait()
        say("Stopping; what is running goes on at the next start.")
    return 0
