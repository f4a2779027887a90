"""A migrated DAG in a real Airflow, beside the real local endpoint: it does what its nodes say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.definition import Parameter
from airflow_sm_pipelines.migrate import CallNode, LoopNode, MissingNode, make_package
from tests.airflow_runs import connect, create_functions, run_beside
from tests.migrate.workflows import after, call, choice, fail, get, migration, score_of, step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.migrate import Migration
    from airflow_sm_pipelines.server import RunningServer
    from tests.airflow_runs import DagRunner

pytestmark = pytest.mark.slow

HANDLER = """
def score(event, context):
    return {"score": float(event.get("given", 0)) + 0.25}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One local endpoint with the function that the steps call."""
    from airflow_sm_pipelines.server import serve

    with serve(tmp_path_factory.mktemp("endpoint") / "state") as running:
        create_functions(running, HANDLER, "score")
        yield running


@pytest.fixture(scope="module")
def local(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> DagRunner:
    """An Airflow beside the endpoint."""
    return run_beside(server, tmp_path_factory.mktemp("airflow"))


def install(local: DagRunner, migrated: Migration) -> None:
    """Put a migration's files into the DAGs folder."""
    for name, text in make_package(migrated).files.items():
        local.write(name, text)


def hybrid() -> Migration:
    """A queue is made, steps score, Airflow chooses by their score and tells the queue, more steps go on."""
    body: Any = {"Std:Join": {"On": " ", "Values": ["score", score_of("Second"), "of {{ params.Start }}"]}}
    inner = (step("Inner", given=get("ForEach.CurrentItem.start")),)
    return migration(
        CallNode("Queue", "States.Queue", "sqs", "create_queue", {"QueueName": get("Parameters.Queue")}),
        step("First", "Queue", given=get("Parameters.Start"), queue=get("Tasks.Queue.QueueUrl")),
        step("Second", "First", given=score_of("First")),
        choice(
            "Check",
            "Second",
            ways={
                "1": (
                    call(
                        "Tell",
                        QueueUrl=get("Tasks.Queue.QueueUrl"),
                        MessageBody=body,
                        DelaySeconds=get("Parameters.Delay"),
                    ),
                ),
                "0.6": (),
                "else": (fail("Low", message={"Std:Join": {"On": "", "Values": ["Too low: ", score_of("Second")]}}),),
            },
            value=score_of("Second"),
        ),
        step("Third", "Check", given=score_of("Second")),
        LoopNode(
            "Each",
            "States.Each",
            [{"start": 1}, {"start": 2}],
            (choice("Test", ways={"1.5": inner, "else": ()}, value=get("ForEach.CurrentItem.start")),),
            2,
            after("Third"),
        ),
        call("Handler", "Third:Failed", QueueUrl=get("Tasks.Queue.QueueUrl"), MessageBody="failed"),
        name="hybrid",
        parameters=(
            Parameter("Queue", "String", "results"),
            Parameter("Start", "Float", 1.0),
            Parameter("Delay", "Integer", 0),
        ),
    )


@pytest.fixture(scope="module")
def installed(local: DagRunner) -> DagRunner:
    """The hybrid workflow in the DAGs folder."""
    install(local, hybrid())
    return local


def steps_of(server: RunningServer, pipeline: str) -> list[set[str]]:
    """Give the steps that ran in each execution of a pipeline."""
    client = connect(server, "sagemaker")
    found = client.list_pipeline_executions(PipelineName=pipeline)["PipelineExecutionSummaries"]
    executions = [
        client.list_pipeline_execution_steps(PipelineExecutionArn=one["PipelineExecutionArn"]) for one in found
    ]
    return [{step["StepName"] for step in one["PipelineExecutionSteps"]} for one in executions]


def test_values_pass_between_pipelines_and_tasks(installed: DagRunner, server: RunningServer) -> None:
    result = installed.test("hybrid")
    assert result.exit_code == 0, result.output[-6000:]
    assert result.states == {
        **dict.fromkeys(("Queue", "Check", "Tell", "parameters_of_items"), "success"),
        **{f"{what}_{name}": "success" for what in ("deploy", "run") for name in ("First", "Third")},
        "deploy_Each": "success",
        ("run_Each", 0): "success",
        ("run_Each", 1): "success",
        "Low": "skipped",
        "Handler": "skipped",
    }
    assert result.xcom("run_First", "Second_score") == 1.5
    queue = connect(server, "sqs")
    url = queue.get_queue_url(QueueName="results")["QueueUrl"]
    (message,) = queue.receive_message(QueueUrl=url)["Messages"]
    assert message["Body"] == "score 1.5 of {{ params.Start }}"
    assert steps_of(server, "hybrid-First") == [{"First", "Second"}]
    assert sorted(steps_of(server, "hybrid-Each"), key=len) == [{"Test"}, {"Test", "Inner"}]


def test_a_way_without_work_goes_on_after_the_choice(installed: DagRunner) -> None:
    result = installed.test("hybrid", conf={"Start": 0.2})
    assert result.exit_code == 0, result.output[-6000:]
    assert [result.states[name] for name in ("Tell", "Low", "run_Third")] == ["skipped", "skipped", "success"]


def test_a_fail_ends_the_run_with_its_message(installed: DagRunner) -> None:
    result = installed.test("hybrid", conf={"Start": 0.05})
    assert [result.states[name] for name in ("Low", "deploy_Third", "run_Third")] == [
        "failed",
        "upstream_failed",
        "upstream_failed",
    ]
    assert "Too low: 0.55" in result.output


def test_what_is_missing_fails_with_what_is_to_do(local: DagRunner) -> None:
    missing = MissingNode("Later", "States.Later", "Write what sends the letters.")
    install(local, migration(step("First"), missing, name="partly"))
    result = local.test("partly")
    assert {name: result.states[name] for name in ("run", "Later")} == {"run": "success", "Later": "failed"}
    assert "Write what sends the letters." in result.output


def test_the_pipeline_alone_does_a_choice_between_steps(local: DagRunner, server: RunningServer) -> None:
    check = choice("Check", "First", ways={"1": (step("Good"),), "else": (fail("Low"),)}, value=score_of("First"))
    nodes = (step("First", given=get("Parameters.Start")), check, step("Last", "Check", given=score_of("Good")))
    migrated = migration(*nodes, name="alone", parameters=(Parameter("Start", "Float", 1.0),))
    install(local, migrated)
    assert json.loads(make_package(migrated).files["alone.report.json"])["complete"]
    result = local.test("alone")
    assert result.exit_code == 0, result.output[-6000:]
    assert steps_of(server, "alone") == [{"First", "Check", "Good", "Last"}]
    failed = local.test("alone", conf={"Start": 0.5})
    assert failed.states["run"] == "failed"
    assert "no good" in failed.output
