"""Trust in events: nothing is relied on before it has worked, nor after it has failed."""

from __future__ import annotations

import json
from math import inf
from typing import Any

import pytest

from airflow_sm_pipelines.client.status_events import StatusChange, parse_change
from airflow_sm_pipelines.triggers.event_trust import GRACE_SECONDS, MAX_PROOFS, EventTrust

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e00000000001"


def test_trust_begins_with_an_event_of_an_execution_that_is_waited_for() -> None:
    trust = EventTrust()
    assert not trust.came("other", is_end=True, is_awaited=False)
    assert trust.came(ARN, is_end=False, is_awaited=True)
    assert trust.is_trusted
    assert not trust.came(ARN, is_end=True, is_awaited=True)


def test_an_event_that_came_before_its_wait_counts() -> None:
    trust = EventTrust()
    trust.came(ARN, is_end=False, is_awaited=False)
    assert not trust.began("other")
    assert trust.began(ARN)


def test_an_end_without_its_event_ends_trust_once_and_makes_it_dearer() -> None:
    trust = EventTrust()
    trust.came(ARN, is_end=False, is_awaited=True)
    trust.ended(ARN, now=10.0)
    trust.ended("second", now=11.0)
    assert trust.next_overdue() == 10.0 + GRACE_SECONDS
    assert trust.overdue(10.0 + GRACE_SECONDS - 1) is None
    assert trust.overdue(10.0 + GRACE_SECONDS) == ARN
    assert trust.overdue(99.0 + GRACE_SECONDS) is None
    assert trust.next_overdue() == inf
    needed = [2, 4, 8, 16, 32, 32]
    assert max(needed) == MAX_PROOFS
    for count in needed:
        proofs = [trust.came(ARN, is_end=False, is_awaited=True) for _ in range(count)]
        assert proofs == [False] * (count - 1) + [True]
        assert trust.lost()


def test_an_event_that_a_look_overtook_is_not_missing() -> None:
    trust = EventTrust()
    trust.ended(ARN, now=10.0)
    assert trust.came(ARN, is_end=True, is_awaited=False)
    assert trust.overdue(1000.0) is None
    trust.ended(ARN, now=20.0)
    assert trust.overdue(1000.0) is None


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
