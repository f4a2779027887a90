"""Old versions and pipelines: compared, pruned, deleted, by operators and commands alike."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines import (
    SageMakerDeletePipelineOperator,
    SageMakerPromotePipelineOperator,
    SageMakerPrunePipelinesOperator,
    SageMakerRollBackPipelineOperator,
)
from airflow_sm_pipelines.airflow_names import AirflowFailException
from airflow_sm_pipelines.cli.entry_point import main
from airflow_sm_pipelines.client.calls import PipelineSummary
from airflow_sm_pipelines.client.reports import ExecutionReport
from airflow_sm_pipelines.deployment import lifecycle
from airflow_sm_pipelines.deployment.lifecycle import delete, diff_versions, is_stamped, plan_prune, prune
from airflow_sm_pipelines.exceptions import PipelineUnavailableError
from tests.deployment.gate_pipeline import ROLE, definition

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_sm_pipelines.client.session_calls import SessionCalls


NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)
DAY = timedelta(days=1)
PRUNE: dict[str, Any] = {"prefix": "p", "older_than": DAY, "now": NOW}


def test_the_operators_and_the_command_do_the_same(
    calls: SessionCalls, gate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    common: dict[str, Any] = {"aws_conn_id": None, "pipeline_name": gate}
    promoting = SageMakerPromotePipelineOperator(task_id="a", version="2", alias="prod", **common)
    assert promoting.execute({})["previous_version_id"] == 1
    with pytest.raises(AirflowFailException, match="is Failed"):
        SageMakerPromotePipelineOperator(task_id="b", version=3, alias="prod", **common).execute({})
    assert (
        SageMakerRollBackPipelineOperator(task_id="c", alias="prod", **common).execute({})["pipeline_version_id"] == 1
    )

    assert main(["promote", gate, "2", "prod"]) == 0
    assert f"{gate}: prod is version 2 (was 1)" in capsys.readouterr().out
    assert main(["promote", gate, "3", "prod"]) == 1
    assert "is Failed" in capsys.readouterr().err
    assert main(["rollback", gate, "prod", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pipeline_version_id"] == 1
    assert main(["versions", gate]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["3", "2", "1"]
    assert main(["versions", gate, "--diff", "prod", "3"]) == 0
    assert "0.1" in capsys.readouterr().out
    assert len(diff_versions(calls, gate, old="1", new=None)) == 1
    assert main(["delete", gate]) == 1
    assert main(["delete", gate, "--yes"]) == 0
    assert SageMakerDeletePipelineOperator(task_id="d", **common).execute({}) is False


def test_only_old_pipelines_with_a_timestamp_are_pruned(
    calls: SessionCalls, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"daily-2026-11-{day:02d}-04-15-00" for day in (1, 2, 3)]
    for name in (*names, "daily", "daily-report-2026-11-01-04-15-00", "daily-new"):
        calls.create_pipeline(name, RoleArn=ROLE, PipelineDefinition=definition(repository, 0.9))
    assert main(["prune", "daily", "--keep", "1"]) == 0
    assert capsys.readouterr().out.split() == [names[1], names[0]]
    pruning = SageMakerPrunePipelinesOperator(task_id="a", aws_conn_id=None, prefix="daily", keep=2)
    assert pruning.execute({}) == [names[0]]
    left = {one.name for one in calls.list_pipelines(prefix="daily")}
    assert left == {*names[1:], "daily", "daily-report-2026-11-01-04-15-00", "daily-new"}


def test_age_counts_from_the_last_execution() -> None:
    def pipeline(name: str, created: int, run: int | None) -> PipelineSummary:
        return PipelineSummary(
            name, "arn", NOW - timedelta(days=created), None if run is None else NOW - timedelta(days=run)
        )

    pipelines = [
        pipeline("p-20260101T000000", 300, 1),
        pipeline("p-20260102T000000", 299, 60),
        pipeline("p-20260103T000000", 298, None),
        pipeline("p-20261122T000000", 1, None),
    ]
    chosen = plan_prune(pipelines, prefix="p", keep=0, older_than=timedelta(days=30), now=NOW)
    assert [one.name for one in chosen] == ["p-20260103T000000", "p-20260102T000000"]
    assert plan_prune(pipelines, prefix="p", keep=9, older_than=None, now=NOW) == []


def test_a_pipeline_is_old_enough_when_it_is_older_than_asked_for() -> None:
    at = (PipelineSummary(f"p-2026010{day}T000000", "arn", NOW - age, None) for day, age in ((1, DAY), (2, DAY * 1.1)))
    chosen = plan_prune([*at, PipelineSummary("p-20260103T000000", "arn", None, None)], **PRUNE, keep=-1)
    assert [one.name for one in chosen] == ["p-20260102T000000"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("p-20261123T041500", True),
        ("p-2026-11-23-04-15-00Z", True),
        ("p-202611230415", True),
        ("p-2026-11-23", False),
        ("p-20261123T041500-x", False),
        ("q-20261123T041500", False),
        ("p20261123T041500", False),
        ("p-x-20261123T041500", False),
    ],
)
def test_only_the_prefix_and_a_timestamp_make_a_name_that_is_pruned(name: str, expected: bool) -> None:
    assert is_stamped(name, "p") is expected


@pytest.mark.parametrize("is_dry_run", [True, False])
def test_a_pipeline_that_runs_stays_and_what_becomes_of_the_others_is_said(
    monkeypatch: pytest.MonkeyPatch, is_dry_run: bool
) -> None:
    running, ended = ExecutionReport("arn", "Executing"), ExecutionReport("arn", "Failed")
    runs = {"p-20260101T000000": [ended, running], "p-20260102T000000": [ended], "p-20260103T000000": []}
    calls: Any = SimpleNamespace(
        list_pipelines=lambda *, prefix: [PipelineSummary(name, prefix, None, None) for name in runs],
        list_executions=runs.__getitem__,
    )
    said: list[str] = []
    deleted: list[Any] = []
    monkeypatch.setattr(lifecycle, "delete", lambda *given: deleted.append(given))
    done = prune(calls, "p", keep=0, older_than=None, is_dry_run=is_dry_run, log=said.append)
    assert done == ["p-20260103T000000", "p-20260102T000000"]
    what = "would be" if is_dry_run else "was"
    assert said == [
        *(f"Pipeline '{name}' {what} deleted." for name in done),
        "Pipeline 'p-20260101T000000' is running, so it stays.",
    ]
    assert deleted == ([] if is_dry_run else [(calls, name) for name in done])


def test_the_commands_need_no_airflow() -> None:
    code = "import sys; import airflow_sm_pipelines.cli.commands.promote, airflow_sm_pipelines.deployment.lifecycle, "
    code += "airflow_sm_pipelines.client.calls; print('airflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_deletion_whose_answer_is_lost_says_that_the_pipeline_was_there(
    calls: SessionCalls, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls.create_pipeline("deleted-unheard", RoleArn=ROLE, PipelineDefinition=definition(repository, 0.9))
    perform = calls.delete_pipeline

    def lose_the_answer(name: str, *, token: str) -> None:
        perform(name, token=token)
        raise PipelineUnavailableError("lost by the test", code="ReadTimeoutError")

    monkeypatch.setattr(calls, "delete_pipeline", lose_the_answer)
    monkeypatch.setattr(calls, "answer_pauses", (0.0,))
    assert delete(calls, "deleted-unheard")
    assert not delete(calls, "deleted-unheard")
