"""Running only some steps of a pipeline: which ones, and which earlier execution gives the results they need.

Source: developer guide, "Selective execution of pipeline steps".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.problems import list_names, suggest
from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.definition.step_places import find_step_problem
from airflow_sm_pipelines.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.definition import PipelineDefinition

MAX_SOURCES = 50
"""How many of the newest executions are asked for results that the selected steps need."""


@dataclass(frozen=True, slots=True)
class StepSelection:
    """Steps to run.

    :param steps: their names, in an order in which they may run.
    :param needs: the other steps whose results they take; these must have succeeded in the source execution.
    """

    steps: tuple[str, ...]
    needs: tuple[str, ...]


def plan_selection(
    definition: PipelineDefinition, *, steps: Iterable[str] = (), from_step: str | None = None
) -> StepSelection:
    """The steps to run. Pure.

    :param steps: names of steps.
    :param from_step: run this step, and all that depends on it, directly or not.
    :raises ParameterError: naming each step that the pipeline does not have.
    """
    from airflow_sm_pipelines.definition import build_graph

    graph = build_graph(definition)
    wanted = [str(name) for name in steps] + ([from_step] if from_step else [])
    problems = []
    for name in dict.fromkeys(wanted):
        if name not in graph.nodes:
            inside = find_step_problem(definition, name) is None
            hint = suggest(name, graph.nodes) or f" It has {list_names(graph.nodes, limit=20)}."
            problems.append(
                f"Step '{name}' is in the body of a ForEach step, and only the whole ForEach step can be selected."
                if inside
                else f"The pipeline has no step '{name}'.{hint}"
            )
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
    """The newest ended execution that has all results which the selection needs; None if it needs none.

    :raises ParameterError: if none of the newest fifty has them.
    """
    if not selection.needs:
        return None
    for number, report in enumerate(calls.list_executions(pipeline)):
        if number >= MAX_SOURCES:
            break
        if report.is_terminal:
            steps = calls.describe_execution_steps(report.arn)
            succeeded = {step.name for step in steps if step.status == StepStatus.SUCCEEDED}
            if succeeded.issuperset(selection.needs):
                return report.arn
    raise ParameterError(
        f"The selected steps need results of {', '.join(selection.needs)}, and none of the newest {MAX_SOURCES} "
        f"executions of '{pipeline}' has them. Run the whole pipeline, select these steps too, or give "
        "source_execution_arn."
    )


def encode_selection(selection: StepSelection, source_arn: str | None) -> dict[str, Any]:
    """The selection as ``StartPipelineExecution`` takes it."""
    found: dict[str, Any] = {"SelectedSteps": [{"StepName": name} for name in selection.steps]}
    if source_arn is not None:
        found["SourcePipelineExecutionArn"] = source_arn
    return found
