"""What a workflow becomes: pipelines, Airflow tasks between them, and what is to be said of how."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.expressions import iter_candidates
from airflow_sm_pipelines.migrate.dag_plan.pipelines import PipelinePlan, plan_pipeline
from airflow_sm_pipelines.migrate.dag_plan.results import Results
from airflow_sm_pipelines.migrate.dag_plan.steps_after_choice import absorb_tails
from airflow_sm_pipelines.migrate.dag_plan.units import BranchUnit, PipelineUnit, TaskUnit, cut_nodes, iter_units
from airflow_sm_pipelines.migrate.names import Names, clean_name
from airflow_sm_pipelines.migrate.references import own_values
from airflow_sm_pipelines.migrate.report import Outcome, Reason
from airflow_sm_pipelines.migrate.workflow import LoopNode, MissingNode, StepNode, iter_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_sm_pipelines.migrate.dag_plan.units import Unit
    from airflow_sm_pipelines.migrate.workflow import Node, Workflow

MAX_PIPELINE_NAME = 200


@dataclass(frozen=True, slots=True)
class Note:
    """What planning has to add to the record of a node.

    :param target: the node.
    :param outcome: what it now is; None to leave what the reader said.
    """

    target: str
    reason: Reason
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class DagPlan:
    """A workflow as a DAG with pipelines.

    :param units: in an order in which each stands after what it waits for.
    :param pipelines: by unit.
    :param role_arn: the role that all of its jobs name; empty where they name none or several.
    """

    workflow: Workflow
    units: tuple[Unit, ...]
    pipelines: Mapping[str, PipelinePlan]
    results: Results
    role_arn: str
    notes: tuple[Note, ...]
    differences: tuple[Reason, ...]


def plan_dag(workflow: Workflow) -> DagPlan:
    """The DAG and the pipelines that do what a workflow does."""
    names = Names()
    for node in iter_nodes(workflow.nodes):
        names.claim(node.name)
    nodes, copies = absorb_tails(workflow.nodes, names)
    units = cut_nodes(nodes)
    results = Results(units)
    every = iter_units(units)
    for unit in every:
        _ask_for_results(unit, results)
    parameters = {one.name: one for one in workflow.parameters}
    wholes = [unit for unit in every if isinstance(unit, PipelineUnit)]
    pipeline_names = Names(max_length=MAX_PIPELINE_NAME)
    pipelines = {
        unit.name: plan_pipeline(
            unit,
            name=_name_pipeline(workflow.name, unit.name if len(wholes) > 1 else "", pipeline_names),
            parameters=parameters,
            results=results,
            names=names,
        )
        for unit in wholes
    }
    return DagPlan(
        workflow,
        units,
        pipelines,
        results,
        _find_role(nodes),
        (*_note_copies(copies), *_note_units(every)),
        tuple(_find_differences(every, len(wholes))),
    )


def _ask_for_results(unit: Unit, results: Results) -> None:
    """Let the pipelines whose steps a task reads give them out."""
    nodes = unit.nodes if isinstance(unit, PipelineUnit) else (unit.node,)
    asking = [unit.loop] if isinstance(unit, PipelineUnit) and unit.loop is not None else nodes
    for node in asking:
        for value in own_values(node):
            for _, expression in iter_candidates(value):
                results.find(expression, reader=unit.name)


def _name_pipeline(workflow: str, unit: str, names: Names) -> str:
    is_named_so = unit.lower().startswith((f"{workflow}-".lower(), f"{workflow}_".lower()))
    wanted = unit if is_named_so else f"{workflow}-{unit}" if unit else workflow
    # A pipeline's name has no underscore; source: the API's PipelineName.
    return names.claim(clean_name(wanted, max_length=MAX_PIPELINE_NAME).replace("_", "-"), otherwise="pipeline")


def _find_role(nodes: tuple[Node, ...]) -> str:
    roles = {
        role
        for node in iter_nodes(nodes)
        if isinstance(node, StepNode)
        for key in ("RoleArn", "ExecutionRoleArn")
        if isinstance(role := node.arguments.get(key), str)
    }
    return roles.pop() if len(roles) == 1 else ""


def _note_copies(copies: Mapping[str, str]) -> Iterator[Note]:
    for original, count in Counter(copies.values()).items():
        others = ", ".join(copy for copy, of in copies.items() if of == original)
        text = (
            f"Stands {count + 1} times ({original}, {others}), in each branch that goes on with it: a pipeline cannot "
            "go on after a condition, whichever way it went."
        )
        yield Note(original, Reason("PLAN-COPY-001", text), Outcome.APPROXIMATED)


def _note_units(units: Sequence[Unit]) -> Iterator[Note]:
    for unit in units:
        if isinstance(unit, BranchUnit):
            text = (
                "Airflow makes this choice: on its ways, or after it, is work that its pipeline could not go on with."
            )
            yield Note(unit.name, Reason("PLAN-BRANCH-001", text), Outcome.AIRFLOW)
        elif isinstance(unit, PipelineUnit) and unit.loop is not None:
            text = "Airflow starts an execution of a pipeline of its own for each item (a mapped task)."
            yield Note(unit.loop.name, Reason("PLAN-MAP-001", text), Outcome.AIRFLOW)
        elif isinstance(unit, TaskUnit):
            yield from _note_task(unit)


def _note_task(unit: TaskUnit) -> Iterator[Note]:
    if isinstance(unit.node, MissingNode) and unit.is_loop:
        yield Note(unit.name, Reason("PLAN-LOOP-001", unit.node.action), Outcome.UNSUPPORTED)
    if len({upstream.trigger for upstream in unit.upstream}) > 1:
        text = "Waits for the success of some and the failure of others; its task runs when one of them has failed."
        yield Note(unit.name, Reason("PLAN-RULE-001", text), Outcome.APPROXIMATED)


def _find_differences(units: Sequence[Unit], pipelines: int) -> Iterator[Reason]:
    if pipelines > 1:
        yield Reason(
            "PLAN-SPLIT-001",
            f"The workflow becomes {pipelines} pipelines with Airflow tasks between them. A task after a pipeline "
            "waits for all of that pipeline, not for one step of it.",
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
            f"When a step fails and another takes care of it ({caught[0].name}), the execution ends as "
            "CompletedWithFailures, and the Airflow task fails. on_completed_with_failures='succeed' lets it pass.",
        )
    if any(isinstance(unit, PipelineUnit) and any(isinstance(one, LoopNode) for one in unit.nodes) for unit in units):
        yield Reason("PLAN-LOOP-002", "The list of a ForEach step holds at most 100 items.")
