"""``local open``: the endpoint's pages in a browser."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import add_state_option

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from airflow_sm_pipelines.cli.shared_options import Commands

NOT_RUNNING = 1
"""The exit code where no endpoint runs."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "open",
        help="print a link that opens the running endpoint's pages",
        description="Print a link that opens the pages of the running endpoint in a browser, which may then go on to "
        "see them. It counts for two minutes. Needed where the system does not say whose browser it is (macOS), and "
        "with --require-key.",
        epilog="Example: sm-pipelines local open --browser. Exit codes: 0 printed; 1 no endpoint runs there.",
    )
    add_state_option(parser)
    parser.add_argument("--browser", action="store_true", help="open it in the default browser, too")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the link, or say on standard error that no endpoint runs."""
    from datetime import datetime, timezone

    from airflow_sm_pipelines.cli.local_session import find_state_dir
    from airflow_sm_pipelines.cli.terminal import complain, say
    from airflow_sm_pipelines.server import find_running_server, read_secret
    from airflow_sm_pipelines.server.access_keys import AccessKeys
    from airflow_sm_pipelines.server.console.page_access import make_page_link

    state_dir = find_state_dir(arguments)
    server, secret = find_running_server(state_dir), read_secret(state_dir)
    if server is None or secret is None:
        complain(f"No local endpoint runs on {state_dir}. Start one in another terminal: sm-pipelines local serve")
        return NOT_RUNNING
    link = make_page_link(server["url"], AccessKeys(secret), now=datetime.now(timezone.utc))
    say(link)
    if arguments.browser:
        _show(link, state_dir)
    return 0


def _show(link: str, state_dir: Path) -> None:
    """Open a file that leads to the link: other users can read a browser's arguments."""
    import webbrowser

    page = state_dir / "open.html"
    page.unlink(missing_ok=True)
    with open(page, "x", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(f'<!doctype html><meta http-equiv="refresh" content="0; url={link}">')
    webbrowser.open(page.as_uri())
