"""An endpoint whose engine decides some rules otherwise: ``python -m tests.account_probes.faulty_endpoint DIR FAULT``.

It prints what a client needs as a line of JSON, and ends when its standard input ends.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.conditions import InCondition
from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.driver import execution_scope
from airflow_sm_pipelines.engine.engine import Engine
from airflow_sm_pipelines.engine.operations import callbacks, executions, pipelines
from airflow_sm_pipelines.engine.rules import condition_evaluation, resolver, scheduler, search_filters
from airflow_sm_pipelines.engine.rules.errors import ServiceError, StepError, validation_error
from airflow_sm_pipelines.engine.steps import StepOutcome, fail, for_each, job
from airflow_sm_pipelines.server import serve

if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = Callable[[str, Any, Callable[[], dict[str, Any]]], dict[str, Any]]


def wrap(place: Any, name: str, change: Callable[..., Any]) -> None:
    """Put a function in the place of another, which it gets as its first argument."""
    before = getattr(place, name)
    setattr(place, name, lambda *args, **kwargs: change(before, *args, **kwargs))


def text_of(
    kind: type, write: Callable[[Any], str], *, only: Callable[[Any], bool] = lambda _: True
) -> Callable[[], None]:
    return lambda: wrap(
        resolver, "_text", lambda before, value: write(value) if type(value) is kind and only(value) else before(value)
    )


def time_of(name: str) -> Callable[[], None]:
    def change(before: Any, *args: Any, **kwargs: Any) -> Any:
        values = before(*args, **kwargs)
        return {**values, name: values[name].replace("Z", "+00:00")}

    return lambda: wrap(execution_scope, "execution_variables", change)


def comparison(
    kind: str, is_meant: Callable[[Any, Any], bool], decide: Callable[[Any, Any], bool]
) -> Callable[[], None]:
    def change(before: Any, found: str, left: Any, right: Any) -> Any:
        return decide(left, right) if found == kind and is_meant(left, right) else before(found, left, right)

    return lambda: wrap(condition_evaluation, "_compare", change)


def membership() -> None:
    def change(before: Any, condition: Any, scope: Any) -> Any:
        if not isinstance(condition, InCondition):
            return before(condition, scope)
        return str(resolver.resolve(condition.query, scope)) in map(str, condition.values)

    wrap(condition_evaluation, "evaluate", change)


def empty_items() -> None:
    def change(before: Any, value: Any, **kwargs: Any) -> Any:
        if not (items := before(value, **kwargs)):
            raise StepError("ClientError: no items.")
        return items

    wrap(for_each, "read_items", change)


def callback(is_meant: Callable[[Any, Any], bool], change: Callable[[Any, Any, Any, Any], Any]) -> Callable[[], None]:
    def decide(before: Any, step: Any, declared: Any, given: Any) -> Any:
        return change(before, step, declared, given) if is_meant(step, given) else before(step, declared, given)

    return lambda: wrap(callbacks, "outcome_of_success", decide)


def stopped_callback_fails_otherwise() -> None:
    def change(before: Any, **members: Any) -> Any:
        if "without a reason" in members.get("failure_reason", ""):
            return before(**{**members, "status": StepStatus.STOPPED})
        return before(**members)

    wrap(callbacks, "StepOutcome", change)


def answer(change: Answer) -> Callable[[], None]:
    """Change the answer of calls: gets the operation, the request, and what answers it otherwise."""

    def decide(before: Any, engine: Engine, operation: str, request: Any) -> Any:
        return change(operation, request, lambda: before(engine, operation, request))

    return lambda: wrap_method(Engine, "call", decide)


def wrap_method(owner: type, name: str, change: Callable[..., Any]) -> None:
    before = getattr(owner, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return change(before, self, *args, **kwargs)

    setattr(owner, name, method)


def accept(operation: str, said: str) -> Callable[[], None]:
    """Take what is refused with a word of these."""

    def change(asked: str, request: Any, go: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return go()
        except ServiceError as error:
            if asked == operation and said in error.message:
                return {"PipelineExecutionArn": request.get("PipelineExecutionArn", "arn")}
            raise

    return answer(change)


def recode(operation: str) -> Callable[[], None]:
    """Refuse a call with another code."""

    def change(asked: str, request: Any, go: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return go()
        except ServiceError as error:
            raise (validation_error(error.message) if asked == operation else error) from error

    return answer(change)


def refuse(operation: str, text: str) -> Callable[[], None]:
    def change(asked: str, request: Any, go: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if asked == operation and text in json.dumps(request, default=str).replace("\\", ""):
            raise validation_error("no")
        return go()

    return answer(change)


def list_steps(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Callable[[], None]:
    def decide(asked: str, request: Any, go: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        found = go()
        if asked == "ListPipelineExecutionSteps":
            found["PipelineExecutionSteps"] = change(found["PipelineExecutionSteps"])
        return found

    return answer(decide)


def forget_tokens(asked: str, request: Any, go: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    if asked == "StartPipelineExecution":
        request.pop("ClientRequestToken", None)
    return go()


def job_end(is_meant: Callable[[Any], bool], change: Callable[[StepOutcome], StepOutcome]) -> Callable[[], None]:
    """Change the outcome of steps whose job ended so."""

    def decide(before: Any, end: Any) -> StepOutcome:
        return change(before(end)) if is_meant(end) else before(end)

    return lambda: wrap(job, "outcome_of_job", decide)


def cached_only_with_an_age() -> None:
    def change(before: Any, task: Any, key: Any) -> Any:
        return before(task, key) if task.step.cache_config.expire_after else None

    wrap(job, "find_cached", change)


def mixed(left: Any, right: Any) -> bool:
    return isinstance(left, str) is not isinstance(right, str)


def texts(left: Any, right: Any) -> bool:
    return isinstance(left, str) and isinstance(right, str)


FAULTS: dict[str, tuple[Callable[[], None], set[str]]] = {
    "join-integer": (text_of(int, "{}.0".format), {"join-integer"}),
    "join-float": (text_of(float, "{:e}".format, only=lambda value: value != int(value)), {"join-float"}),
    "join-whole-float": (text_of(float, "{:.0f}".format, only=lambda value: value == int(value)), {"join-whole-float"}),
    "join-boolean": (text_of(bool, str), {"join-boolean"}),
    "start-time": (time_of("StartDateTime"), {"start-time"}),
    "current-time": (time_of("CurrentDateTime"), {"current-time"}),
    "empty-message": (
        lambda: wrap_method(
            fail.FailExecutor,
            "run",
            lambda before, self, task, text: replace(before(self, task, text), failure_reason=text or "Failed"),
        ),
        {"empty-message"},
    ),
    "text-order": (
        comparison("LessThan", texts, lambda left, right: float(left) < float(right)),
        {"text-order"},
    ),
    "whole-and-float": (
        comparison("Equals", lambda left, right: type(left) is not type(right), lambda *_: False),
        {"whole-and-float", "equal-other-kind"},
    ),
    "number-and-text": (comparison("LessThan", mixed, lambda *_: False), {"number-and-text"}),
    "equal-other-kind": (
        comparison("Equals", mixed, lambda left, right: str(left) == str(right)),
        {"equal-other-kind"},
    ),
    "boolean-order": (
        comparison("GreaterThan", lambda left, right: isinstance(left, bool), lambda left, right: left > right),
        {"boolean-order"},
    ),
    "text-case": (
        comparison("GreaterThan", texts, lambda left, right: left.lower() > right.lower()),
        {"text-case"},
    ),
    "in-other-kind": (membership, {"in-other-kind"}),
    "foreach-empty": (empty_items, {"foreach-empty"}),
    "after-failure": (
        lambda: wrap_method(
            scheduler._ReadySteps,
            "first",
            lambda before, self, limit, **_: before(self, limit, only_recoveries=False),
        ),
        {"foreign-failure", "foreach-failure"},
    ),
    "handled": (lambda: wrap(scheduler.Schedule, "_is_handled", lambda *_: False), {"handled"}),
    "callback-missing": (
        callback(lambda step, given: not given, lambda before, step, declared, given: before(step, (), given)),
        {"callback-missing"},
    ),
    "callback-undeclared": (
        callback(
            lambda step, given: len(given) > 1, lambda before, step, declared, given: before(step, declared, given[:1])
        ),
        {"callback-undeclared"},
    ),
    "callback-mistyped": (
        callback(
            lambda step, given: [one["Value"] for one in given] == ["many"],
            lambda before, step, declared, given: before(step, (), []),
        ),
        {"callback-mistyped"},
    ),
    "stop-success": (
        callback(
            lambda step, given: step.status is StepStatus.STOPPING,
            lambda before, *given: replace(before(*given), status=StepStatus.FAILED),
        ),
        {"stop-success"},
    ),
    "stop-failure": (
        stopped_callback_fails_otherwise,
        {"stop-failure", "callback-missing", "callback-undeclared", "callback-mistyped"},
    ),
    "retry": (list_steps(lambda steps: [{**step, "AttemptCount": 1} for step in steps]), {"retry"}),
    "retry-fail-step": (accept("RetryPipelineExecution", "cannot be retried"), {"retry-fail-step"}),
    "selection": (
        list_steps(lambda steps: [step for step in steps if not step.get("SelectiveExecutionResult")]),
        {"selection"},
    ),
    "same-token": (answer(forget_tokens), {"same-token", "other-request"}),
    "other-request": (recode("StartPipelineExecution"), {"other-request"}),
    "delete-running": (recode("DeletePipeline"), {"delete-running"}),
    "stop-ended": (accept("StopPipelineExecution", "Only pipelines"), {"stop-ended"}),
    "search-contains": (
        lambda: wrap(
            search_filters,
            "_compare",
            lambda before, value, operator, text, **rest: (
                str(text).lower() in str(value).lower()
                if operator == "Contains"
                else before(value, operator, text, **rest)
            ),
        ),
        {"search-contains"},
    ),
    "search-equals": (
        lambda: wrap(search_filters, "_equals", lambda before, value, text: str(value).lower() == text.lower()),
        {"search-equals"},
    ),
    "names": (
        lambda: wrap(pipelines, "find_text_faults", lambda before, definition: []),
        {"long-step-name", "odd-step-name", "long-parameter", "long-default"},
    ),
    "odd-experiment": (
        lambda: wrap(executions, "find_experiment_fault", lambda before, config: None),
        {"odd-experiment"},
    ),
    "short-text": (refuse("CreatePipeline", "masked-role-arn"), {"short-text"}),
    "null-member": (refuse("CreatePipeline", '"NetworkConfig": null'), {"null-member"}),
    "new-instance": (refuse("CreatePipeline", "ml.z9.large"), {"new-instance"}),
    "literals": (
        lambda: wrap(pipelines, "describe_refusal", lambda before, fault: None),
        {"number-as-text", "unknown-member", "null-in-list"},
    ),
    "job-reason": (
        job_end(
            lambda end: "mine" in (end.failure_reason or ""),
            lambda outcome: replace(outcome, failure_reason=str(outcome.failure_reason).removeprefix("ClientError: ")),
        ),
        {"job-reason"},
    ),
    "job-stopped": (
        job_end(lambda end: end.status == "Stopped", lambda outcome: replace(outcome, status=StepStatus.FAILED)),
        {"job-stopped"},
    ),
    "job-timeout": (
        job_end(
            lambda end: "MaxRuntimeInSeconds" in (end.failure_reason or ""),
            lambda outcome: replace(outcome, status=StepStatus.STOPPED),
        ),
        {"job-timeout"},
    ),
    "cache": (cached_only_with_an_age, {"cache"}),
}
"""By name, a rule that is decided otherwise, and the probes that have to find it."""


def main(state_dir: str, faults: list[str]) -> None:
    for name in faults:
        FAULTS[name][0]()
    with serve(state_dir) as server:
        sys.stdout.write(json.dumps(server.environment()) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
