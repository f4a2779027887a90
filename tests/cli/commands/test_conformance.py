"""``conformance``: its cost, its answers, and that nothing stays, however it ends."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.server import serve
from tests.cli.command_runs import RunningCommand, read_line, refused, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_sm_pipelines.server import RunningServer

pytestmark = pytest.mark.processes

ROLE = ("--role-arn", "arn:aws:iam::123456789012:role/SageMaker")


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    with serve(tmp_path / "account") as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


def names(server: RunningServer) -> list[str]:
    found = server.make_client("sagemaker").list_pipelines()["PipelineSummaries"]
    queues = server.make_client("sqs").list_queues().get("QueueUrls", [])
    return [*(one["PipelineName"] for one in found), *queues]


def test_the_answers_are_compared_and_nothing_stays(account: RunningServer) -> None:
    ended = run("conformance", *ROLE, "--probe", "join-integer", "--probe", "callback-missing")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[0] == "2 probes without a job: no cost but for requests."
    assert ended.stdout.endswith("2 probes: 2 equal, 0 different.\n")
    assert names(account) == []


def test_what_costs_more_than_the_budget_is_not_begun(account: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text('[processing]\n"ml.t3.medium" = 60.0\n')
    options = ("--prices", str(tmp_path / "prices.toml"), "--probe", "cache")
    assert "4.0000 USD at most. That is above --budget 1." in refused(run("conformance", *ROLE, *options))
    assert names(account) == []
    assert "Did you mean 'cache'?" in refused(run("conformance", *ROLE, "--probe", "cash"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_an_interrupted_run_has_made_is_removed(account: RunningServer, number: signal.Signals) -> None:
    with RunningCommand("conformance", *ROLE, "--no-jobs") as process:
        read_line(process)
        run_id = read_line(process).rpartition(" ")[2].strip()
        deadline = time.monotonic() + 60
        while not any(name.endswith("-queue") for name in names(account)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(60) == (130 if number is signal.SIGINT else -number)
    if number is signal.SIGKILL:
        assert names(account)
        ended = run("conformance", "--clean-up", run_id)
        assert (ended.returncode, ended.stdout) == (0, "Nothing is left.\n"), ended.stderr
    assert names(account) == []
