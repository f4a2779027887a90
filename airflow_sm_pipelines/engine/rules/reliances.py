"""What of an execution may go differently on AWS: which *chosen* rules of docs/engine.md it relied on.

A chosen rule is one that the service does not document. Each has a line here that tells, from how an execution went,
whether it counted. What belongs here: these tests. What does not: what the rules decide, which is beside each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.conditions import Comparison, NotCondition, OrCondition
from airflow_sm_pipelines.definition.expressions import (
    ExecutionReference,
    ForEachReference,
    Join,
    ParameterReference,
    StepReference,
    iter_expressions,
    parse_expression,
)
from airflow_sm_pipelines.definition.status import ExecutionStatus, StepStatus
from airflow_sm_pipelines.definition.steps import ConditionStep, ForEachStep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonValue, Step
    from airflow_sm_pipelines.definition.conditions import Condition
    from airflow_sm_pipelines.definition.graph import StepGraph

_TIMES = ("StartDateTime", "CurrentDateTime")
_ORDERINGS = ("GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo")


@dataclass(frozen=True, slots=True)
class RanStep:
    """A step as it went.

    :param step: as the definition declares it.
    :param parent: the ForEach step that made it.
    :param starts: how often it was started, without the attempts of its retry policies.
    :param is_taken_over: whether it is from the source of a selective execution.
    :param items: of a ForEach step.
    :param job: the Describe answer of its job.
    """

    name: str
    step: Step
    status: StepStatus
    parent: str | None = None
    starts: int = 1
    is_cached: bool = False
    is_taken_over: bool = False
    items: list[JsonValue] = field(default_factory=list)
    job: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RanExecution:
    """An execution as it went.

    :param parameters: their values by name.
    """

    graph: StepGraph
    status: ExecutionStatus
    parameters: Mapping[str, JsonValue]
    steps: tuple[RanStep, ...]

    def with_status(self, *statuses: StepStatus) -> list[RanStep]:
        """The steps that ended so."""
        return [one for one in self.steps if one.status in statuses]


@dataclass(frozen=True, slots=True)
class ChosenRule:
    """A rule of this engine that the service does not document.

    :param text: what happens here, in a few words.
    :param find: the names of the steps for which it counted.
    """

    name: str
    text: str
    find: Callable[[RanExecution], list[str]]


def find_chosen_rules(execution: RanExecution) -> Iterator[tuple[ChosenRule, list[str]]]:
    """Each chosen rule that an execution relied on, with the names of the steps for which it counted."""
    for rule in CHOSEN_RULES:
        if names := list(dict.fromkeys(rule.find(execution))):
            yield rule, names


def _halted(execution: RanExecution) -> list[str]:
    """The steps that a failure elsewhere kept from starting, though they did not wait for what failed."""
    if execution.status is not ExecutionStatus.FAILED:
        return []
    started = {one.name for one in execution.steps}
    behind: set[str] = set()
    left = [one.name for one in execution.with_status(StepStatus.FAILED, StepStatus.STOPPED)]
    while left:
        following = set(execution.graph.downstream(left.pop())) - behind
        behind |= following
        left += following
    rest = [name for name in execution.graph.nodes if name not in started | behind]
    return [name for name in rest if not _is_branch_not_taken(execution, name)]


def _is_branch_not_taken(execution: RanExecution, name: str) -> bool:
    """Whether a Condition that has ended leaves the step, or one that it waits for, out."""
    succeeded = {one.name for one in execution.with_status(StepStatus.SUCCEEDED)}
    node = execution.graph.nodes[name]
    return node.parent in succeeded or any(_is_branch_not_taken(execution, one) for one in node.waits_for)


def _handled_and_not(execution: RanExecution) -> list[str]:
    if execution.status is not ExecutionStatus.FAILED:
        return []
    failed = {one.name for one in execution.with_status(StepStatus.FAILED)}
    return [
        dependency.step
        for node in execution.graph.nodes.values()
        for dependency in node.upstream
        if dependency.trigger in ("Failed", "Any") and dependency.step in failed
    ]


def _stopped_alone(execution: RanExecution) -> list[str]:
    failed = execution.status is ExecutionStatus.FAILED
    return [one.name for one in execution.with_status(StepStatus.STOPPED) if failed and one.job]


def _out_of_time(execution: RanExecution) -> list[str]:
    return [one.name for one in execution.steps if one.job.get("SecondaryStatus") == "MaxRuntimeExceeded"]


def _failed_iterations(execution: RanExecution) -> list[str]:
    failed = {one.parent for one in execution.with_status(StepStatus.FAILED)}
    return [one.name for one in execution.steps if one.name in failed and len(one.items) > 1]


def _whole_objects(execution: RanExecution) -> list[str]:
    with_objects = {one.name for one in execution.steps if any(isinstance(item, dict) for item in one.items)}
    return [
        one.name
        for one in execution.steps
        if one.parent in with_objects
        and any(isinstance(found, ForEachReference) and not found.path for found in _expressions(one.step))
    ]


def _selectors(execution: RanExecution) -> list[str]:
    return [one.name for one in execution.steps if isinstance(one.step, ForEachStep) and one.step.selector is not None]


def _old_results(execution: RanExecution) -> list[str]:
    return [
        one.name
        for one in execution.steps
        if one.is_cached and one.step.cache_config is not None and one.step.cache_config.expire_after is None
    ]


def _started_again(execution: RanExecution) -> list[str]:
    return [one.name for one in execution.steps if one.starts > 1]


def _taken_over(execution: RanExecution) -> list[str]:
    return [one.name for one in execution.steps if one.is_taken_over]


def _times(execution: RanExecution) -> list[str]:
    return [
        one.name
        for one in execution.steps
        for found in _expressions(one.step)
        if (isinstance(found, ExecutionReference) and found.variable in _TIMES)
        or (isinstance(found, StepReference) and str(found.path[-1:]).rstrip("',)").endswith("Time"))
    ]


def _joined_numbers(execution: RanExecution) -> list[str]:
    return [
        one.name
        for one in execution.steps
        for found in _expressions(one.step)
        if isinstance(found, Join) and any(_is_joined_number(value, execution) for value in found.values)
    ]


def _is_joined_number(value: JsonValue, execution: RanExecution) -> bool:
    known = _value(value, execution)
    return isinstance(known, (int, float, list)) and not isinstance(known, bool)


def _ordered_texts(execution: RanExecution) -> list[str]:
    return [
        one.name
        for one in execution.steps
        if isinstance(one.step, ConditionStep)
        for comparison in _comparisons(one.step.conditions)
        if comparison.type in _ORDERINGS
        and any(isinstance(_value(side, execution), str) for side in (comparison.left, comparison.right))
    ]


def _comparisons(conditions: tuple[Condition, ...]) -> Iterator[Comparison]:
    for condition in conditions:
        if isinstance(condition, Comparison):
            yield condition
        elif isinstance(condition, NotCondition):
            yield from _comparisons((condition.condition,))
        elif isinstance(condition, OrCondition):
            yield from _comparisons(condition.conditions)


def _of_type(*types: str) -> Callable[[RanExecution], list[str]]:
    return lambda execution: [one.name for one in execution.steps if one.step.type in types and not one.is_cached]


def _stopped_callbacks(execution: RanExecution) -> list[str]:
    ended = execution.with_status(StepStatus.STOPPED, StepStatus.FAILED)
    stopped = execution.status is ExecutionStatus.STOPPED
    return [one.name for one in ended if stopped and one.step.type in ("Callback", "Lambda")]


def _failed_cleanups(execution: RanExecution) -> list[str]:
    return [one.name for one in execution.with_status(StepStatus.FAILED) if one.step.type == "Cleanup"]


def _joined_records(execution: RanExecution) -> list[str]:
    return [
        one.name
        for one in execution.steps
        if one.step.type == "Transform"
        and (one.job.get("DataProcessing") or _member(one.job, "TransformOutput", "AssembleWith") == "Line")
    ]


def _several_definitions(execution: RanExecution) -> list[str]:
    return [one.name for one in execution.steps if one.job.get("TrainingJobDefinitions")]


def _automatic_scales(execution: RanExecution) -> list[str]:
    return [
        one.name for one in execution.steps if one.step.type == "Tuning" and "'ScalingType': 'Auto'" in str(one.job)
    ]


def _stopped_early(execution: RanExecution) -> list[str]:
    early = "HyperParameterTuningJobConfig", "TrainingJobEarlyStoppingType"
    return [one.name for one in execution.steps if _member(one.job, *early) == "Auto"]


def _member(value: JsonValue, *path: str) -> JsonValue:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _expressions(step: Step) -> Iterator[object]:
    for _, operand in step.iter_operands():
        for _, found in iter_expressions(operand):
            yield found


def _value(value: JsonValue, execution: RanExecution) -> JsonValue:
    """A value as far as it is known without running the step."""
    found = parse_expression(value)
    if found is None:
        return value
    return execution.parameters.get(found.name) if isinstance(found, ParameterReference) else None


CHOSEN_RULES = (
    ChosenRule("failure", "after a failure nothing new starts, also in other branches", _halted),
    ChosenRule("handled-failure", "one unhandled failure fails the execution, whatever was handled", _handled_and_not),
    ChosenRule("stopped-job", "a job that is stopped by its name fails the execution", _stopped_alone),
    ChosenRule("out-of-time", "a training job that runs past its time fails its step", _out_of_time),
    ChosenRule(
        "foreach-failure", "a failed iteration lets running ones finish, and fails the step", _failed_iterations
    ),
    ChosenRule("foreach-object", "the whole of an item that is an object is its JSON text", _whole_objects),
    ChosenRule("foreach-selector", "numbers, and texts that read as numbers, are compared", _selectors),
    ChosenRule("stop", "a Callback or Lambda step ends after a stop as its answer says", _stopped_callbacks),
    ChosenRule("cache-age", "without ExpireAfter a cached result never expires", _old_results),
    ChosenRule(
        "again", "a step that had not succeeded runs again as a whole, and its attempts count on", _started_again
    ),
    ChosenRule("selection", "steps of the source execution are listed, with its metadata", _taken_over),
    ChosenRule("times", "times read as ISO 8601 in UTC, with milliseconds", _times),
    ChosenRule("join-numbers", "Std:Join writes numbers plainly, and lists as JSON", _joined_numbers),
    ChosenRule("text-order", "texts are ordered by code point, so '10' is less than '9'", _ordered_texts),
    ChosenRule(
        "checks",
        "programs of ours compute reports, suggested limits and violations",
        _of_type("QualityCheck", "ClarifyCheck"),
    ),
    ChosenRule("cleanup", "a source that could not be cleaned fails the step at its end", _failed_cleanups),
    ChosenRule("endpoint", "an endpoint of that name is updated, and in service at once", _of_type("Endpoint")),
    ChosenRule("records", "how records are counted, filtered and put together again", _joined_records),
    ChosenRule("tuning-turns", "several training job definitions take turns", _several_definitions),
    ChosenRule("tuning-scale", "the scale Auto is logarithmic from a factor of 1,000 on", _automatic_scales),
    ChosenRule("tuning-early", "early stopping begins with the fourth training job", _stopped_early),
)
"""The chosen rules of docs/engine.md that an execution can rely on without failing for it."""
