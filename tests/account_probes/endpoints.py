"""Two endpoints for probes: one in this process, and one of a process of its own that may have faults."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_sm_pipelines.account_probes import ProbedAccount, make_run_id
from airflow_sm_pipelines.account_probes.probes import compare
from airflow_sm_pipelines.client.session_calls import SessionCalls
from airflow_sm_pipelines.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from airflow_sm_pipelines.account_probes import Probe

ROLE = "arn:aws:iam::123456789012:role/SageMaker"


def open_account(environment: dict[str, str]) -> ProbedAccount:
    """A new run's account at an endpoint."""
    calls = SessionCalls.at_endpoint(environment)
    return ProbedAccount(calls, make_run_id(), role_arn=ROLE, poll_seconds=0.02, timeout_seconds=150)


@contextmanager
def local_account(state_dir: Path) -> Iterator[dict[str, str]]:
    """The environment of an endpoint in this process."""
    with serve(state_dir) as server:
        yield server.environment()


@contextmanager
def faulty_account(state_dir: Path, faults: list[str]) -> Iterator[dict[str, str]]:
    """The environment of an endpoint in a process of its own, with these faults."""
    command = [sys.executable, "-m", "tests.account_probes.faulty_endpoint", str(state_dir), *faults]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        environment: dict[str, str] = json.loads(process.stdout.readline())
        try:
            yield environment
        finally:
            process.stdin.close()
            process.wait(30)


def differing(probes: Sequence[Probe], aws: dict[str, str], local: dict[str, str]) -> set[str]:
    """The names of the probes that the two answer differently; nothing is left at the first of them."""
    account, other = open_account(aws), open_account(local)
    found = {finding.probe.name for finding in compare(probes, account, other) if not finding.is_equal}
    assert account.clean_up() == []
    assert account.sagemaker.list_pipelines()["PipelineSummaries"] == []
    other.clean_up()
    return found
