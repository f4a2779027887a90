"""A workflow between its source and what is made of it: nodes in blocks, SageMaker's own expressions as references.

Readers, one for each kind of source, make one; :mod:`plan` cuts it into pipelines and Airflow tasks. No source's
words are here.

A reference inside ``arguments``, ``conditions`` and ``items`` is an expression of the definition's grammar: ``{"Get":
"Parameters.rows"}``, ``{"Get": "Steps.<node>.<property path>"}``, ``{"Get": "Execution.PipelineExecutionId"}``,
``{"Get": "ForEach.CurrentItem"}``, ``Std:Join``, ``Std:JsonGet``. One namespace is added: ``{"Get":
"Tasks.<node>.<path>"}`` is (a part of) what a :class:`CallNode` or :class:`OperatorNode` gave; it never reaches a
definition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import Dependency, JsonObject, JsonValue, Parameter


@dataclass(frozen=True, slots=True)
class StepNode:
    """Work that a pipeline step does.

    :param name: unique in the workflow; a legal step name (:func:`names.Names.claim`).
    :param source: the place in the source, as people find it there: ``States.Train``.
    :param type: a ``StepType``; ``Fail`` ends the workflow with ``{"ErrorMessage": ...}``.
    :param arguments: the step's ``Arguments``.
    :param after: nodes of the same block, or of one around it, that must have ended. After a :class:`ChoiceNode`
        means: after whichever branch was taken, unless that branch ended in a ``Fail``.
    :param members: the step's other members: ``FunctionArn``, ``OutputParameters``, ``RetryPolicies``...
    """

    name: str
    source: str
    type: str
    arguments: JsonObject
    after: tuple[Dependency, ...] = ()
    members: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallNode:
    """Work outside of SageMaker Pipelines that one AWS call does: it becomes an Airflow task.

    :param service: boto3's name of the service, as ``sns``.
    :param operation: boto3's name of the method, as ``publish``.
    :param arguments: of the method.
    :param wait: how its end is awaited; None when the call's answer is all.
    :param retries: of the task.
    :param timeout_seconds: of the task.
    """

    name: str
    source: str
    service: str
    operation: str
    arguments: JsonObject
    after: tuple[Dependency, ...] = ()
    wait: Wait | None = None
    retries: int = 0
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """How the end of what a call began is awaited.

    :param operation: boto3's name of the method that describes it.
    :param arguments: of that method: what it takes, by the path in the first call's answer or arguments.
    :param path: where its answer has the status.
    :param success: statuses that are the good end.
    :param failure: statuses that are a bad end.
    """

    operation: str
    arguments: dict[str, str]
    path: str
    success: tuple[str, ...]
    failure: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OperatorNode:
    """Work that an operator of Airflow does.

    :param operator: its import path, ``airflow.providers.amazon.aws.operators.glue.GlueJobOperator``.
    :param arguments: of the operator, without ``task_id``.
    """

    name: str
    source: str
    operator: str
    arguments: JsonObject
    after: tuple[Dependency, ...] = ()
    retries: int = 0
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class MissingNode:
    """Work that nobody here can do: it becomes a task that fails, and says what to put there.

    :param action: what the user must do.
    """

    name: str
    source: str
    action: str
    after: tuple[Dependency, ...] = ()


@dataclass(frozen=True, slots=True)
class Branch:
    """One way out of a choice.

    :param conditions: conditions as a Condition step has them, all of which must hold; empty for the way that is left.
    :param nodes: what is done on this way; empty to go on after the choice.
    """

    conditions: tuple[JsonObject, ...]
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class ChoiceNode:
    """One of several ways, the first whose conditions hold; the last branch has no conditions."""

    name: str
    source: str
    branches: tuple[Branch, ...]
    after: tuple[Dependency, ...] = ()


@dataclass(frozen=True, slots=True)
class LoopNode:
    """The same work for each of several items.

    :param items: a list of scalars or expressions, or an expression whose value is a list (as JSON text).
    :param nodes: what is done for each item, which is ``{"Get": "ForEach.CurrentItem"}``, a field of it
        ``ForEach.CurrentItem.<field>``.
    :param max_concurrency: 1 to 50.
    """

    name: str
    source: str
    items: JsonValue
    nodes: tuple[Node, ...]
    max_concurrency: int = 1
    after: tuple[Dependency, ...] = ()


Node: TypeAlias = StepNode | CallNode | OperatorNode | MissingNode | ChoiceNode | LoopNode


@dataclass(frozen=True, slots=True)
class Workflow:
    """What a source describes.

    :param name: of the DAG, and of the pipelines made of it.
    :param parameters: what a run may be given; a DAG param each, and a pipeline parameter where a step needs it.
    :param nodes: the outermost block, in an order in which each stands after what it waits for.
    :param schedule: a cron expression or preset of Airflow; None for none.
    """

    name: str
    nodes: tuple[Node, ...]
    parameters: tuple[Parameter, ...] = ()
    description: str = ""
    schedule: str | None = None
    timeout_seconds: float | None = None


def iter_blocks(node: Node) -> Iterator[tuple[Node, ...]]:
    """The blocks right inside a node."""
    if isinstance(node, ChoiceNode):
        yield from (branch.nodes for branch in node.branches)
    elif isinstance(node, LoopNode):
        yield node.nodes


def iter_nodes(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Every node, outer before inner."""
    for node in nodes:
        yield node
        for block in iter_blocks(node):
            yield from iter_nodes(block)
