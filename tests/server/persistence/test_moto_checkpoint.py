"""The checkpoint of moto's state: a start with it shows what one without it shows, whatever happened to the file."""

from __future__ import annotations

import json
import random
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.server.moto_service import MotoService
from airflow_sm_pipelines.server.persistence import request_journal
from tests.server.endpoint_stand_in import Endpoint, open_endpoint
from tests.server.test_durable_moto import ROLE, function_code

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_sm_pipelines.server.http.messages import Request

QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:callbacks"
FILE = "moto.checkpoint"


@pytest.fixture(autouse=True)
def checkpoints_at_every_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_journal, "_CHECKPOINT_REQUESTS", 1)


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations that moto carries out, from the start of the next endpoint on."""
    calls: list[str] = []
    call = MotoService.call

    def noting(self: MotoService, request: Request) -> Any:
        calls.append(f"{request.service}:{request.operation or request.method}")
        return call(self, request)

    monkeypatch.setattr(MotoService, "call", noting)
    return calls


def fill(endpoint: Endpoint) -> None:
    """Something of everything a pipeline's world is made of, each part knowing another."""
    endpoint.client("iam").create_role(RoleName="Mine", AssumeRolePolicyDocument="{}")
    sqs = endpoint.client("sqs")
    url = sqs.create_queue(QueueName="callbacks", Attributes={"VisibilityTimeout": "7"})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="waiting")
    functions = endpoint.client("lambda")
    functions.create_function(
        FunctionName="f", Runtime="python3.11", Role=ROLE, Handler="index.handler", Code={"ZipFile": function_code()}
    )
    functions.update_function_code(FunctionName="f", ZipFile=function_code("newer"))
    functions.create_event_source_mapping(EventSourceArn=QUEUE_ARN, FunctionName="f", Enabled=False)
    events = endpoint.client("events")
    events.put_rule(Name="rule", EventPattern=json.dumps({"source": ["mine"]}))
    events.put_targets(Rule="rule", Targets=[{"Id": "1", "Arn": QUEUE_ARN}])
    endpoint.client("logs").create_log_group(logGroupName="/mine")
    endpoint.client("sagemaker").create_experiment(ExperimentName="experiment")
    s3 = endpoint.client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="key", Body=b"body")


def facts(endpoint: Endpoint) -> dict[str, Any]:
    functions, events = endpoint.client("lambda"), endpoint.client("events")
    sqs = endpoint.client("sqs")
    url = sqs.get_queue_url(QueueName="callbacks")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return {
        "role": endpoint.client("iam").get_role(RoleName="Mine")["Role"]["RoleId"],
        "code": functions.get_function(FunctionName="f")["Configuration"]["CodeSha256"],
        "mapping": functions.list_event_source_mappings()["EventSourceMappings"][0]["UUID"],
        "queue": (attributes["VisibilityTimeout"], attributes["ApproximateNumberOfMessages"]),
        "rules": events.list_rules()["Rules"],
        "targets": events.list_targets_by_rule(Rule="rule")["Targets"],
        "groups": [group["logGroupName"] for group in endpoint.client("logs").describe_log_groups()["logGroups"]],
        "experiments": [
            item["ExperimentName"] for item in endpoint.client("sagemaker").list_experiments()["ExperimentSummaries"]
        ],
        "object": endpoint.client("s3").get_object(Bucket="bucket", Key="key")["Body"].read(),
    }


def test_a_start_replays_only_what_is_newer_and_shows_the_same(tmp_path: Path, replayed: list[str]) -> None:
    with open_endpoint(tmp_path) as endpoint:
        fill(endpoint)
        before = facts(endpoint)
    with open_endpoint(tmp_path):
        assert "lambda:POST" in replayed, "the first start replays all"
    replayed.clear()
    with open_endpoint(tmp_path) as endpoint:
        assert [call for call in replayed if not call.startswith("s3:")] == []
        assert facts(endpoint) == before
        endpoint.client("iam").create_role(RoleName="Newer", AssumeRolePolicyDocument="{}")
        events = endpoint.client("events")
        events.put_events(Entries=[{"Source": "mine", "DetailType": "d", "Detail": "{}"}])
    replayed.clear()
    with open_endpoint(tmp_path) as endpoint:
        assert [call for call in replayed if not call.startswith("s3:")] == ["iam:CreateRole"]
        assert endpoint.client("iam").get_role(RoleName="Newer")
        url = endpoint.client("sqs").get_queue_url(QueueName="callbacks")["QueueUrl"]
        found = endpoint.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        assert [message["Body"] == "waiting" for message in found] == [True, False], "each message once"


def test_a_checkpoint_that_is_damaged_or_of_another_origin_is_not_used(tmp_path: Path, replayed: list[str]) -> None:
    with open_endpoint(tmp_path) as endpoint:
        fill(endpoint)
        before = facts(endpoint)
    with open_endpoint(tmp_path):
        pass
    whole = (tmp_path / FILE).read_bytes()
    chance = random.Random(3)
    damaged = [whole[: chance.randrange(len(whole))]]
    place = chance.randrange(len(whole))
    damaged.append(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    damaged += [b"", whole.replace(b":moto-", b":moto-0.", 1)]
    for content in damaged:
        (tmp_path / FILE).write_bytes(content)
        # As if the process had been killed while it wrote a newer one.
        (tmp_path / FILE).with_suffix(".new").write_bytes(whole[:100])
        replayed.clear()
        with open_endpoint(tmp_path) as endpoint:
            assert "lambda:POST" in replayed
            assert facts(endpoint) == before
    assert (tmp_path / FILE).read_bytes().startswith(b"checkpoint-1:moto-5")


def test_a_checkpoint_of_another_journal_is_not_used(tmp_path: Path) -> None:
    with open_endpoint(tmp_path) as endpoint:
        fill(endpoint)
    with open_endpoint(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "endpoint.sqlite3") as connection:
        connection.execute("DELETE FROM requests")
    connection.close()
    with open_endpoint(tmp_path) as endpoint:
        assert endpoint.client("events").list_rules()["Rules"] == []


def test_a_service_whose_state_is_not_known_to_be_plain_is_replayed(tmp_path: Path, replayed: list[str]) -> None:
    with open_endpoint(tmp_path) as endpoint:
        endpoint.client("ssm").put_parameter(Name="p", Value="v", Type="String")
        endpoint.client("events").put_rule(Name="rule", EventPattern=json.dumps({"source": ["mine"]}))
    for _ in range(2):
        replayed.clear()
        with open_endpoint(tmp_path) as endpoint:
            assert replayed == ["ssm:PutParameter", "events:PutRule"]
            assert endpoint.client("ssm").get_parameter(Name="p")["Parameter"]["Value"] == "v"
    assert not (tmp_path / FILE).exists()
