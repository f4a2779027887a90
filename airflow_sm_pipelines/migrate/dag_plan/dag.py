"""Plans a whole DAG: its pipelines, the Airflow tasks between them, and the notes that the report gives on both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.expressions import iter_candidates
from airflow_sm_pipelines.migrate.dag_plan.node_results import Results
from airflow_sm_pipelines.migrate.dag_plan.pipeline_plan import PipelinePlan, plan_pipeline
from airflow_sm_pipelines.migrate.dag_plan.steps_after_choice import move_steps_into_branches
from airflow_sm_pipelines.migrate.dag_plan.units import (
    ChoiceUnit,
    LoopUnit,
    PipelineUnit,
    TaskUnit,
    TryUnit,
    iter_units,
    split_into_units,
)
from airflow_sm_pipelines.migrate.names import ClaimedNames, clean_name
from airflow_sm_pipelines.migrate.node_references import check_workflow, find_own_values
from airflow_sm_pipelines.migrate.report import Outcome, Reason
from airflow_sm_pipelines.migrate.workflow import LoopNode, MissingNode, PipelineStepNode, iter_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_sm_pipelines.migrate.dag_plan.units import Unit
    from airflow_sm_pipelines.migrate.workflow import Node, Workflow

MAX_PIPELINE_NAME = 200


@dataclass(frozen=True, slots=True)
class Note:
    """What planning adds to the record of a node.

    :param target: the node's name.
    :param outcome: the node's outcome from now on; None keeps the one that the reader gave.
    """

    target: str
    reason: Reason
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class DagPlan:
    """A workflow as a DAG with pipelines.

    :param units: each after the units that it waits for.
    :param pipelines: by the name of the unit.
    :param role_arn: the role that all jobs name; empty if they name none, or different ones.
    :param copies: for the name of each step that was copied into another branch, the name of its original.
    """

    workflow: Workflow
    units: tuple[Unit, ...]
    pipelines: Mapping[str, PipelinePlan]
    results: Results
    role_arn: str
    notes: tuple[Note, ...]
    differences: tuple[Reason, ...]
    copies: Mapping[str, str]


def plan_dag(workflow: Workflow) -> DagPlan:
    """Plan the DAG and the pipelines that do what a workflow does."""
    check_workflow(workflow)
    names = ClaimedNames()
    for node in iter_nodes(workflow.nodes):
        names.claim(node.name)
    nodes, copies = move_steps_into_branches(workflow.nodes, names)
    units = split_into_units(nodes)
    results = Results(units)
    every = list(iter_units(units))
    for unit in every:
        _request_results(unit, results)
    parameters = {one.name: one for one in workflow.parameters}
    pipeline_units = [unit for unit in every if isinstance(unit, PipelineUnit)]
    pipeline_names = ClaimedNames(max_length=MAX_PIPELINE_NAME)
    pipelines = {
        unit.name: plan_pipeline(
            unit,
            name=_name_pipeline(workflow.name, unit.name if len(pipeline_units) > 1 else "", pipeline_names),
            parameters=parameters,
            results=results,
            names=names,
            has_run_id=len(every) > 1,
        )
        for unit in pipeline_units
    }
    return DagPlan(
        workflow,
        units,
        pipelines,
        results,
        _find_role(nodes),
        (*_iter_copy_notes(copies), *_iter_unit_notes(every)),
        tuple(_iter_differences(every, len(pipeline_units))),
        copies,
    )


def _request_results(unit: Unit, results: Results) -> None:
    """Have the pipelines give out the values that a task reads from their steps."""
    if isinstance(unit, TryUnit):
        return
    nodes = unit.nodes if isinstance(unit, PipelineUnit) else (unit.node,)
    asking: Sequence[Node] = nodes
    if isinstance(unit, PipelineUnit) and unit.loop is not None:
        asking = (unit.loop,)
    elif isinstance(unit, ChoiceUnit):
        asking = (replace(unit.node, branches=tuple(replace(one, nodes=()) for one in unit.node.branches)),)
    elif isinstance(unit, LoopUnit):
        asking = (replace(unit.node, nodes=()),)
    for node in iter_nodes(tuple(asking)):
        for value in find_own_values(node):
            for _, expression in iter_candidates(value):
                results.find(expression, reader=unit.name)


def _name_pipeline(workflow: str, unit: str, names: ClaimedNames) -> str:
    is_named_so = unit.lower().startswith((f"{workflow}-".lower(), f"{workflow}_".lower()))
    wanted = unit if is_named_so else f"{workflow}-{unit}" if unit else workflow
    # A pipeline's name has no underscore; source: the API's PipelineName.
    return names.claim(clean_name(wanted, max_length=MAX_PIPELINE_NAME).replace("_", "-"), otherwise="pipeline")


def _find_role(nodes: tuple[Node, ...]) -> str:
    roles = {
        role
        for node in iter_nodes(nodes)
        if isinstance(node, PipelineStepNode)
        for key in ("RoleArn", "ExecutionRoleArn")
        if isinstance(role := node.arguments.get(key), str)
    }
    return roles.pop() if len(roles) == 1 else ""


def _iter_copy_notes(copies: Mapping[str, str]) -> Iterator[Note]:
    for original in dict.fromkeys(copies.values()):
        others = ", ".join(copy for copy, of in copies.items() if of == original)
        text = (
            f"Copied into each branch that goes on with it ({original}, {others}): a pipeline has no step that runs "
            "after a condition whichever branch was taken."
        )
        yield Note(original, Reason("PLAN-COPY-001", text), Outcome.APPROXIMATED)


def _iter_unit_notes(units: Sequence[Unit]) -> Iterator[Note]:
    named = {unit.name: unit for unit in units}
    for unit in units:
        yield from _iter_handler_notes(unit, named)
        if isinstance(unit, TryUnit):
            text = (
                "Airflow looks whether this work failed, and runs its handler then. Each attempt of a failed pipeline "
                "counts as one failure, whatever its error is called."
            )
            yield Note(unit.name, Reason("PLAN-TRY-001", text), Outcome.AIRFLOW)
        elif isinstance(unit, ChoiceUnit):
            text = "Airflow makes this choice: in its branches or after it is work that a pipeline cannot do."
            yield Note(unit.name, Reason("PLAN-BRANCH-001", text), Outcome.AIRFLOW)
        elif isinstance(unit, PipelineUnit) and unit.loop is not None:
            text = "A pipeline of its own does this loop: a mapped Airflow task starts one execution for each item."
            yield Note(unit.loop.name, Reason("PLAN-MAP-001", text), Outcome.AIRFLOW)
        elif isinstance(unit, LoopUnit):
            text = (
                "Airflow repeats this loop: a group of tasks is mapped over the items. Its limit of items at once "
                "holds for each task, and Airflow maps at most 1,024 items ([core] max_map_length)."
            )
            yield Note(unit.name, Reason("PLAN-MAP-002", text), Outcome.AIRFLOW)
        elif isinstance(unit, TaskUnit):
            yield from _iter_task_notes(unit)


def _iter_handler_notes(unit: Unit, units: Mapping[str, Unit]) -> Iterator[Note]:
    """What handles the failure of one step handles that of the whole pipeline, where Airflow runs it."""
    for upstream in unit.upstream:
        other = units.get(upstream.unit)
        if upstream.trigger != "Completed" and isinstance(other, PipelineUnit) and len(other.nodes) > 1:
            text = (
                f"It runs if any step of the pipeline that begins with {other.name} fails, or what comes before that "
                "pipeline, not only the step whose failure it handles."
            )
            yield Note(unit.name, Reason("PLAN-HANDLER-001", text), Outcome.APPROXIMATED)


def _iter_task_notes(unit: TaskUnit) -> Iterator[Note]:
    if isinstance(unit.node, MissingNode):
        for name in (unit.name, *unit.lost) if unit.lost else ():
            yield Note(name, Reason("PLAN-LOOP-001", unit.node.action), Outcome.UNSUPPORTED)
    if len({upstream.trigger for upstream in unit.upstream}) > 1:
        text = "It waits for some nodes to succeed and for others to fail; its task runs as soon as one has failed."
        yield Note(unit.name, Reason("PLAN-RULE-001", text), Outcome.APPROXIMATED)


def _iter_differences(units: Sequence[Unit], pipelines: int) -> Iterator[Reason]:
    if pipelines > 1:
        yield Reason(
            "PLAN-SPLIT-001",
            f"The workflow becomes {pipelines} pipelines with Airflow tasks between them. A task after a pipeline "
            "waits for the whole pipeline, not for one of its steps.",
        )
    caught = [
        node
        for unit in units
        if isinstance(unit, PipelineUnit)
        for node in iter_nodes(unit.nodes)
        if any(one.trigger != "Completed" for one in node.after)
    ]
    if caught:
        yield Reason(
            "PLAN-STATUS-001",
            f"If a step fails and another one handles that ({caught[0].name}), the execution ends as "
            "CompletedWithFailures, and the Airflow task fails. on_completed_with_failures='succeed' lets it succeed.",
        )
    if any(isinstance(unit, PipelineUnit) and any(isinstance(one, LoopNode) for one in unit.nodes) for unit in units):
        yield Reason("PLAN-LOOP-002", "The list of a ForEach step holds at most 100 items.")
