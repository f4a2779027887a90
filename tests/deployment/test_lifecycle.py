"""Versions on the real local endpoint: promoted when proven, taken back, compared, pruned, deleted."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_sm_pipelines import (
    SageMakerDeletePipelineOperator,
    SageMakerPromotePipelineOperator,
    SageMakerPrunePipelinesOperator,
    SageMakerRollBackPipelineOperator,
)
from airflow_sm_pipelines.cli.command import main
from airflow_sm_pipelines.client.calls import PipelineSummary
from airflow_sm_pipelines.client.session_calls import SessionCalls
from airflow_sm_pipelines.deployment.lifecycle import diff_versions, plan_prune, promote, roll_back
from airflow_sm_pipelines.exceptions import PipelineConflictError, PipelineNotFoundError, PromotionError
from airflow_sm_pipelines.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
LOG = logging.getLogger(__name__)
NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)


def definition(repository: Path, score: float) -> str:
    found: dict[str, Any] = json.loads((repository / "dags/pipelines/gate/definition.json").read_text())
    found["Parameters"][0]["DefaultValue"] = score
    return json.dumps(found)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint's URL."""
    with serve(tmp_path_factory.mktemp("state")) as server:
        yield server.endpoint_url


@pytest.fixture
def calls(url: str, monkeypatch: pytest.MonkeyPatch) -> SessionCalls:
    """Calls on the endpoint; this process's boto3 talks to it too."""
    variables = {
        "ENDPOINT_URL": url,
        "ACCESS_KEY_ID": "local",
        "SECRET_ACCESS_KEY": "local",
        "DEFAULT_REGION": "us-east-1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return SessionCalls(boto3.Session())


@pytest.fixture
def gate(calls: SessionCalls, repository: Path, request: pytest.FixtureRequest) -> str:
    """A pipeline of two versions that succeeded and a third that failed; version 1 has the alias ``prod``."""
    name = request.node.name.replace("_", "-").split("[")[0][:60]
    calls.create_pipeline(name, RoleArn=ROLE, PipelineDefinition=definition(repository, 0.9))
    calls.update_pipeline(name, PipelineDefinition=definition(repository, 0.8))
    calls.update_pipeline(name, PipelineDefinition=definition(repository, 0.1))
    for version in (1, 2, 3):
        arn = calls.conn.start_pipeline_execution(PipelineName=name, PipelineVersionId=version)["PipelineExecutionArn"]
        deadline = time.monotonic() + 30
        while not calls.describe_execution(arn).is_terminal:
            assert time.monotonic() < deadline
            threading.Event().wait(0.02)
    promote(calls, name, version=1, alias="prod", log=LOG)
    return name


def aliases(calls: SessionCalls, name: str) -> dict[str, int]:
    return {alias: version.id for version in calls.list_versions(name) for alias in version.aliases}


def test_a_promotion_remembers_where_the_alias_was_and_a_rollback_goes_there(calls: SessionCalls, gate: str) -> None:
    assert aliases(calls, gate) == {"prod": 1}
    moved = promote(calls, gate, version=2, alias="prod", log=LOG)
    assert (moved.previous_version_id, moved.version_id, moved.is_moved) == (1, 2, True)
    assert aliases(calls, gate) == {"prod": 2, "prod-previous": 1}
    assert not promote(calls, gate, version="2", alias="prod", log=LOG).is_moved
    roll_back(calls, gate, alias="prod", log=LOG)
    assert aliases(calls, gate) == {"prod": 1, "prod-previous": 2}
    roll_back(calls, gate, alias="prod", log=LOG)
    assert aliases(calls, gate) == {"prod": 2, "prod-previous": 1}
    assert promote(calls, gate, version="prod", alias="live", log=LOG).version_id == 2


def test_a_version_that_has_not_proven_itself_is_not_promoted(calls: SessionCalls, gate: str, repository: Path) -> None:
    with pytest.raises(PromotionError, match=r"last execution .* is Failed"):
        promote(calls, gate, version=3, alias="prod", log=LOG)
    calls.update_pipeline(gate, PipelineDefinition=definition(repository, 0.7))
    with pytest.raises(PromotionError, match="never run"):
        promote(calls, gate, version=4, alias="prod", log=LOG)
    with pytest.raises(PipelineNotFoundError, match="versions 4, 3, 2, 1, aliases prod"):
        promote(calls, gate, version="prud", alias="live", log=LOG)
    with pytest.raises(PromotionError, match="no alias 'live-previous'"):
        roll_back(calls, gate, alias="live", log=LOG)
    assert aliases(calls, gate) == {"prod": 1}
    assert promote(calls, gate, version=4, alias="prod", is_success_required=False, log=LOG).is_moved


def test_a_promotion_that_breaks_off_is_undone(calls: SessionCalls, gate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    update = calls.update_version_aliases

    def refuse(arn: str, version: int, *, add: Any = (), remove: Any = ()) -> None:
        if version == 2:
            raise PipelineConflictError("refused by the test", code="ConflictException")
        update(arn, version, add=add, remove=remove)

    monkeypatch.setattr(calls, "update_version_aliases", refuse)
    with pytest.raises(PipelineConflictError, match="refused by the test"):
        promote(calls, gate, version=2, alias="prod", log=LOG)
    assert aliases(calls, gate) == {"prod": 1}


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
    code = "import sys; import airflow_sm_pipelines.cli.versions, airflow_sm_pipelines.deployment.lifecycle, "
    code += "airflow_sm_pipelines.client.calls; print('airflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
