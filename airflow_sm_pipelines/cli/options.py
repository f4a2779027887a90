"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

SOURCE_HELP = "a definition file, 'script.py:function', or - for a definition on standard input"


def add_policy_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--policy`` and ``--apply-defaults``."""
    group = parser.add_argument_group("for a team's policy")
    group.add_argument("--policy", type=Path, metavar="FILE", help="a TOML file of rules: networks, keys, tags, limits")
    group.add_argument(
        "--apply-defaults",
        action="store_true",
        help="fill the policy's network, keys, limits and tags into every job that has none",
    )


def add_compile_options(parser: argparse.ArgumentParser) -> None:
    """Add what a pipeline script is compiled with."""
    group = parser.add_argument_group("for pipeline scripts")
    group.add_argument("--role-arn", metavar="ARN", help="the execution role the function is given")
    group.add_argument("--region", help="the region the function is given; AWS_REGION or the profile's by default")
    group.add_argument("--pipeline-name", metavar="NAME", help="the name the function is given")
    group.add_argument("--default-bucket", metavar="BUCKET", help="the bucket the session and the function are given")
    group.add_argument("--config", type=Path, metavar="FILE", help="a JSON object: arguments of the function by name")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="one argument of the function, JSON or text; beats --config",
    )
    group.add_argument("--interpreter", metavar="PYTHON", help="a Python that has the SDK; uv makes one by default")
    group.add_argument("--profile", help="the AWS profile whose credentials the script gets")
    group.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="for the script (600)")
