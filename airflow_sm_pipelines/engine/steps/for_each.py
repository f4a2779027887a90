"""ForEach steps: they find the items at the beginning, and summarize the iterations at the end.

The scheduler starts the steps of the iterations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import ForEachStep, IterationReference, parse_expression
from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.definition.steps import name_iteration
from airflow_sm_pipelines.engine.rules.errors import ResolutionError, StepError
from airflow_sm_pipelines.engine.rules.fan_out import read_items
from airflow_sm_pipelines.engine.rules.resolver import resolve
from airflow_sm_pipelines.engine.steps.task import StepOutcome, StepTask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.engine.rules.fan_out import FanOut

_MAX_NAMED_FAILURES = 5


class ForEachExecutor:
    """Begins a ForEach step. Its items are resolved only once, even if RetryPipelineExecution runs it again."""

    is_instant = True

    def prepare(self, task: StepTask) -> list[JsonValue]:
        """The items."""
        if not isinstance(task.step, ForEachStep):
            raise StepError(f"Step '{task.step.name}' has no items.")
        record = task.store.steps.find(task.execution_id, task.step.name)
        if record is not None and record.items is not None:
            return record.items
        return read_items(resolve(task.step.items, task.scope), step=task.step.name)

    def run(self, task: StepTask, prepared: list[JsonValue]) -> StepOutcome | None:
        """Record the items. The step ends when the steps made for them have ended."""
        task.mark_executing(items=prepared)
        return None


def summarize_iterations(
    fan_out: FanOut,
    status: StepStatus,
    statuses: Mapping[str, StepStatus],
    look_up: Callable[[str, tuple[str | int, ...]], JsonValue],
) -> StepOutcome:
    """The outcome of a ForEach step.

    :param statuses: the statuses of the steps it made.
    :param look_up: gives the property of a step by name and path.
    """
    reason = None
    selected: tuple[str, int] | None = None
    if status is StepStatus.SUCCEEDED and fan_out.step.selector:
        try:
            selected = _select(fan_out, statuses, look_up)
        except StepError as error:
            status, reason = StepStatus.FAILED, str(error)
    counts: JsonObject = {
        "Status": status.value,
        "InputItemCount": len(fan_out.items),
        "TotalStepCount": len(fan_out.graph.nodes),
        **{
            f"{ended.value}StepCount": sum(found is ended for found in statuses.values())
            for ended in (StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.STOPPED)
        },
    }
    metadata = dict(counts)
    properties = dict(counts)
    if selected is not None:
        metadata["Selector"] = {"StepName": selected[0], "Index": selected[1]}
        properties["Selected"] = name_iteration(*selected)
    if status is StepStatus.FAILED and reason is None:
        failed = [name for name, found in statuses.items() if found in (StepStatus.FAILED, StepStatus.STOPPED)]
        more = f" and {len(failed) - _MAX_NAMED_FAILURES} more" if len(failed) > _MAX_NAMED_FAILURES else ""
        reason = f"Iteration steps failed: {', '.join(failed[:_MAX_NAMED_FAILURES])}{more}"
    return StepOutcome(status=status, failure_reason=reason, metadata={"ForEach": metadata}, properties=properties)


def _select(
    fan_out: FanOut,
    statuses: Mapping[str, StepStatus],
    look_up: Callable[[str, tuple[str | int, ...]], JsonValue],
) -> tuple[str, int] | None:
    """The body step and index of the iteration that the selector picks; of equal ones, the first."""
    selector = fan_out.step.selector or {}
    field = parse_expression(selector.get("Field"))
    if not isinstance(field, IterationReference):
        raise StepError(f"Selector.Field of step '{fan_out.step.name}' must be an IterationOutput reference.")
    values: dict[int, float] = {}
    for index in range(len(fan_out.items)):
        child = name_iteration(field.body_step, index)
        if statuses.get(child) is StepStatus.SUCCEEDED:
            values[index] = _as_number(look_up(child, field.path), child=child, field=str(field))
    if not values:
        return None
    pick = min if selector.get("Pick") == "MinBy" else max
    return field.body_step, pick(values, key=lambda index: values[index])


def _as_number(value: JsonValue, *, child: str, field: str) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError
        return float(value)
    except ValueError:
        raise ResolutionError(
            f"The selector compares '{field}', which is not a number in step '{child}': {value!r:.100}."
        ) from None
