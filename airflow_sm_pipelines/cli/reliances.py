"""What a local run ends with: what it relied on that may differ on AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.terminal import complain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from airflow_sm_pipelines.engine.operations.reliances import Reliance
    from airflow_sm_pipelines.server import RunningServer

RELIED = 1
"""The exit code of a run that succeeded, with ``--strict``, where something may differ on AWS."""

_MAX_NAMES = 4
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
    lines = list(_render(server.engine.find_reliances(since), made_up))
    is_red = bool(lines) and arguments.strict and not exit_code
    if lines and (is_red or not getattr(arguments, "quiet", False)):
        complain(_TITLE, *(f"  {line}" for line in lines))
    return RELIED if is_red else exit_code


def _render(reliances: Sequence[Reliance], made_up: Sequence[str]) -> Iterator[str]:
    for one in reliances:
        yield f"{one.kind}: {_join(one.steps)}: {one.text}"
    if made_up:
        yield f"stand-in: {_join(made_up)}: what was missing was made up"


def _join(names: Sequence[str]) -> str:
    rest = len(names) - _MAX_NAMES
    return ", ".join([*names[:_MAX_NAMES], *([f"{rest} more"] if rest > 0 else [])])
