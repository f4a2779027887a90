"""What a local run ends with: what it relied on that may differ on AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.local_contents import render_enterable
from airflow_sm_pipelines.cli.terminal import complain
from airflow_sm_pipelines.client.job_logs import read_differences

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.server import RunningServer

RELIED = 1
"""The exit code of a run that succeeded, with ``--strict``, where something may differ on AWS."""

_TITLE = "May differ on AWS:"


def judge_run(
    server: RunningServer,
    since: datetime,
    exit_code: int,
    arguments: argparse.Namespace,
    *,
    made_up: Sequence[str] = (),
) -> int:
    """Say what the executions since a moment relied on that may differ on AWS, and give the exit code.

    :param exit_code: of the run.
    :param arguments: ``strict``, and ``quiet`` where the command has it.
    :param made_up: the steps for which a rehearsal has made something up.
    """
    from airflow_sm_pipelines.engine.operations.reliances import join_names, render_reliances

    lines = render_reliances(server.engine.find_reliances(since))
    if made_up:
        lines.append(f"stand-in: {join_names(made_up)}: what was missing was made up")
    is_red = bool(lines) and arguments.strict and not exit_code
    if is_red or not getattr(arguments, "quiet", False):
        _say(lines)
    return RELIED if is_red else exit_code


def say_local_end(calls: SageMakerCalls, report: ExecutionReport, *, is_judged: bool) -> None:
    """Say what there is to say of an execution that has ended on a local endpoint which others have started.

    These are the commands that enter its failed jobs, and what it relied on that may differ on AWS.

    :param calls: the connection that the execution was followed through.
    :param is_judged: whether the caller says the latter.
    """
    if commands := render_enterable(report):
        complain("Enter what failed:", *(f"  {one}" for one in commands))
    if not is_judged:
        _say(read_differences(calls, report.arn))


def _say(lines: Sequence[str]) -> None:
    if lines:
        complain(_TITLE, *(f"  {line}" for line in lines))
