"""A migrated state machine in a real Airflow, beside the real local endpoint: it does what the machine says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.cli import main
from tests.airflow_runs import connect, create_functions, run_beside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.server import RunningServer
    from tests.airflow_runs import DagResult, DagRunner

pytestmark = pytest.mark.slow

MACHINES = Path(__file__).parents[2] / "data" / "migrate" / "stepfunctions"

HANDLER = """
def score(event, context):
    assert event["bucket"] == "models"
    return {"score": {"churn": 0.9, "old": 0.5, "bad": 0.1}[event["model"]]}

def grade(event, context):
    assert event["tests"] == ["test-1", "test-2", "test-3"]
    grade = {"churn": "good", "old": "fair", "bad": "poor"}[event["model"]]
    return {"grade": grade, "scores": [{"name": name, "value": 1} for name in event["tests"]]}

def tell(event, context):
    assert event["length"] == len(event["order"])

def publish(event, context):
    if event.get("fails"):
        raise ValueError("nobody is there")
    return {"was": event["score"]["value"], "made": event["made"]["ModelArn"]}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One local endpoint with the functions and the queue of the machine."""
    from airflow_sm_pipelines.server import serve

    with serve(tmp_path_factory.mktemp("endpoint") / "state") as running:
        create_functions(running, HANDLER, "score", "publish", "grade", "tell")
        table = {"AttributeName": "name", "AttributeType": "S"}, {"AttributeName": "name", "KeyType": "HASH"}
        for name in ("models", "orders"):
            connect(running, "dynamodb").create_table(
                TableName=name, AttributeDefinitions=[table[0]], KeySchema=[table[1]], BillingMode="PAY_PER_REQUEST"
            )
        s3 = connect(running, "s3")
        s3.create_bucket(Bucket="models")
        s3.put_object(Bucket="models", Key="churn/model.tar.gz", Body=b"model")
        yield running


@pytest.fixture(scope="module")
def queue(server: RunningServer) -> str:
    """The URL of the queue that is told."""
    return str(connect(server, "sqs").create_queue(QueueName="told")["QueueUrl"])


@pytest.fixture(scope="module")
def local(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> DagRunner:
    """An Airflow beside the endpoint, with the migrated machines in its DAGs folder."""
    runner = run_beside(server, tmp_path_factory.mktemp("airflow"))
    for name, options in (("release", ["--define", "Bucket=models"]), ("retire", []), ("grade", []), ("order", [])):
        command = ["migrate", "stepfunctions", str(MACHINES / f"{name}.asl.json"), *options, "-o", str(runner.dags)]
        assert main(command) == 0
    return runner


def run(local: DagRunner, queue: str, **given: Any) -> DagResult:
    """Run the DAG with an input of the machine."""
    return local.test("release", conf={"queue": queue, "environment": {"MODE": "fast"}, **given})


def take_messages(server: RunningServer, queue: str) -> list[str]:
    """Take all messages from the queue."""
    client, found = connect(server, "sqs"), []
    while received := client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in received:
            client.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            found.append(message["Body"])
    return found


def test_a_good_model_is_made_and_told(local: DagRunner, server: RunningServer, queue: str) -> None:
    result = run(local, queue, model="churn")
    assert result.exit_code == 0, result.output[-6000:]
    skipped = {name for name, state in result.states.items() if state == "skipped"}
    assert skipped == {"Too-bad", "Note-the-failure"}
    client = connect(server, "sagemaker")
    (model,) = client.list_models()["Models"]
    described = client.describe_model(ModelName=model["ModelName"])
    assert described["PrimaryContainer"]["Environment"] == {"MODE": "fast"}
    (config,) = client.list_endpoint_configs()["EndpointConfigs"]
    variants = client.describe_endpoint_config(EndpointConfigName=config["EndpointConfigName"])["ProductionVariants"]
    assert [variant["ModelName"] for variant in variants] == [model["ModelName"]]
    assert take_messages(server, queue) == [f"churn scored 0.9: {model['ModelArn']}"]
    assert result.xcom("Publish")["Payload"] == {"was": 0.9, "made": model["ModelArn"]}


def test_a_failure_is_handled_and_the_machine_goes_on(local: DagRunner, server: RunningServer, queue: str) -> None:
    result = run(local, queue, model="old", fails=True)
    assert result.states["Publish"] == "failed"
    assert result.exit_code == 0, result.output[-6000:]
    assert {result.states[name] for name in ("bind", "deploy", "run")} == {"skipped"}
    messages = sorted(take_messages(server, queue))
    assert messages[0] == "old scored 0.5: none"
    noted = json.loads(messages[1])
    assert (noted["failed"], "Publish" in noted["cause"]) == ("old", True)


def test_an_old_model_is_renewed_and_noted(local: DagRunner, server: RunningServer) -> None:
    table = connect(server, "dynamodb")
    row = {"name": {"S": "churn"}, "state": {"S": "old"}, "image": {"S": "i"}}
    table.put_item(TableName="models", Item=row)
    result = local.test("retire", conf={"model": "churn", "topic": "arn:aws:sns:us-east-1:123456789012:told"})
    assert result.exit_code == 0, result.output[-6000:]
    noted = table.get_item(TableName="models", Key={"name": {"S": "churn"}})["Item"]
    assert (noted["state"], noted["arn"]["S"].rpartition("/")[0]) == (
        {"S": "new"},
        "arn:aws:sagemaker:us-east-1:123456789012:model",
    )


def test_a_model_that_is_in_use_is_told_of_and_retired(local: DagRunner, server: RunningServer) -> None:
    table = connect(server, "dynamodb")
    row = {"name": {"S": "used"}, "state": {"S": "used"}}
    table.put_item(TableName="models", Item=row)
    topic = connect(server, "sns").create_topic(Name="told")["TopicArn"]
    result = local.test("retire", conf={"model": "used", "topic": topic})
    assert result.exit_code == 0, result.output[-6000:]
    noted = table.get_item(TableName="models", Key={"name": {"S": "used"}})["Item"]
    assert noted["state"] == {"S": "retired-now"}
    skipped = {name for name, state in result.states.items() if state == "skipped"}
    assert {"deploy", "run", "Note-The-Model", "Note-The-Failure", "Not-Renewed"} <= skipped


@pytest.mark.parametrize(
    ("model", "told"), [("churn", "churn is good by test-1, test-2, test-3"), ("bad", None)], ids=["good", "poor"]
)
def test_jsonata_is_worked_out_when_the_dag_runs(
    local: DagRunner, server: RunningServer, queue: str, model: str, told: str | None
) -> None:
    result = local.test("grade", conf={"model": model, "queue": queue})
    assert (result.exit_code == 0) == (told is not None), result.output[-6000:]
    assert take_messages(server, queue) == ([told] if told else [])
    if told is None:
        assert result.states["Too-poor"] == "failed"
        assert "Grade.Poor: BAD has 3 scores" in result.output


@pytest.mark.parametrize(("served", "handled"), [("m", "skipped"), ("nobody", "success")], ids=["made", "not made"])
def test_a_failed_step_of_a_jsonata_machine_is_handled(
    local: DagRunner, server: RunningServer, served: str, handled: str
) -> None:
    role = "arn:aws:iam::123456789012:role/SageMakerExecution"
    client, table = connect(server, "sagemaker"), connect(server, "dynamodb")
    if served == "m":
        client.create_model(ModelName="m", ExecutionRoleArn=role, PrimaryContainer={"Image": "i"})
    row = {"name": {"S": served}, "kind": {"S": "small"}, "model": {"S": served}}
    table.put_item(TableName="orders", Item=row)
    result = local.test("order", conf={"order": served})
    assert result.exit_code == 0, result.output[-6000:]
    assert result.states["Tell-somebody"] == handled
    noted = table.get_item(TableName="orders", Key={"name": {"S": f"{served}-note"}}).get("Item")
    assert (noted["kind"] if noted else None) == ({"S": "smaLL"} if served == "m" else None)
