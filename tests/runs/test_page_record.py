"""What is kept of an execution for the page: small, JSON, and nothing that is not known."""

from __future__ import annotations

import json

import pytest

from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.runs.page_record import (
    MAX_HISTORY,
    MAX_LOG_LINES,
    MAX_TEXT,
    add_to_history,
    make_execution_record,
    make_instances_record,
    make_step_record,
    make_step_records,
)

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e1"
BEGIN, END = "2026-01-02T03:04:05+00:00", "2026-01-02T03:05:05+00:00"
STEP = StepReport("Train", "Training", "Executing", start_time=BEGIN)


def test_a_step_is_kept_without_what_is_not_known() -> None:
    assert make_step_record(STEP, arn=ARN) == {
        "arn": ARN, "name": "Train", "type": "Training", "status": "Executing", "start": BEGIN,
    }  # fmt: skip
    check = StepReport("Check", "Condition", "Succeeded", metadata={"Condition": {"Outcome": "True"}})
    assert make_step_record(check, arn=ARN)["outcome"] == "True"


def test_long_texts_are_cut() -> None:
    step = StepReport("Train", "Training", "Failed", failure_reason="x" * 5000)
    record = make_step_record(step, arn=ARN, log=[f"{number}" + "y" * 5000 for number in range(50)])
    assert len(record["reason"]) == MAX_TEXT + 1
    assert len(record["log"]) == MAX_LOG_LINES
    assert record["log"][-1].startswith("49y")
    report = ExecutionReport(ARN, "Succeeded")
    kept = make_execution_record(report, outputs={"big": ["z" * 5000], "small": 1})["outputs"]
    assert kept["small"] == 1
    assert len(kept["big"]) == MAX_TEXT + 1
    exact = {"text": "x" * (MAX_TEXT - 2), "over": "x" * (MAX_TEXT - 1), "odd": object}
    found = make_execution_record(report, outputs=exact)["outputs"]
    assert (found["text"], found["odd"]) == (exact["text"], object)
    assert found["over"].endswith("…")


@pytest.mark.parametrize(
    ("known", "kept"),
    [
        ([{"arn": ARN, "status": "Starting"}], 1),
        ([{"arn": ARN, "status": "Executing", "start": BEGIN}], 1),
        ([{"arn": ARN, "status": "Failed", "start": "2026-01-01T00:00:00+00:00"}], 2),
        ([{"arn": "another", "status": "Succeeded", "start": BEGIN}], 2),
        (None, 1),
    ],
    ids=["it has begun", "it goes on", "it was resumed", "another execution", "first"],
)
def test_each_try_of_a_step_stands_once(known: list[dict[str, str]] | None, kept: int) -> None:
    found = add_to_history(known, make_step_record(STEP, arn=ARN))
    assert len(found) == kept
    assert found[-1]["status"] == "Executing"


def test_a_step_that_is_run_again_and_again_does_not_grow_without_end() -> None:
    found: list[dict[str, object]] = []
    for number in range(2 * MAX_HISTORY):
        found = add_to_history(found, {"arn": ARN, "start": str(number)})
    assert [one["start"] for one in found] == [str(number) for number in range(MAX_HISTORY, 2 * MAX_HISTORY)]


def test_an_execution_keeps_what_was_known_and_its_times_once_it_has_ended() -> None:
    known = make_execution_record(ExecutionReport(ARN, "Executing"), parameters=[{"Name": "Depth", "Value": "2"}])
    steps = (StepReport("Train", "Training", "Succeeded", start_time=BEGIN, end_time=END),)
    running = make_execution_record(ExecutionReport(ARN, "Executing", steps=steps), known=known)
    assert "end" not in running
    ended = make_execution_record(ExecutionReport(ARN, "Succeeded", steps=steps, pipeline_version_id=3), known=running)
    assert (ended["start"], ended["end"], ended["version"]) == (BEGIN, END, 3)
    assert (ended["pipeline"], ended["parameters"]) == ("p", {"Depth": "2"})
    json.dumps([ended, make_step_records(ExecutionReport(ARN, "Succeeded", steps=steps), logs={"Train": ["done"]})])


def test_instances_are_those_that_the_start_and_the_defaults_say() -> None:
    cluster = {"InstanceType": {"Get": "Parameters.Kind"}, "InstanceCount": {"Get": "Parameters.Count"}}
    groups = [
        {"InstanceType": "ml.p3.2xlarge", "InstanceCount": 2},
        {"InstanceType": "ml.c5.large", "InstanceCount": 1},
    ]
    unknown = {"InstanceType": {"Get": "Steps.Prepare.ProcessingJobName"}, "InstanceCount": 1}
    steps: list[tuple[str, str, object]] = [
        ("Prepare", "Processing", {"ProcessingResources": {"ClusterConfig": cluster}}),
        ("Train", "Training", {"ResourceConfig": {"InstanceGroups": groups}}),
        ("Score", "Transform", {"TransformResources": unknown}),
        ("Make", "Model", {}),
    ]
    definition = parse_definition(
        {
            "Version": "2020-12-01",
            "Parameters": [
                {"Name": "Kind", "Type": "String", "DefaultValue": "ml.m5.large"},
                {"Name": "Count", "Type": "Integer"},
            ],
            "Steps": [{"Name": name, "Type": kind, "Arguments": arguments} for name, kind, arguments in steps],
        }
    )
    train = [["Training", "ml.p3.2xlarge", 2], ["Training", "ml.c5.large", 1]]
    assert make_instances_record(definition, [{"Name": "Count", "Value": "3"}]) == {
        "Prepare": [["Processing", "ml.m5.large", 3]],
        "Train": train,
    }
    assert make_instances_record(definition) == {"Train": train}
