"""``logs``: what the jobs of an execution have logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    add_command,
    add_connection_options,
    add_execution,
    add_json_option,
    explain_exit_codes,
    open_execution,
)

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands

NOTHING_LOGGED = 1
"""The exit code where there is no line to show."""

_WAIT_SECONDS = 2.0


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "logs", "print what the jobs of an execution have logged")
    add_execution(parser)
    parser.add_argument("steps", nargs="*", metavar="STEP", help="only the jobs of these steps")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the execution ends")
    add_json_option(parser, "each line as an object on a line of its own,")
    add_connection_options(parser)
    explain_exit_codes(parser, no="there is no line to show")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print log lines, each with its step and the stream it is from."""
    import json
    import time

    from airflow_sm_pipelines.cli.terminal import complain, say
    from airflow_sm_pipelines.client.job_log_stream import JobLogStream
    from airflow_sm_pipelines.definition.problems import suggest

    calls = open_execution(arguments)
    arn = arguments.execution
    lines = 0

    def write(line: str) -> None:
        nonlocal lines
        lines += 1
        say(json.dumps({"line": line}) if arguments.as_json else line)

    stream = JobLogStream(calls, write=write, warn=complain)
    while True:
        report = calls.describe_report(arn)
        names = {step.name for step in report.steps}
        for name in arguments.steps:
            if name not in names and report.is_terminal:
                complain(f"sm-pipelines: step '{name}' did not run.{suggest(name, names)}")
                return NOTHING_LOGGED
        chosen = tuple(step for step in report.steps if not arguments.steps or step.name in arguments.steps)
        while stream.read(report.with_steps(chosen), is_last=True):
            pass
        if report.is_terminal or not arguments.follow:
            break
        time.sleep(_WAIT_SECONDS)
    if not lines:
        complain("Nothing was logged by these steps' jobs.")
        return NOTHING_LOGGED
    return 0
