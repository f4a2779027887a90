"""The rule on steps' arguments: they must fit the API calls that the steps make.

SageMaker checks some literals when a pipeline is created; other mistakes fail when the step starts. This rule finds all
of them at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.expressions import is_expression
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.policy.fault_messages import describe_fault
from airflow_sm_pipelines.policy.findings import Finding, Severity, find
from airflow_sm_pipelines.service_model import LINEAGE_CALLS, STEP_CALLS, judge_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, PipelineDefinition
    from airflow_sm_pipelines.service_model import StepCall

RULE = "step-arguments"


def check_arguments(definition: PipelineDefinition) -> Iterator[Finding]:
    """Find every argument that does not fit the call of its step. A step whose call the model does not know passes."""
    for path, step in iter_step_places(definition):
        place = (*path, "Arguments")
        if step.type == "Lineage":
            for key, call in LINEAGE_CALLS.items():
                entries = step.arguments.get(key)
                for index, entry in enumerate(entries if isinstance(entries, list) else []):
                    if isinstance(entry, dict):
                        yield from _check(step.name, call, entry, (*place, key, index), is_certain=False)
        elif step.type in STEP_CALLS:
            yield from _check(step.name, STEP_CALLS[step.type], step.arguments, place)


def _check(
    step_name: str, call: StepCall, request: JsonObject, place: JsonPath, *, is_certain: bool = True
) -> Iterator[Finding]:
    """Find what is wrong with a request.

    :param is_certain: whether the step's arguments are known to be the call's request.
    """
    for fault in judge_arguments(call, request, is_expression=is_expression).faults:
        where, message, fix = describe_fault(fault)
        severity = Severity.ERROR if fault.kind.is_wrong and is_certain else Severity.WARNING
        yield find(RULE, severity, (*place, *where), f"step {step_name!r}: {message}", fix)
