"""What of two calls may differ: each entry of the closed list in docs/migration.md, and what stands beside it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.comparison.machine_run import ID_MARK, TIME_MARK
from airflow_sm_pipelines.comparison.normal_form import find_difference, read_dag_events, read_machine_events
from airflow_sm_pipelines.comparison.traces import Event
from airflow_sm_pipelines.migrate.stepfunctions.task_nodes import read_resource

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:work"
SAGEMAKER = "arn:aws:states:::sagemaker:"
VARIANT = {"VariantName": "all", "InitialInstanceCount": 1}


def differ(resource: str, given: Any, what: str, dag_given: Any) -> str:
    """Where one call of a machine and one of a DAG differ."""
    (machine,) = read_machine_events([Event("S", resource, given)], {"S": read_resource(resource)})
    called = {"task": "S", "what": what, "given": dag_given, "is_failure": False}
    (dag,) = read_dag_events([called], {"S": "S"})
    assert machine.what == dag.what
    return find_difference(machine.given, dag.given)


@pytest.mark.parametrize(
    ("machine", "dag"),
    [
        (ID_MARK, "0f3c"),
        (f"s3://b/{ID_MARK}/x", "s3://b/manual__2026/x"),
        (TIME_MARK, "2026-12-01 05:00:00+00:00"),
        ("0f8fad5b-d9cb-469f-a165-70867728950e", "another"),
        (1, 1.0),
    ],
    ids=["the run's id", "in a text", "a time", "a uuid", "a number's form"],
)
def test_values_of_a_run_may_differ(machine: Any, dag: Any) -> None:
    assert find_difference({"a": machine}, {"a": dag}) == ""


@pytest.mark.parametrize(
    ("machine", "dag", "problem"),
    [
        ({"a": "x"}, {"a": "y"}, "a: 'x' in the machine, 'y' in the DAG"),
        ({"a": 1}, {"a": "1"}, "a: 1 in the machine, '1' in the DAG"),
        ({"a": True}, {"a": 1}, "a: True in the machine, 1 in the DAG"),
        ({"a": None}, {}, "a: None in the machine, nothing in the DAG"),
        ({"a": [1, 2]}, {"a": [1]}, "a: [1, 2] in the machine, [1] in the DAG"),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, "a[0].b: 1 in the machine, 2 in the DAG"),
        ({"a": f"x-{ID_MARK}"}, {"a": "y-0f3c"}, f"a: {f'x-{ID_MARK}'!r} in the machine, 'y-0f3c' in the DAG"),
    ],
    ids=["text", "type", "truth", "null", "length", "inside", "around an id"],
)
def test_other_values_may_not(machine: Any, dag: Any, problem: str) -> None:
    assert find_difference(machine, dag) == problem


def test_the_name_of_what_a_step_makes_is_left_out() -> None:
    request = {"ModelName": "mine", "ExecutionRoleArn": "r"}
    assert differ(f"{SAGEMAKER}createModel", request, "step Model", {"Arguments": {"ExecutionRoleArn": "r"}}) == ""
    other = {"Arguments": {"ExecutionRoleArn": "s"}}
    assert "ExecutionRoleArn" in differ(f"{SAGEMAKER}createModel", request, "step Model", other)


@pytest.mark.parametrize(("made", "is_equal"), [("made-Model-3", True), ("made-Other-3", False), ("mine", False)])
def test_a_name_that_is_used_must_be_that_of_the_same_thing(made: str, is_equal: bool) -> None:
    states = {"Model": "Model", "Config": "Config", "Other": "Other"}
    resources = {
        name: read_resource(f"{SAGEMAKER}create{'EndpointConfig' if name == 'Config' else 'Model'}") for name in states
    }
    config = {"ProductionVariants": [{**VARIANT, "ModelName": "mine"}], "EndpointConfigName": "c"}
    machine = read_machine_events([Event("Model", "", {"ModelName": "mine"}), Event("Config", "", config)], resources)
    arguments = {"ProductionVariants": [{**VARIANT, "ModelName": made}]}
    called = {"task": "Config", "what": "step EndpointConfig", "given": {"Arguments": arguments}, "is_failure": False}
    (dag,) = read_dag_events([called], states)
    assert (find_difference(machine[1].given, dag.given) == "") is is_equal


def test_an_endpoint_keeps_its_name() -> None:
    given = {"EndpointName": "e", "EndpointConfigName": "c"}
    resource = f"{SAGEMAKER}createEndpoint"
    assert differ(resource, given, "step Endpoint", {"Arguments": given}) == ""
    assert "EndpointName" in differ(resource, given, "step Endpoint", {"Arguments": {**given, "EndpointName": "f"}})


def test_members_and_types_are_compared_as_the_api_has_them() -> None:
    resource = "arn:aws:states:::aws-sdk:codebuild:startBuild"
    given = {"ProjectName": "p", "TimeoutInMinutesOverride": 5, "PrivilegedModeOverride": True}
    dag = {"projectName": "p", "timeoutInMinutesOverride": 5, "privilegedModeOverride": True}
    assert differ(resource, given, "codebuild start_build", dag) == ""
    body = {"QueueUrl": "q", "MessageBody": {"a": 1, "b": [True]}}
    text = {"QueueUrl": "q", "MessageBody": '{"b": [true], "a": 1}'}
    assert differ("arn:aws:states:::sqs:sendMessage", body, "sqs send_message", text) == ""


def test_a_function_gets_the_same_event() -> None:
    given = {"FunctionName": "f", "Payload": '{"a": 1}'}
    resource = "arn:aws:states:::lambda:invoke"
    named = {"FunctionName": "f", "InvocationType": "RequestResponse", "Payload": {"a": 1}}
    assert differ(resource, named, "lambda invoke", given) == ""
    assert differ(FUNCTION, {"a": 1}, "lambda invoke", {**given, "FunctionName": FUNCTION}) == ""
    assert differ(FUNCTION, {"a": "1"}, "lambda invoke", {**given, "FunctionName": FUNCTION}) != ""
    assert "Qualifier" not in differ(resource, {**named, "Qualifier": "2"}, "lambda invoke", given)
    assert differ(resource, {**named, "Qualifier": "2"}, "lambda invoke", {**given, "FunctionName": "f:2"}) == ""


def test_the_message_of_a_callback_may_have_its_token_elsewhere() -> None:
    resource = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
    given = {"QueueUrl": "q", "MessageBody": {"job": "j", "TaskToken": ID_MARK}}
    called = {"SqsQueueUrl": "q", "Arguments": {"job": "j"}}
    assert differ(resource, given, "step Callback", called) == ""
    assert "job" in differ(resource, given, "step Callback", {**called, "Arguments": {}})


def test_attempts_of_a_call_are_one() -> None:
    failed, good = Event("S", FUNCTION, {}, is_failure=True), Event("S", FUNCTION, {})
    resources = {"S": read_resource(FUNCTION)}
    assert [one.is_failure for one in read_machine_events([failed, failed, good], resources)] == [False]
    assert len(read_machine_events([good, good], resources)) == 2
