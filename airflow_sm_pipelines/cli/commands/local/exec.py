"""``local exec``: one command with AWS pointing to a local endpoint."""

from __future__ import annotations

import argparse
import configparser
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.local_contents import add_contents_options
from airflow_sm_pipelines.cli.shared_options import add_endpoint_options, add_strict_option, explain_exit_codes
from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.local_endpoint import JUDGED_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.server import RunningServer

FOLDER_VARIABLE = "AIRFLOW__CORE__DAGS_FOLDER"
"""Airflow's variable for the folder of the DAG files."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "exec",
        help="run one command with AWS pointing to a local endpoint",
        usage="%(prog)s [options] -- COMMAND ...",
        description="Start the endpoint, run the command with AWS pointing to it in that command's environment only, "
        "and stop. Ends with the command's exit code. The endpoint starts empty: --pipeline, --upload, --function and "
        "--model-group make what the command expects to find.",
        epilog="Examples: sm-pipelines local exec -- airflow dags test train_model; sm-pipelines local exec --pipeline "
        "price=price.json --upload s3://raw/2026=samples -- airflow dags test nightly",
    )
    add_endpoint_options(parser, port=0, port_help="the endpoint's port (a free one)")
    parser.add_argument(
        "--progress",
        action="store_true",
        help="show the executions while the command runs, below its output; for commands that ask no questions",
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    add_contents_options(parser)
    add_strict_option(parser)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command and its arguments")
    explain_exit_codes(parser, own="the command", no="also if --strict finds what may differ on AWS")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run a command against an endpoint of its own, and give the command's exit code."""
    from airflow_sm_pipelines.cli.local_contents import fill, now, read_contents
    from airflow_sm_pipelines.cli.local_judgement import judge_run
    from airflow_sm_pipelines.cli.local_session import announced_endpoint, explain_not_runnable, read_umask, run_command

    command = list(arguments.command)
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        raise LocalEndpointError(
            "No command to run. Write it after two dashes: sm-pipelines local exec -- airflow dags test train_model"
        )
    if shutil.which(command[0]) is None:
        return explain_not_runnable(command[0])
    contents = read_contents(arguments)
    umask = read_umask()
    with announced_endpoint(arguments) as server:
        fill(server, contents)
        since, environment = now(), {**server.environment(), JUDGED_VARIABLE: "1"}
        if not arguments.progress:
            exit_code = run_command(command, environment, umask=umask)
        else:
            from airflow_sm_pipelines.cli.progress import show_started_executions

            with show_started_executions(server) as streams:
                exit_code = run_command(command, environment, umask=umask, **streams)
        _explain(command, server, exit_code, since=since, arguments=arguments)
        return judge_run(server, since, exit_code, arguments)


def _explain(
    command: list[str], server: RunningServer, exit_code: int, *, since: datetime, arguments: argparse.Namespace
) -> None:
    """Say what the command itself does not: what it looked for in vain, and what it leaves running."""
    from airflow_sm_pipelines.cli.local_contents import find_enterable, find_missing, find_running
    from airflow_sm_pipelines.cli.terminal import complain

    if exit_code:
        text = explain_missing_dag(command, server.environment())
        if text is not None:
            complain(f"sm-pipelines: {text}")
        elif missing := find_missing(server, since):
            complain("sm-pipelines: the command asked for what is not there. These options make it:")
            complain(*(f"  {option}" for option in missing))
            if any(option.startswith("--pipeline") for option in missing):
                complain("FILE is a script, or what 'aws sagemaker describe-pipeline --pipeline-name NAME' prints.")
        if not arguments.ephemeral and (commands := find_enterable(server, since)):
            complain("sm-pipelines: enter what failed:", *(f"  {one}" for one in commands))
    running = find_running(server, since)
    if running and not arguments.quiet:
        fate = "end with the endpoint" if arguments.ephemeral else "go on when an endpoint of this state starts again"
        complain(f"sm-pipelines: still running; these {fate}:", *(f"  {arn}" for arn in running))


def explain_missing_dag(command: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """A sentence for ``airflow dags test`` or ``airflow tasks test`` of a DAG that no file of the DAG folder names.

    :param command: the command that has failed.
    :param environment: of the command.
    :return: None for another command, or where a file names the DAG.
    """
    if Path(command[0]).name != "airflow" or command[1:3] not in (["dags", "test"], ["tasks", "test"]):
        return None
    dag_id = next((word for word in command[3:] if not word.startswith("-")), None)
    folder = find_dag_folder(environment)
    if not folder.is_dir():
        return f"There is no DAG folder {folder}: set {FOLDER_VARIABLE} to the folder of your DAG file."
    if dag_id is None or any(dag_id in _read(path) for path in folder.rglob("*.py")):
        return None
    return (
        f"No Python file of the DAG folder {folder} names {dag_id!r}: set {FOLDER_VARIABLE} to the folder of your DAG "
        "file, or correct the name."
    )


def find_dag_folder(environment: Mapping[str, str]) -> Path:
    """The folder in which Airflow looks for DAG files: by its variable, its configuration file, or its default."""
    home = Path(environment.get("AIRFLOW_HOME") or "~/airflow").expanduser()
    if given := environment.get(FOLDER_VARIABLE):
        return Path(given).expanduser()
    settings = configparser.RawConfigParser(strict=False)
    settings.read_string("[core]\n")
    try:
        settings.read(environment.get("AIRFLOW_CONFIG") or home / "airflow.cfg", encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return home / "dags"
    return Path(settings.get("core", "dags_folder", fallback=str(home / "dags"))).expanduser()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
