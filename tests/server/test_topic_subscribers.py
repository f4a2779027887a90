"""A function that is subscribed to a topic gets the topic's messages, also after a restart."""

from __future__ import annotations

import io
import json
import time
import zipfile
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.server.event_deliveries import EventDeliveries
from airflow_sm_pipelines.server.local_server import serve

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from airflow_sm_pipelines.server.local_server import RunningServer

CODE = """import boto3, json

def handler(event, context):
    url = boto3.client("sqs").get_queue_url(QueueName="seen")["QueueUrl"]
    boto3.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(event))
"""


def subscribe(server: RunningServer) -> str:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", CODE)
    server.make_client("sqs").create_queue(QueueName="seen")
    role = server.make_client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    function = server.make_client("lambda").create_function(
        FunctionName="f", Runtime="python3.12", Role=role, Handler="index.handler", Code={"ZipFile": packed.getvalue()}
    )["FunctionArn"]
    sns = server.make_client("sns")
    topic = str(sns.create_topic(Name="t")["TopicArn"])
    policy = {"FilterPolicy": json.dumps({"kind": ["wanted"]})}
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function, Attributes=policy)
    return topic


def read_seen(server: RunningServer) -> list[Any]:
    sqs = server.make_client("sqs")
    url = sqs.get_queue_url(QueueName="seen")["QueueUrl"]
    deadline = time.monotonic() + 20
    while not (messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])):
        assert time.monotonic() < deadline, "the function was not called"
        time.sleep(0.05)
    return [json.loads(message["Body"]) for message in messages]


def test_a_function_gets_what_its_filter_lets_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(EventDeliveries, "start", lambda self: None)
        with serve(tmp_path / "state", region="us-east-1") as server:
            topic = subscribe(server)
            for kind in ("other", "wanted"):
                attributes = {"kind": {"DataType": "String", "StringValue": kind}}
                server.make_client("sns").publish(
                    TopicArn=topic, Message=f"a {kind} message", Subject="s", MessageAttributes=attributes
                )
    with serve(tmp_path / "state", region="us-east-1") as server:
        (event,) = read_seen(server)
    (record,) = event["Records"]
    assert (record["EventSource"], record["Sns"]["TopicArn"]) == ("aws:sns", topic)
    assert (record["Sns"]["Message"], record["Sns"]["Subject"]) == ("a wanted message", "s")
    assert record["Sns"]["MessageAttributes"] == {"kind": {"Type": "String", "Value": "wanted"}}
