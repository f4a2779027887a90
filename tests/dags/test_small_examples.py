"""The examples whose pipelines start no job, unchanged, beside the real local endpoint."""

from __future__ import annotations

import json
import re
import threading
import time
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.cli import main
from tests.airflow_runs import connect

if TYPE_CHECKING:
    from airflow_sm_pipelines.server import RunningServer
    from tests.airflow_runs import DagRunner

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"

pytestmark = pytest.mark.slow


def test_sensors_wait_for_an_execution_and_its_steps(local: DagRunner) -> None:
    result = local.test("wait_for_pipeline")
    assert result.exit_code == 0, result.output[-6000:]
    assert result.states == {
        "deploy": "success",
        "start": "success",
        "checked": "success",
        "rejected": "skipped",
        "ended": "success",
    }
    assert result.xcom("checked")["status"] == "Succeeded"
    assert result.xcom("ended")["status"] == "Succeeded"


def test_a_version_is_promoted_once_it_has_proven_itself(local: DagRunner) -> None:
    first = local.test("promote_pipeline")
    assert first.exit_code == 0, first.output[-6000:]
    assert first.xcom("promote", "is_moved") is True
    assert first.xcom("prune") == []
    again = local.test("promote_pipeline", conf={"Score": 0.1})
    assert (again.states["run"], again.states["promote"]) == ("failed", "upstream_failed")


def test_part_of_a_pipeline_runs_again(local: DagRunner) -> None:
    result = local.test("rerun_from_step")
    assert result.exit_code == 0, result.output[-6000:]
    assert "Selected steps: Check, Reject" in result.output
    assert result.xcom("part", "pipeline_execution_arn") != result.xcom("whole", "pipeline_execution_arn")


def test_sensors_tell_a_failed_step_and_skip_softly(local: DagRunner) -> None:
    result = local.test("wait_for_pipeline", conf={"Score": 0.1})
    assert (result.states["checked"], result.states["rejected"], result.states["ended"]) == (
        "success",
        "failed",
        "skipped",
    )
    assert "Too low: 0.1" in result.output


def test_a_promotion_is_taken_back_and_given_again(
    local: DagRunner, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(server, "sagemaker")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    texts = [
        json.dumps({"Version": "2020-12-01", "Steps": [{"Name": name, "Type": "Fail", "Arguments": {}}]})
        for name in ("First", "Second")
    ]
    client.create_pipeline(PipelineName="risky", PipelineDefinition=texts[0], RoleArn=ROLE)
    assert main(["promote", "risky", "1", "prod", "--unproven"]) == 0
    client.update_pipeline(PipelineName="risky", PipelineDefinition=texts[1])
    assert main(["promote", "risky", "2", "prod", "--unproven"]) == 0
    for wanted, before in ((1, 2), (2, 1)):
        result = local.test("roll_back_pipeline", conf={"pipeline": "risky"})
        assert result.exit_code == 0, result.output[-6000:]
        assert result.xcom("roll_back", "pipeline_version_id") == wanted
        assert result.xcom("roll_back", "previous_version_id") == before


def test_a_pipeline_is_deleted_and_one_that_is_gone_is_no_error(local: DagRunner, server: RunningServer) -> None:
    client = connect(server, "sagemaker")
    definition = json.dumps({"Version": "2020-12-01", "Steps": [{"Name": "F", "Type": "Fail", "Arguments": {}}]})
    client.create_pipeline(PipelineName="unwanted", PipelineDefinition=definition, RoleArn=ROLE)
    for was_there in (True, False):
        result = local.test("delete_pipeline", conf={"pipeline": "unwanted"})
        assert result.exit_code == 0, result.output[-6000:]
        assert result.xcom("delete") is was_there
    assert client.list_pipelines(PipelineNamePrefix="unwanted")["PipelineSummaries"] == []


def test_an_execution_is_stopped_by_hand(local: DagRunner, server: RunningServer) -> None:
    client, sqs = connect(server, "sagemaker"), connect(server, "sqs")
    queue = sqs.create_queue(QueueName="asked")["QueueUrl"]
    ask = {"Name": "Ask", "Type": "Callback", "SqsQueueUrl": queue, "OutputParameters": [], "Arguments": {}}
    definition = json.dumps({"Version": "2020-12-01", "Steps": [ask]})
    client.create_pipeline(PipelineName="asks", PipelineDefinition=definition, RoleArn=ROLE)
    arn = client.start_pipeline_execution(PipelineName="asks")["PipelineExecutionArn"]

    def answer_when_stopping() -> None:
        # A Callback step that runs is waited for, on AWS too.
        deadline = time.monotonic() + 120
        while client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] != "Stopping":
            assert time.monotonic() < deadline
            time.sleep(0.2)
        (message, *_) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
        client.send_pipeline_execution_step_success(CallbackToken=json.loads(message["Body"])["token"])

    threading.Thread(target=answer_when_stopping, daemon=True).start()
    for was_running in (True, False):
        result = local.test("stop_execution", conf={"execution": arn})
        assert result.exit_code == 0, result.output[-6000:]
        assert result.xcom("stop", "was_running") is was_running
        assert result.xcom("ended")["status"] == "Stopped"


def test_each_run_names_its_pipeline_and_old_names_go(local: DagRunner, server: RunningServer) -> None:
    client = connect(server, "sagemaker")
    old = [f"fraud-gate-2020010{day}T000000" for day in (1, 2, 3)]
    for name in (*old, "fraud-gate-kept-by-hand"):
        definition = json.dumps({"Version": "2020-12-01", "Steps": [{"Name": "F", "Type": "Fail", "Arguments": {}}]})
        client.create_pipeline(PipelineName=name, PipelineDefinition=definition, RoleArn=ROLE)
    result = local.test("named_by_suffix", conf={"team": "fraud"})
    assert result.exit_code == 0, result.output[-6000:]
    name = result.xcom("deploy", "pipeline_name")
    assert re.fullmatch(r"fraud-gate-\d{8}T\d{6}", name)
    assert result.xcom("run", "pipeline_name") == name
    assert result.xcom("prune") == [old[0]]
    found = client.list_pipelines(PipelineNamePrefix="fraud-gate")["PipelineSummaries"]
    assert {item["PipelineName"] for item in found} == {name, *old[1:], "fraud-gate-kept-by-hand"}


def test_each_step_is_a_task_that_others_can_wait_for(local: DagRunner) -> None:
    result = local.test("steps_as_tasks")
    assert result.exit_code == 0, result.output[-6000:]
    assert result.states["gate.steps.Reject"] == "skipped"
    assert (result.xcom("tell"), result.xcom("report")) == ("The check is True", "Passed: True")
