"""Event mode on the real local endpoint: its EventBridge, its queue, its executions, and no looks in between.

Looks are made so rare that whatever is seen soon was seen because of an event, unless a test wants to see looks.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import yaml

from airflow_sm_pipelines.client.calls import SageMakerCalls
from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
from airflow_sm_pipelines.triggers import event_reliability as reliability_module
from airflow_sm_pipelines.triggers import status_event_feed as feed_module
from airflow_sm_pipelines.triggers import wait_schedule as schedule_module
from airflow_sm_pipelines.triggers.execution import SageMakerPipelineExecutionTrigger
from airflow_sm_pipelines.triggers.step import SageMakerPipelineStepTrigger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
RARELY = 3600.0


class Template(yaml.SafeLoader):
    """Reads CloudFormation's short tags as their text."""


Template.add_multi_constructor("!", lambda loader, _, node: loader.construct_scalar(node))
(TEMPLATE,) = re.findall(r"```yaml\n(.*?)```", (Path(__file__).parents[2] / "docs/waiting.md").read_text(), re.DOTALL)
RESOURCES = yaml.load(TEMPLATE, Template)["Resources"]  # noqa: S506 - a safe loader
PATTERN = RESOURCES["Rule"]["Properties"]["EventPattern"]


@pytest.fixture
def name(url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a pipeline that waits at a Callback step, of its events' rule and of their queue."""
    for key, value in {"ENDPOINT_URL": url, "ACCESS_KEY_ID": "local", "SECRET_ACCESS_KEY": "local"}.items():
        monkeypatch.setenv(f"AWS_{key}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    short = request.node.name.removeprefix("test_").replace("_", "-")[:40].rstrip("-")
    monkeypatch.setenv(
        "AIRFLOW_CONN_WITH_EVENTS", json.dumps({"conn_type": "aws", "extra": {"events_queue": f"{short}-events"}})
    )
    monkeypatch.setattr(feed_module, "WAIT_SECONDS", 1)
    monkeypatch.setattr(schedule_module, "GATHER_SECONDS", 0.05)
    monkeypatch.setattr(schedule_module, "plan_delay", lambda *, elapsed_seconds, waiter_delay: waiter_delay)
    sqs, events = boto3.client("sqs"), boto3.client("events")
    events_queue = sqs.create_queue(QueueName=f"{short}-events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=events_queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {**PATTERN, "detail": {"pipelineArn": [{"suffix": f"/{short}"}]}}
    events.put_rule(Name=short, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=short, Targets=[{"Id": "queue", "Arn": arn}])
    asks = sqs.create_queue(QueueName=f"{short}-asks")["QueueUrl"]
    step = {"Name": "Ask", "Type": "Callback", "SqsQueueUrl": asks, "Arguments": {}, "OutputParameters": []}
    boto3.client("sagemaker").create_pipeline(
        PipelineName=short, RoleArn=ROLE, PipelineDefinition=json.dumps({"Version": "2020-12-01", "Steps": [step]})
    )
    yield short
    events.remove_targets(Rule=short, Ids=["queue"])
    wait_until(lambda: not any(thread.name == "sm-pipelines-events" for thread in threading.enumerate()))


def start(name: str) -> str:
    arn: str = boto3.client("sagemaker").start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
    return arn


def finish(name: str, count: int = 1) -> None:
    """End executions of the pipeline, the oldest first."""
    sqs = boto3.client("sqs")
    queue = sqs.get_queue_url(QueueName=f"{name}-asks")["QueueUrl"]
    while count:
        for message in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5).get("Messages", ()):
            token = json.loads(message["Body"])["token"]
            boto3.client("sagemaker").send_pipeline_execution_step_success(CallbackToken=token)
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            count -= 1


def tell(name: str, *bodies: Any) -> None:
    """Put messages into the queue of events."""
    sqs = boto3.client("sqs")
    queue = sqs.get_queue_url(QueueName=f"{name}-events")["QueueUrl"]
    for body in bodies:
        sqs.send_message(QueueUrl=queue, MessageBody=body if isinstance(body, str) else json.dumps(body))


def event(arn: str, status: str) -> dict[str, Any]:
    detail = {"pipelineExecutionArn": arn, "currentPipelineExecutionStatus": status}
    return {"source": "aws.sagemaker", "detail-type": PATTERN["detail-type"][0], "detail": detail}


def wait_until(condition: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


@contextmanager
def waiting(*arns: str, waiter_delay: float = RARELY, step: str | None = None) -> Iterator[dict[str, dict[str, Any]]]:
    """Wait for executions as a triggerer does; gives the events by execution as they come."""
    found: dict[str, dict[str, Any]] = {}

    async def wait_for(arn: str) -> None:
        arguments: dict[str, Any] = {"aws_conn_id": "with_events", "waiter_delay": waiter_delay}
        trigger: SageMakerPipelineExecutionTrigger
        if step is None:
            trigger = SageMakerPipelineExecutionTrigger(execution_arn=arn, **arguments)
        else:
            trigger = SageMakerPipelineStepTrigger(execution_arn=arn, step_name=step, **arguments)
        trigger.task_instance = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)
        async for one in trigger.run():
            found[arn] = one.payload

    async def together() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*map(wait_for, arns))

    loop = asyncio.new_event_loop()
    task = loop.create_task(together())
    thread = threading.Thread(target=loop.run_until_complete, args=(task,))
    thread.start()
    try:
        yield found
    except BaseException:
        loop.call_soon_threadsafe(task.cancel)
        raise
    finally:
        thread.join()
        loop.close()


def lines(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.getMessage() for record in caplog.records)


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, made: list[str] | None = None) -> list[str]:
    """The calls of a method, as they are made."""
    made = [] if made is None else made
    original = getattr(owner, method)

    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        made.append(method)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(owner, method, noted)
    return made


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls that look at executions, as they are made."""
    made = count_calls(monkeypatch, SageMakerPipelinesHook, "describe_execution_start")
    count_calls(monkeypatch, SageMakerPipelinesHook, "list_executions_page", made)
    return count_calls(monkeypatch, SageMakerCalls, "describe_execution", made)


def test_the_template_of_the_page_lets_its_rule_and_nobody_else_send_to_its_queue() -> None:
    (statement,) = RESOURCES["Policy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": "Rule.Arn"}}
    assert RESOURCES["Policy"]["Properties"]["Queues"] == ["Queue"]
    assert RESOURCES["Rule"]["Properties"]["Targets"] == [{"Id": "queue", "Arn": "Queue.Arn"}]


def test_an_event_brings_the_look_that_sees_the_end(
    name: str, calls: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    arn = start(name)
    with waiting(arn) as found:
        wait_until(lambda: lines(caplog, "Events of executions come"))
        finish(name)
        wait_until(lambda: found, seconds=10)
    assert (found[arn]["kind"], found[arn]["status"]) == ("ended", "Succeeded")
    assert calls == ["describe_execution_start"] * 2


def test_a_false_a_double_and_a_late_event_change_nothing(
    name: str, calls: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, second = start(name), start(name)
    with waiting(first, second) as found:
        wait_until(lambda: lines(caplog, "Events of executions come"))
        tell(name, event(first, "Succeeded"), event(first, "Executing"), event(first.replace("/e", "/x"), "Failed"))
        wait_until(lambda: "describe_execution_start" in calls)
        finish(name, 2)
        wait_until(lambda: len(found) == 2, seconds=10)
        assert {one["status"] for one in found.values()} == {"Succeeded"}
    third = start(name)
    with waiting(third) as found:
        wait_until(lambda: lines(caplog, "Events of executions come") == 2)
        tell(name, event(first, "Failed"), event(third, "Executing"))
        finish(name)
        wait_until(lambda: found, seconds=10)
    assert found[third]["status"] == "Succeeded"


def test_a_step_s_event_brings_the_look_that_sees_its_end(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sagemaker = boto3.client("sagemaker")
    (step,) = json.loads(sagemaker.describe_pipeline(PipelineName=name)["PipelineDefinition"])["Steps"]
    later = {**step, "Name": "Later", "DependsOn": ["Ask"]}
    definition = {"Version": "2020-12-01", "Steps": [step, later]}
    sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=json.dumps(definition))
    seen = count_calls(monkeypatch, SageMakerPipelinesHook, "describe_execution_steps")
    arn = start(name)
    with waiting(arn, step="Ask") as found:
        wait_until(lambda: lines(caplog, "Events of executions come") and seen)
        finish(name)
        detail = {"pipelineExecutionArn": arn, "stepName": "Ask", "currentStepStatus": "Succeeded"}
        kind = "SageMaker Model Building Pipeline Execution Step Status Change"
        tell(name, {"source": "aws.sagemaker", "detail-type": kind, "detail": detail})
        wait_until(lambda: found, seconds=10)
    assert found[arn]["status"] == "Executing"
    assert len(seen) == 2
    finish(name)


def test_messages_of_others_stay_in_the_queue(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tell(name, "not for us", {"token": "abcdefghij"})
    arn = start(name)
    with waiting(arn) as found:
        wait_until(lambda: lines(caplog, "are left in it"))
        finish(name)
        wait_until(lambda: found, seconds=10)
    sqs = boto3.client("sqs")
    queue = sqs.get_queue_url(QueueName=f"{name}-events")["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def left() -> int:
        return sum(map(int, sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"].values()))

    wait_until(lambda: left() == 2)


def test_when_events_stop_looks_are_as_frequent_as_without(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(schedule_module, "SAFETY_INTERVALS", 4)
    monkeypatch.setattr(reliability_module, "GRACE_SECONDS", 0.5)
    first, second, third = start(name), start(name), start(name)
    with waiting(first, second, third, waiter_delay=0.5) as found:
        wait_until(lambda: lines(caplog, "Events of executions come"))
        boto3.client("events").remove_targets(Rule=name, Ids=["queue"])
        finish(name)
        wait_until(lambda: len(found) == 1, seconds=10)
        wait_until(lambda: lines(caplog, "its event has not come"), seconds=10)
        finish(name, 2)
        begun = time.monotonic()
        wait_until(lambda: len(found) == 3, seconds=10)
        assert time.monotonic() - begun < 4 * 0.5
    assert {one["status"] for one in found.values()} == {"Succeeded"}
    assert lines(caplog, "its event has not come") == 1


def test_a_queue_that_is_not_there_is_named_once_and_looks_go_on(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WITH_EVENTS", '{"conn_type": "aws", "extra": {"events_queue": "nowhere"}}')
    monkeypatch.setattr(feed_module, "plan_backoff", lambda **_: 0.1)
    arn = start(name)
    with waiting(arn, waiter_delay=0.3) as found:
        wait_until(lambda: lines(caplog, "No events: GetQueueUrl on 'nowhere' was refused"))
        finish(name)
        wait_until(lambda: found, seconds=10)
    assert found[arn]["status"] == "Succeeded"
    assert lines(caplog, "No events") == 1
