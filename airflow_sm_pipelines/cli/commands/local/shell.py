"""``local shell``: a shell, or one command, in what a failed job has left."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    EXECUTION_HELP,
    add_state_option,
    explain_exit_codes,
    make_endpoint_arguments,
)
from airflow_sm_pipelines.exceptions import LocalEndpointError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.engine.jobs.kept_failures import KeptFailure


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "shell",
        help="enter a failed job: its /opt/ml, environment and Python",
        usage="%(prog)s [options] EXECUTION STEP [-- COMMAND ...]",
        description="Open a shell where the job of a failed step ran: with its files as it left them, its environment "
        "variables and its Python. 'rerun' in it starts the job's program again. With a command, run that instead, and "
        "end with its exit code. The last ten failed jobs can be entered, as far as they hold at most 2 GB together. "
        "AWS is the endpoint of the state directory; where none runs, one is started for this command.",
        epilog="Examples: sm-pipelines local shell price Train; sm-pipelines local shell price Train -- pip list",
    )
    parser.add_argument("execution", metavar="EXECUTION", help=EXECUTION_HELP)
    parser.add_argument(
        "step", metavar="STEP", help="the failed step; or the name of a failed job, such as one of a tuning job"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="a command and its arguments")
    parser.add_argument("--host", metavar="HOST", help="the instance, where the job had several (the one that failed)")
    add_state_option(parser)
    explain_exit_codes(parser, own="the shell, or of the command")
    parser.set_defaults(run=run, quiet=True)


def run(arguments: argparse.Namespace) -> int:
    """Open the shell, or run the command; give its exit code.

    :raises LocalEndpointError: if the step has no failed job that is kept.
    """
    from airflow_sm_pipelines.cli.local_environment import enter_local_environment

    enter_local_environment(arguments)
    from airflow_sm_pipelines.cli.local_session import find_state_dir, read_umask, run_command
    from airflow_sm_pipelines.cli.terminal import complain
    from airflow_sm_pipelines.engine.jobs.kept_failures import LAUNCHER, choose_shell, list_failures

    umask = read_umask()
    with _endpoint(arguments) as environment:
        kept = _find_kept(arguments, environment, list_failures(find_state_dir(arguments) / "engine" / "jobs"))
        host = _choose_host(kept, arguments.host)
        command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
        with kept.held():
            if not command:
                complain(*_describe(kept, host))
            plan = kept.write_plan(
                host,
                command or choose_shell(),
                env={"PS1": rf"({arguments.step}) \w\$ ", "TERM": os.environ.get("TERM", "dumb")},
                endpoint_url=environment["AWS_ENDPOINT_URL"],
            )
            return run_command(
                [sys.executable, "-I", "-S", str(LAUNCHER), "--enter", str(plan)], dict(os.environ), umask=umask
            )


@contextlib.contextmanager
def _endpoint(arguments: argparse.Namespace) -> Iterator[dict[str, str]]:
    """What leads to the endpoint that runs on the state directory, or to one that is started for this command."""
    from airflow_sm_pipelines.cli.local_session import find_state_dir, open_endpoint
    from airflow_sm_pipelines.local_endpoint import child_environment, resolve_region
    from airflow_sm_pipelines.server import find_running_server, read_secret

    state_dir: Path = find_state_dir(arguments)
    if not state_dir.is_dir():
        raise LocalEndpointError(f"There is no state directory {state_dir}. Name the endpoint's with --state-dir.")
    server, secret = find_running_server(state_dir), read_secret(state_dir)
    if server is not None and secret is not None:
        region = server.get("region") or resolve_region(os.environ)
        yield child_environment(os.environ, server["url"], region, secret=secret)
        return
    with open_endpoint(make_endpoint_arguments(state_dir=state_dir)) as started:
        yield started.environment()


def _find_kept(arguments: argparse.Namespace, environment: dict[str, str], failures: list[KeptFailure]) -> KeptFailure:
    """What is kept of the job of that name, or of the one that a step of the execution made last.

    Of a tuning step it is the newest training job that has failed.
    """
    from airflow_sm_pipelines.cli.terminal import complain

    for kept in failures:
        if kept.job.arn.endswith(f"/{arguments.step}"):
            return kept
    arn = _find_job(arguments, environment)
    jobs = [arn, *_list_trials(arn, environment)]
    found = [kept for kept in failures if kept.job.arn in jobs]
    if not found:
        raise LocalEndpointError(_explain_missing(arn))
    if len(found) > 1:
        others = ", ".join(kept.job.arn.rpartition("/")[2] for kept in found[1:])
        complain(f"The newest of {len(found)} failed training jobs. The others are entered by their names: {others}")
    return found[0]


def _list_trials(arn: str, environment: dict[str, str]) -> list[str]:
    """The ARNs of the training jobs of a tuning job; none of another one."""
    from airflow_sm_pipelines.client.recorded_jobs import TUNING_JOB
    from airflow_sm_pipelines.client.session_calls import SessionCalls

    kind, _, name = arn.rpartition(":")[2].partition("/")
    if kind != TUNING_JOB:
        return []
    place = arn.rpartition(":")[0]
    return [f"{place}:training-job/{one}" for one in SessionCalls.at_endpoint(environment).list_tuned_jobs(name)]


def _find_job(arguments: argparse.Namespace, environment: dict[str, str]) -> str:
    from airflow_sm_pipelines.cli.shared_options import find_execution
    from airflow_sm_pipelines.client.session_calls import SessionCalls
    from airflow_sm_pipelines.definition.problems import suggest

    arn, calls = find_execution(arguments.execution, lambda: SessionCalls.at_endpoint(environment))
    report = calls.describe_report(arn)
    step = report.latest_step(arguments.step)
    if step is not None and step.job_arn is not None:
        return step.job_arn
    if step is not None:
        reason = f": {step.failure_reason}" if step.failure_reason else ""
        raise LocalEndpointError(f"Step '{step.name}' has no job. It is {step.status}{reason}")
    names = [one.name for one in report.steps]
    raise LocalEndpointError(f"{report.arn} has no step '{arguments.step}'.{suggest(arguments.step, names)}")


def _choose_host(kept: KeptFailure, wanted: str | None) -> str:
    if wanted is not None and wanted not in kept.hosts:
        raise LocalEndpointError(f"The job has no instance '{wanted}'. It has {', '.join(kept.hosts)}.")
    return wanted or kept.hosts[0]


def _explain_missing(arn: str) -> str:
    from airflow_sm_pipelines.engine.jobs.kept_failures import MAX_BYTES, MAX_FAILURES

    return (
        f"Nothing is kept of {arn}. Only processing, training and transform jobs that failed after their program had "
        f"started are kept, the last {MAX_FAILURES} of them, with at most {MAX_BYTES >> 30} GB together and while the "
        "disk has room. To see one that is gone, run its step again: sm-pipelines retry EXECUTION"
    )


def _describe(kept: KeptFailure, host: str) -> list[str]:
    plan = kept.read_plan(host)
    others = [one for one in kept.hosts if one != host]
    return [
        f"{kept.job.arn} on {host}",
        f"It failed: {kept.job.reason}",
        f"It ran: {shlex.join(plan['argv'])}",
        *([f"The job's other instances: {', '.join(others)}; enter one with --host."] if others else []),
        "'rerun' starts that again, 'exit' ends. What you change stays here, until newer failures take its place.",
    ]
