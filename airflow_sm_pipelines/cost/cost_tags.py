"""Adds tags to a definition, by which a bill tells pipelines, executions, steps and DAG runs apart.

A value that differs between runs is an expression: an execution variable of the pipeline, or one of two pipeline
parameters for the DAG and its run. So the definition stays the same, and a run makes no new version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Missing, parse_definition
from airflow_sm_pipelines.definition.json_value import put_value
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.exceptions import DefinitionError
from airflow_sm_pipelines.policy.governed_places import iter_step_governed
from airflow_sm_pipelines.policy.shape_kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import JsonValue, PipelineDefinition, Step

PREFIX = "sm-pipelines:"

COST_PARAMETERS = {"AirflowDagId": "{{ dag.dag_id }}", "AirflowRunId": "{{ run_id }}"}
"""The ``parameters`` that the run operator needs, besides others, to fill in the DAG and the run."""

_NOT_FROM_AIRFLOW = "none"


def with_cost_tags(definition: PipelineDefinition, tags: Mapping[str, str] | None = None) -> PipelineDefinition:
    """The definition with cost tags on every job, model and endpoint that its steps make.

    The tags are ``sm-pipelines:pipeline``, ``:execution``, ``:step``, ``:dag`` and ``:run``. Tags that a step already
    has stay. The parameters ``AirflowDagId`` and ``AirflowRunId`` are added, with the default ``none``.

    :param tags: more tags, the same in every execution, such as the team or the cost centre.
    :raises DefinitionError: the definition has a parameter with one of these names that is no String.
    """
    for parameter in definition.parameters:
        if parameter.name in COST_PARAMETERS and parameter.type != "String":
            raise DefinitionError(
                f"Parameter {parameter.name!r} has the type {parameter.type}; cost tags need a String with that name."
            )
    document = definition.to_json()
    steps = list(iter_step_places(definition))
    is_tagged = False
    for place, step in steps:
        if step.type == "RegisterModel" and "ModelPackageGroupName" in step.arguments:
            # A versioned package uses its group's tags, and may be given none (API reference, CreateModelPackage).
            continue
        for governed in iter_step_governed(step):
            present = governed.value
            if governed.kind is Kind.TAGS and isinstance(present, (list, Missing)):
                put_value(document, (*place, *governed.path), _add_tags(present, _make_tags(step, tags or {})))
                is_tagged = True
    known = {parameter.name for parameter in definition.parameters}
    added: list[JsonValue] = [
        {"Name": name, "Type": "String", "DefaultValue": _NOT_FROM_AIRFLOW}
        for name in COST_PARAMETERS
        if name not in known and is_tagged
    ]
    declared = document.get("Parameters")
    if added:
        document["Parameters"] = [*(declared if isinstance(declared, list) else []), *added]
    return parse_definition(document, name="the definition with cost tags")


def _make_tags(step: Step, more: Mapping[str, str]) -> dict[str, JsonValue]:
    return {
        f"{PREFIX}pipeline": {"Get": "Execution.PipelineName"},
        f"{PREFIX}execution": {"Get": "Execution.PipelineExecutionId"},
        f"{PREFIX}step": step.name,
        f"{PREFIX}dag": {"Get": "Parameters.AirflowDagId"},
        f"{PREFIX}run": {"Get": "Parameters.AirflowRunId"},
        **more,
    }


def _add_tags(present: list[JsonValue] | Missing, wanted: Mapping[str, JsonValue]) -> list[JsonValue]:
    own = present if isinstance(present, list) else []
    keys = {item.get("Key") for item in own if isinstance(item, dict)}
    added: list[JsonValue] = [{"Key": key, "Value": value} for key, value in wanted.items() if key not in keys]
    return [*own, *added]
