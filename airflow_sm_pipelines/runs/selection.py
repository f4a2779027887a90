"""Running some steps of a pipeline: which ones, and on which earlier execution they stand.

Source: developer guide, "Selective execution of pipeline steps".
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.definition import PipelineDefinition

MAX_SOURCES = 50
"""How many of the newest executions are asked whether the selected steps can stand on them."""


@dataclass(frozen=True, slots=True)
class StepSelection:
    """Steps to run.

    :param steps: their names, in an order in which they may run.
    :param stands_on: the steps outside that they take results of, which must have succeeded in the source execution.
    """

    steps: tuple[str, ...]
    stands_on: tuple[str, ...]


def plan_selection(
    definition: PipelineDefinition, *, steps: Iterable[str] = (), from_step: str | None = None
) -> StepSelection:
    """The steps to run. Pure.

    :param steps: names of steps.
    :param from_step: this step, and all that depends on it, directly or not.
    :raises ParameterError: naming each step that the pipeline does not have.
    """
    from airflow_sm_pipelines.definition import build_graph

    graph = build_graph(definition)
    wanted = [str(name) for name in steps] + ([from_step] if from_step else [])
    problems = []
    for name in dict.fromkeys(wanted):
        if name not in graph.nodes:
            near = get_close_matches(name, graph.nodes, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else f" It has {', '.join(graph.nodes)}."
            problems.append(f"The pipeline has no step '{name}'.{hint}")
    if problems:
        raise ParameterError("\n".join(problems))
    chosen = set(wanted)
    work = [from_step] if from_step else []
    while work:
        for name in graph.downstream(work.pop()):
            if name not in chosen:
                chosen.add(name)
                work.append(name)
    needed = {other for name in chosen for other in graph.nodes[name].waits_for} - chosen
    return StepSelection(
        tuple(name for name in graph.order if name in chosen), tuple(name for name in graph.order if name in needed)
    )


def find_source(calls: SageMakerCalls, pipeline: str, selection: StepSelection) -> str | None:
    """The newest ended execution in which all succeeded that the selection stands on; None if it needs none.

    :raises ParameterError: if none of the newest fifty will do.
    """
    if not selection.stands_on:
        return None
    for number, report in enumerate(calls.list_executions(pipeline)):
        if number >= MAX_SOURCES:
            break
        if report.is_terminal:
            steps = calls.describe_execution_steps(report.arn)
            succeeded = {step.name for step in steps if step.status == StepStatus.SUCCEEDED}
            if succeeded.issuperset(selection.stands_on):
                return report.arn
    raise ParameterError(
        f"No execution of '{pipeline}' can be stood on: none of the newest {MAX_SOURCES} has ended with "
        f"{', '.join(selection.stands_on)} succeeded. Run the whole pipeline, select these steps too, or give "
        "source_execution_arn."
    )


def write_selection(selection: StepSelection, source_arn: str | None) -> dict[str, Any]:
    """The selection as ``StartPipelineExecution`` takes it."""
    found: dict[str, Any] = {"SelectedSteps": [{"StepName": name} for name in selection.steps]}
    if source_arn is not None:
        found["SourcePipelineExecutionArn"] = source_arn
    return found
