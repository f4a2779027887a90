"""``local profile``: an AWS profile that leads to the local endpoint, for tools that take a profile."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import DEFAULT_PORT, add_state_option, parse_port

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands

DEFAULT_NAME = "sm-local"
"""The profile's name where none is given."""

_MARK = "local profile --print-key"
"""What the command of a profile of ours holds."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "profile",
        help="add an AWS profile that leads to the local endpoint",
        description="Add a profile to your AWS configuration that leads to the endpoint of 'local serve', or renew it. "
        "AWS_PROFILE=sm-local, or an Airflow connection aws://?profile_name=sm-local, is then all that is needed. The "
        "key is not written there: a command in the profile reads it from the state directory. For boto3 from 1.28.",
        epilog="Exit codes: 0 written; 2 the configuration has a profile of that name that is not ours.",
    )
    parser.add_argument("--name", default=DEFAULT_NAME, help=f"the profile's name ({DEFAULT_NAME})")
    parser.add_argument(
        "--port", type=parse_port, default=DEFAULT_PORT, metavar="N", help=f"of the endpoint ({DEFAULT_PORT})"
    )
    parser.add_argument("--region", help="the profile's region; AWS_REGION, AWS_DEFAULT_REGION or us-east-1 by default")
    add_state_option(parser)
    parser.add_argument("--print-key", action="store_true", help="print the endpoint's key, as credential_process asks")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the profile, or print the key for it.

    :raises LocalEndpointError: if the key cannot be read, or the configuration cannot be changed.
    """
    from airflow_sm_pipelines.cli.local_session import find_state_dir
    from airflow_sm_pipelines.cli.terminal import say
    from airflow_sm_pipelines.exceptions import LocalEndpointError
    from airflow_sm_pipelines.local_endpoint import ACCESS_KEY_ID, find_caller_python, resolve_region
    from airflow_sm_pipelines.server import read_secret

    state_dir = find_state_dir(arguments)
    if arguments.print_key:
        secret = read_secret(state_dir)
        if secret is None:
            raise LocalEndpointError(
                f"There is no key in {state_dir} that this user may read: start `sm-pipelines local serve` first."
            )
        say(json.dumps({"Version": 1, "AccessKeyId": ACCESS_KEY_ID, "SecretAccessKey": secret}))
        return 0
    python = find_caller_python(os.environ)
    command = [python, "-m", "airflow_sm_pipelines.cli", *_MARK.split(), "--state-dir", str(state_dir)]
    lines = [
        f"[profile {arguments.name}]",
        f"endpoint_url = http://127.0.0.1:{arguments.port}",
        f"region = {arguments.region or resolve_region(os.environ)}",
        f"credential_process = {shlex.join(command)}",
    ]
    path = Path(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()
    _write(path, arguments.name, lines)
    say(f"{path} has the profile {arguments.name}. Use it by AWS_PROFILE={arguments.name}, or in Airflow by a")
    say(f"connection aws://?profile_name={arguments.name}")
    return 0


def with_profile(text: str, name: str, lines: list[str]) -> str | None:
    """A configuration with a profile of ours; None where it has one of that name that is not ours.

    :param text: the configuration.
    :param name: the profile's name.
    :param lines: the profile, its heading first.
    """
    new = "\n".join(lines) + "\n"
    found = re.search(rf"^\[\s*profile\s+{re.escape(name)}\s*\][^\n]*\n(?:(?!\[).*(?:\n|\Z))*", text, re.MULTILINE)
    if found is None:
        gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        return f"{text}{gap}{new}"
    if _MARK not in found[0]:
        return None
    rest = text[found.end() :]
    return text[: found.start()] + new + ("\n" if rest else "") + rest


def _write(path: Path, name: str, lines: list[str]) -> None:
    from airflow_sm_pipelines.exceptions import LocalEndpointError

    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        changed = with_profile(text, name, lines)
        if changed is None:
            raise LocalEndpointError(f"{path} has a profile {name!r} that is not ours: give another --name.")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Written in place: the file may be a link, and has its owner's mode.
        path.touch(mode=0o600)
        path.write_text(changed, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LocalEndpointError(f"{path} cannot be changed: {error}.") from error
