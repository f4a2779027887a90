"""The neutral model of a workflow: nodes in blocks, with SageMaker's own expressions as references between them.

The reader of each kind of source makes one, :mod:`dag_plan` plans pipelines and Airflow tasks from it. Nothing that
only one source has belongs here.

A reference inside ``arguments``, ``conditions`` and ``items`` is an expression of the definition's grammar: ``{"Get":
"Parameters.rows"}``, ``{"Get": "Steps.<node>.<property path>"}``, ``{"Get": "Execution.PipelineExecutionId"}``,
``{"Get": "ForEach.CurrentItem"}``, ``Std:Join``, ``Std:JsonGet``. These are added, and never reach a definition:

* ``{"Get": "Tasks.<node>.<path>"}`` is the result of a :class:`CallNode`, :class:`OperatorNode` or :class:`ValueNode`,
  or a part of it; of a :class:`LoopNode`, the list of its items' results.
* ``{"Get": "Input['key'].<path>"}`` is a part of the document that a run is given, ``{"Get": "Input"}`` all of it.
* ``{"Get": "Errors.<node>.Cause"}`` is the error that a :class:`TryNode` has caught, for its handler.
* ``{"Std:First": [...]}`` is the first of several values that exists: that of whichever branch ran.
* ``{"Std:Function": {"Name": ..., "Arguments": [...]}}`` is worked out by Airflow (:data:`FUNCTIONS`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from airflow_sm_pipelines.definition import MISSING, Missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import Dependency, JsonObject, JsonValue, Parameter


FUNCTIONS = frozenset(
    {
        *("Add", "ArrayContains", "ArrayGetItem", "ArrayLength", "Find", "Json", "Jsonata", "Member", "Merge"),
        *("ParseJson", "Query", "Range", "Split", "Structure", "Unique", "Uuid"),
    }
)
"""What ``Std:Function`` can do. ``Find`` gives None where there is no value, ``Json`` a value as text, ``Jsonata`` what
a JSONata expression gives with the variables in an object (``a.b`` for a member of one), ``Merge`` an object with other
members laid over it, ``Query`` the list of what a JSONPath finds in a value, ``Structure`` an object or list that has
expressions in it."""


@dataclass(frozen=True, slots=True)
class PipelineStepNode:
    """Work that a pipeline step does.

    :param name: unique in the workflow; a legal step name (:meth:`names.ClaimedNames.claim`).
    :param source: the place in the source, in words that people find there: ``States.Train``.
    :param type: a ``StepType``; ``Fail`` ends the workflow with ``{"ErrorMessage": ...}``.
    :param arguments: the step's ``Arguments``.
    :param after: nodes that must end first, of the same block or of a block around it. A node after a
        :class:`ChoiceNode` runs after whichever branch was taken, unless that branch ended in a ``Fail``.
    :param members: the step's other members, such as ``FunctionArn``, ``OutputParameters``, ``RetryPolicies``.
    """

    name: str
    source: str
    type: str
    arguments: JsonObject
    after: tuple[Dependency, ...] = ()
    members: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallNode:
    """Work that one AWS call does and no pipeline step can do. It becomes an Airflow task.

    :param service: boto3's name of the service: ``sns``.
    :param operation: boto3's name of the method: ``publish``.
    :param arguments: the method's arguments.
        ``Payload`` of ``lambda.invoke`` may be any value; the function's answer is the ``Payload`` of the result.
    :param wait: how to wait for the end of what the call starts; None if the call's answer is all.
    :param repeat: how to repeat the call until its answer is good; None to call once.
    :param retries: of the task.
    :param retry_delay_seconds: before the first retry; None for Airflow's own.
    :param retry_backoff: by how much each delay is longer than the one before; 1 for the same.
    :param timeout_seconds: of the task.
    """

    name: str
    source: str
    service: str
    operation: str
    arguments: JsonObject
    after: tuple[Dependency, ...] = ()
    wait: CallWait | None = None
    retries: int = 0
    timeout_seconds: float | None = None
    retry_delay_seconds: float | None = None
    retry_backoff: float = 1.0
    repeat: CallRepeat | None = None


@dataclass(frozen=True, slots=True)
class CallRepeat:
    """How to repeat a call until its answer is good.

    :param until: the condition. ``{"Get": "Answer.<path>"}`` is a part of the call's answer in it.
    :param seconds: between two calls.
    :param again: for each argument that the next call is given another value for: an expression of the answer, or the
        members to lay over the argument. Each call is given the same if it is empty.
    """

    until: JsonObject
    seconds: float
    again: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallWait:
    """How to wait for the end of what a call starts.

    :param operation: boto3's name of the method that describes it.
    :param arguments: for each argument of that method, the member of the first call's answer or arguments that has it.
    :param path: where the status stands in its answer, with dots.
    :param success: the statuses of a good end.
    :param failure: the statuses of a bad end.
    :param zero: numbers in the answer that are 0 after a good end; ``*`` stands for each entry of a list.
    """

    operation: str
    arguments: dict[str, str]
    path: str
    success: tuple[str, ...]
    failure: tuple[str, ...]
    zero: str = ""


@dataclass(frozen=True, slots=True)
class OperatorNode:
    """Work that an Airflow operator does.

    :param operator: the operator's import path: ``airflow.providers.amazon.aws.operators.glue.GlueJobOperator``.
    :param arguments: the operator's arguments, without ``task_id``.
    """

    name: str
    source: str
    operator: str
    arguments: JsonObject
    after: tuple[Dependency, ...] = ()
    retries: int = 0
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class WaitNode:
    """Time that passes.

    :param seconds: how long, as a number or an expression; None if ``until`` says when it ends.
    :param until: a moment as ISO 8601 text, or an expression for one.
    """

    name: str
    source: str
    seconds: JsonValue = None
    until: JsonValue = None
    after: tuple[Dependency, ...] = ()


@dataclass(frozen=True, slots=True)
class ValueNode:
    """A value that is put together of others. It becomes a task that returns it.

    :param value: JSON with expressions in it.
    """

    name: str
    source: str
    value: JsonValue
    after: tuple[Dependency, ...] = ()


@dataclass(frozen=True, slots=True)
class MissingNode:
    """Work that cannot be migrated. It becomes a task that fails with the words of ``action``.

    :param action: what the user must do.
    """

    name: str
    source: str
    action: str
    after: tuple[Dependency, ...] = ()


TESTS = frozenset(
    {"After", "Before", "IsBoolean", "IsNull", "IsNumeric", "IsPresent", "IsString", "IsTimestamp", "Matches"}
)
"""What a ``Test`` condition can ask of its ``Value``, and of ``Other`` where it compares two."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One branch of a choice.

    :param conditions: conditions as a Condition step has them, all of which must hold; empty for the last branch,
        which is taken if no other one is. One that only Airflow can test is ``{"Type": "Test", "Name": ..., "Value":
        ..., "Other": ...}`` (:data:`TESTS`).
    :param nodes: what this branch does; empty to go on after the choice.
    """

    conditions: tuple[JsonObject, ...]
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class ChoiceNode:
    """A choice: the first branch whose conditions hold is taken. The last branch has no conditions."""

    name: str
    source: str
    branches: tuple[Branch, ...]
    after: tuple[Dependency, ...] = ()


MAX_CONCURRENCY = 50
"""How many items of a loop may run at once at most; source: ``MaxConcurrency`` of a ForEach step."""


@dataclass(frozen=True, slots=True)
class LoopNode:
    """The same work for each of several items.

    :param items: a list of scalars or expressions, or an expression whose value is a list as JSON text.
    :param nodes: what is done for each item. ``{"Get": "ForEach.CurrentItem"}`` is the item there, and
        ``{"Get": "ForEach.CurrentItem.<field>"}`` a field of it.
    :param max_concurrency: how many items at once, 1 to 50.
    :param result: the :class:`ValueNode` of the block that gives what an item comes to. ``{"Get": "Tasks.<loop>"}`` is
        the list of these, in the order of the items. Empty for none.
    """

    name: str
    source: str
    items: JsonValue
    nodes: tuple[Node, ...]
    max_concurrency: int = 1
    after: tuple[Dependency, ...] = ()
    result: str = ""


@dataclass(frozen=True, slots=True)
class TryNode:
    """Work whose failure is handled. A node after it runs after the handler, or after ``otherwise``.

    :param nodes: the work.
    :param handler: what is done if a node of the work fails; empty to go on.
    :param otherwise: what is done if none fails, before the nodes after this one.
    """

    name: str
    source: str
    nodes: tuple[Node, ...]
    handler: tuple[Node, ...] = ()
    otherwise: tuple[Node, ...] = ()
    after: tuple[Dependency, ...] = ()


Node: TypeAlias = (
    PipelineStepNode | CallNode | OperatorNode | WaitNode | ValueNode | MissingNode | ChoiceNode | LoopNode | TryNode
)


@dataclass(frozen=True, slots=True)
class InputField:
    """A member of the document that a run is given. It becomes a DAG param.

    :param name: the member's name, as the source has it.
    :param default: its value if a run gives none; ``MISSING`` if a run must give one.
    """

    name: str
    default: JsonValue | Literal[Missing.MISSING] = MISSING


@dataclass(frozen=True, slots=True)
class Workflow:
    """A whole workflow.

    :param name: the name of the DAG and the beginning of its pipelines' names.
    :param nodes: the outermost block, each node after the nodes that it waits for.
    :param parameters: what a run may be given: each becomes a DAG param, and a pipeline parameter if a step needs it.
    :param schedule: a cron expression or a preset of Airflow; None for none.
    :param inputs: what ``Input`` has.
    """

    name: str
    nodes: tuple[Node, ...]
    parameters: tuple[Parameter, ...] = ()
    description: str = ""
    schedule: str | None = None
    timeout_seconds: float | None = None
    inputs: tuple[InputField, ...] = ()


def iter_blocks(node: Node) -> Iterator[tuple[Node, ...]]:
    """The blocks directly inside a node."""
    if isinstance(node, ChoiceNode):
        yield from (branch.nodes for branch in node.branches)
    elif isinstance(node, LoopNode):
        yield node.nodes
    elif isinstance(node, TryNode):
        yield from (node.nodes, node.handler, node.otherwise)


def iter_nodes(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Every node, outer before inner."""
    for node in nodes:
        yield node
        for block in iter_blocks(node):
            yield from iter_nodes(block)
