"""What a message of EventBridge says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sm_pipelines.client.status_events import StatusChange, parse_change

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e00000000001"


def event(**changes: Any) -> dict[str, Any]:
    detail = {"pipelineExecutionArn": ARN, "currentPipelineExecutionStatus": "Succeeded"}
    kind = "SageMaker Model Building Pipeline Execution Status Change"
    return {"source": "aws.sagemaker", "detail-type": kind, "detail": detail, **changes}


@pytest.mark.parametrize(
    ("body", "change"),
    [
        (event(), StatusChange(ARN, "Succeeded")),
        ({"Type": "Notification", "Message": json.dumps(event())}, StatusChange(ARN, "Succeeded")),
        (
            event(
                **{
                    "detail-type": "SageMaker Model Building Pipeline Execution Step Status Change",
                    "detail": {"pipelineExecutionArn": ARN, "stepName": "Train", "currentStepStatus": "Failed"},
                }
            ),
            StatusChange(ARN, "Failed", "Train"),
        ),
        (event(source="my.app"), None),
        (event(**{"detail-type": "SageMaker Training Job State Change"}), None),
        (event(detail={"pipelineExecutionArn": 7, "currentPipelineExecutionStatus": "Failed"}), None),
        (event(detail=None), None),
        ({"token": "abcdefghij", "pipelineExecutionArn": ARN}, None),
        ({"Type": "Notification"}, None),
        ([1], None),
        ("text", None),
    ],
)
def test_a_message_is_a_status_change_or_nothing(body: Any, change: StatusChange | None) -> None:
    assert parse_change(json.dumps(body)) == change
    assert parse_change("no json") is None


@pytest.mark.parametrize(
    ("status", "step", "is_end"),
    [
        ("Executing", None, False),
        ("Stopping", None, False),
        ("Succeeded", None, True),
        ("CompletedWithFailures", None, True),
        ("Stopped", None, True),
        ("Failed", "Train", False),
        ("Paused", None, False),
    ],
)
def test_only_an_execution_s_end_is_one(status: str, step: str | None, is_end: bool) -> None:
    assert StatusChange(ARN, status, step).is_end is is_end
