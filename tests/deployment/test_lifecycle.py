"""Old versions and pipelines: compared, pruned, deleted, by operators and commands alike."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
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
from airflow_sm_pipelines.deployment.lifecycle import delete, diff_versions, plan_prune
from airflow_sm_pipelines.exceptions import PipelineUnavailableError
from tests.deployment.gate_pipeline import ROLE, definition

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_sm_pipelines.client.session_calls import SessionCalls


NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)


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
