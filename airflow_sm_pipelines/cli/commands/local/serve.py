"""``local serve``: a local endpoint that keeps running."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import DEFAULT_PORT, add_endpoint_options
from airflow_sm_pipelines.local_endpoint import CONSOLE_VARIABLE, ENDPOINT_VARIABLE

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands

_EXPORTED = (
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AIRFLOW_CONN_AWS_DEFAULT",
    ENDPOINT_VARIABLE,
    CONSOLE_VARIABLE,
)


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "serve",
        help="keep a local endpoint running",
        description="Run the endpoint until Ctrl-C, and say how to point AWS to it.",
    )
    add_endpoint_options(parser, port=DEFAULT_PORT, port_help=f"the port ({DEFAULT_PORT}); 0 takes a free one")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Keep an endpoint running until a signal ends it."""
    import signal
    import threading

    from airflow_sm_pipelines.cli.local_session import handled_signals, open_endpoint
    from airflow_sm_pipelines.cli.terminal import show_log_lines

    show_log_lines()
    stop = threading.Event()
    with (
        open_endpoint(arguments) as server,
        handled_signals(lambda _: stop.set(), signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
    ):
        environment = server.environment()
        exports = [f"  export {name}={environment[name]}" for name in _EXPORTED if name in environment]
        print(
            f"Local SageMaker endpoint: {server.endpoint_url} (region {server.region}, account {server.account_id})",
            f"Pages: {server.console_url}",
            f"State: {server.state_dir}",
            server.isolation,
            "Point a shell to it:",
            *exports,
            "Stop it with Ctrl-C.",
            sep="\n",
            flush=True,
        )
        stop.wait()
        print("Stopping; what is running goes on at the next start.", flush=True)
    return 0
