"""Nodes for tests, with no more in them than a test is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Dependency
from airflow_sm_pipelines.migrate import (
    Branch,
    CallNode,
    ChoiceNode,
    Migration,
    Outcome,
    PipelineStepNode,
    Record,
    Workflow,
)
from airflow_sm_pipelines.migrate.workflow import iter_nodes

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonObject, JsonValue, Parameter
    from airflow_sm_pipelines.migrate.workflow import Node

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:score"


def after(*names: str) -> tuple[Dependency, ...]:
    """Dependencies; ``name:Failed`` has another trigger than success."""
    pairs = [name.partition(":") for name in names]
    return tuple(Dependency(name, trigger or "Completed") for name, _, trigger in pairs)


def step(name: str, *names: str, **arguments: JsonValue) -> PipelineStepNode:
    """A Lambda step with a number among its outputs."""
    members: JsonObject = {
        "FunctionArn": FUNCTION,
        "OutputParameters": [{"OutputName": "score", "OutputType": "Float"}],
    }
    return PipelineStepNode(name, f"States.{name}", "Lambda", arguments, after(*names), members)


def fail(name: str, *names: str, message: JsonValue = "no good") -> PipelineStepNode:
    """A Fail step."""
    return PipelineStepNode(name, f"States.{name}", "Fail", {"ErrorMessage": message}, after(*names))


def call(name: str, *names: str, **arguments: JsonValue) -> CallNode:
    """A message sent to a queue."""
    return CallNode(name, f"States.{name}", "sqs", "send_message", arguments, after(*names))


def get(text: str) -> JsonObject:
    """A reference."""
    return {"Get": text}


def score_of(name: str) -> JsonObject:
    """The number that a step gives."""
    return get(f"Steps.{name}.OutputParameters['score']")


def above(value: JsonValue, limit: JsonValue) -> JsonObject:
    """A condition."""
    return {"Type": "GreaterThan", "LeftValue": value, "RightValue": limit}


def choice(name: str, *names: str, ways: dict[str, tuple[Node, ...]], value: JsonValue = None) -> ChoiceNode:
    """A choice by a number: the keys of ``ways`` are the limits it must be above, ``else`` stands for the rest."""
    tested = get("Parameters.Number") if value is None else value
    branches = tuple(
        Branch(() if limit == "else" else (above(tested, float(limit)),), nodes) for limit, nodes in ways.items()
    )
    return ChoiceNode(name, f"States.{name}", branches, after(*names))


def migration(*nodes: Node, name: str = "flow", parameters: tuple[Parameter, ...] = ()) -> Migration:
    """A migration of nodes, all translated."""
    workflow = Workflow(name, nodes, parameters)
    records = tuple(
        Record(node.source, type(node).__name__, Outcome.TRANSLATED, node.name) for node in iter_nodes(nodes)
    )
    return Migration("the test's own nodes", workflow, records)
