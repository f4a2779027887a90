"""What a task keeps of its execution for the page in Airflow's UI: small JSON, made from reports. Pure.

The page's server has no rights on AWS, so it shows what is kept here and nothing else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.outputs import to_json_value
from airflow_sm_pipelines.cost import find_instances
from airflow_sm_pipelines.definition import MISSING
from airflow_sm_pipelines.definition.expressions import ParameterReference, parse_expression

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
    from airflow_sm_pipelines.definition import PipelineDefinition
    from airflow_sm_pipelines.definition.shape import PipelineShape

EXECUTION_KEY = "sagemaker_execution"
"""The XCom of an execution: ARN, status, reason, times, version, parameters and outputs."""

GRAPH_KEY = "sagemaker_graph"
"""The XCom of the pipeline's shape, as its file has it."""

INSTANCES_KEY = "sagemaker_instances"
"""The XCom of the instances that the steps' jobs ask for: ``{step: [[kind, type, number], ...]}``."""

RECORDS_KEY = "sagemaker_steps"
"""The XCom of the steps: of a run task, all of them; of a step's task, its own in each execution, newest last."""

PAGE_KEYS = (EXECUTION_KEY, GRAPH_KEY, INSTANCES_KEY, RECORDS_KEY)

MAX_TEXT = 1000
"""Characters of a reason, an output or a parameter that are kept."""

MAX_LOG_LINES = 20
MAX_HISTORY = 10
"""Log lines, and executions of one step, that are kept."""


def make_step_record(step: StepReport, *, arn: str, log: Sequence[str] = ()) -> dict[str, Any]:
    """One step in one execution, without what is not known.

    :param log: the last lines of its job.
    """
    details = next(iter((step.metadata or {}).values()), None) or {}
    found = {
        "arn": arn,
        "name": step.name,
        "type": step.type,
        "status": str(step.status),
        "start": step.start_time,
        "end": step.end_time,
        "reason": _cut(step.failure_reason),
        "job_arn": step.job_arn,
        "cached_from": step.cached_from,
        "attempts": step.attempts,
        "iteration": step.iteration,
        "outcome": details.get("Outcome"),
        "log": [line[:MAX_TEXT] for line in log][-MAX_LOG_LINES:] or None,
    }
    record: dict[str, Any] = to_json_value({key: value for key, value in found.items() if value is not None})
    return record


def make_step_records(
    report: ExecutionReport, *, logs: Mapping[str, Sequence[str]] | None = None
) -> list[dict[str, Any]]:
    """All steps of an execution.

    :param logs: by step name, the last lines of its job.
    """
    return [make_step_record(step, arn=report.arn, log=(logs or {}).get(step.name, ())) for step in report.steps]


def add_to_history(known: Iterable[Mapping[str, Any]] | None, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The records of a step with a newer one, in the place of its earlier state.

    A step that was resumed begins anew in the same execution: both stay.
    """
    entries = [dict(one) for one in known or () if not _is_earlier_state(one, record)]
    return [*entries, dict(record)][-MAX_HISTORY:]


def make_execution_record(
    report: ExecutionReport,
    *,
    known: Mapping[str, Any] | None = None,
    parameters: Iterable[Mapping[str, str]] | None = None,
    outputs: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """An execution, with what is known of it already.

    :param parameters: those of the start call, as the API has them.
    """
    record = {
        **(known or {}),
        "arn": report.arn,
        "pipeline": report.pipeline_name,
        "status": str(report.status),
        "reason": _cut(report.failure_reason),
    }
    if report.pipeline_version_id is not None:
        record["version"] = report.pipeline_version_id
    starts = [step.start_time for step in report.steps if step.start_time]
    ends = [step.end_time for step in report.steps if step.end_time]
    if starts:
        record["start"] = min(starts)
    if ends and report.is_terminal:
        record["end"] = max(ends)
    if parameters is not None:
        record["parameters"] = {one["Name"]: _cut(one["Value"]) for one in parameters}
    if outputs is not None:
        record["outputs"] = {name: _cut_value(value) for name, value in outputs.items()}
    return record


def make_graph_record(shape: PipelineShape) -> dict[str, Any]:
    """The shape of the pipeline as JSON."""
    from airflow_sm_pipelines.definition.shape import render_shape

    record: dict[str, Any] = json.loads(render_shape(shape))
    return record


def make_instances_record(
    definition: PipelineDefinition, parameters: Iterable[Mapping[str, str]] | None = None
) -> dict[str, list[list[Any]]]:
    """The instances that the jobs of an execution's steps ask for, where they are known before it runs.

    :param parameters: those of the start call, as the API has them.
    :return: the kind of job, the instances' type and their number, of each step that has any.
    """
    values: dict[str, Any] = {one.name: one.default for one in definition.parameters}
    values |= {one["Name"]: one["Value"] for one in parameters or ()}
    found: dict[str, list[list[Any]]] = {}
    for step in definition.iter_steps():
        for asked in find_instances(step.type, step.arguments):
            name, count = (_resolve(value, values) for value in asked)
            count = 1 if count is None else count
            if isinstance(name, str) and str(count).isdigit():
                found.setdefault(step.name, []).append([step.type, name, int(count)])
    return found


def _resolve(value: Any, parameters: Mapping[str, Any]) -> Any:
    """The value, or that of the parameter it refers to; ``MISSING`` for what only a run knows."""
    expression = parse_expression(value)
    if expression is None:
        return value
    return parameters.get(expression.name, MISSING) if isinstance(expression, ParameterReference) else MISSING


def _is_earlier_state(one: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    is_same = all(one.get(name) == record.get(name) for name in ("arn", "iteration"))
    return is_same and one.get("start") in (None, record.get("start"))


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _cut_value(value: Any) -> Any:
    text = json.dumps(value, default=str)
    return value if len(text) <= MAX_TEXT else _cut(text)
