"""The rule on steps' arguments: they must fit the API calls that the steps make.

SageMaker checks some of it when a pipeline is created; other mistakes fail when the step starts. This rule finds all of
them at once. The endpoint asks :func:`iter_argument_faults`, too, and words them as the service does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.expressions import (
    ExecutionReference,
    ExperimentReference,
    Join,
    ParameterReference,
    StepReference,
    is_expression,
    parse_expression,
)
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.policy.fault_messages import describe_fault
from airflow_sm_pipelines.policy.findings import Finding, Severity, find
from airflow_sm_pipelines.service_model import (
    LINEAGE_CALLS,
    STEP_CALLS,
    UNKNOWN_TYPE,
    find_property_type,
    judge_arguments,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonPath, JsonValue, PipelineDefinition
    from airflow_sm_pipelines.service_model import ExpressionType, Fault

RULE = "step-arguments"
_TEXTS = (ExecutionReference, ExperimentReference, Join)


@dataclass(frozen=True, slots=True)
class ArgumentFault:
    """A value in a step's arguments that does not fit the call of the step.

    :param path: of the request that was judged; the fault's own path goes on from there.
    :param is_certain: whether the step's arguments are known to be the call's request.
    """

    step: str
    path: JsonPath
    fault: Fault
    is_certain: bool = True


def check_arguments(definition: PipelineDefinition) -> Iterator[Finding]:
    """Find every argument that does not fit the call of its step. A step whose call the model does not know passes."""
    for found in iter_argument_faults(definition):
        where, message, fix = describe_fault(found.fault)
        severity = Severity.ERROR if found.fault.kind.is_wrong and found.is_certain else Severity.WARNING
        yield find(RULE, severity, (*found.path, *where), f"step {found.step!r}: {message}", fix)


def iter_argument_faults(definition: PipelineDefinition) -> Iterator[ArgumentFault]:
    """Find every argument that does not fit, step by step."""
    type_of = make_expression_type(definition)
    for path, step in iter_step_places(definition):
        place = (*path, "Arguments")
        if step.type == "Lineage":
            for key, call in LINEAGE_CALLS.items():
                entries = step.arguments.get(key)
                for index, entry in enumerate(entries if isinstance(entries, list) else []):
                    if isinstance(entry, dict):
                        for fault in judge_arguments(call, entry, expression_type=type_of).faults:
                            yield ArgumentFault(step.name, (*place, key, index), fault, is_certain=False)
        elif step.type in STEP_CALLS:
            for fault in judge_arguments(STEP_CALLS[step.type], step.arguments, expression_type=type_of).faults:
                yield ArgumentFault(step.name, place, fault)


def make_expression_type(definition: PipelineDefinition) -> ExpressionType:
    """Make what tells the type of an expression's value in a valid definition, as far as it is known."""
    parameters = {parameter.name: parameter.type for parameter in definition.parameters}
    steps = {step.name: step.type for _, step in iter_step_places(definition)}

    def expression_type(value: JsonValue) -> str | None:
        if not is_expression(value):
            return None
        expression = parse_expression(value)
        if isinstance(expression, ParameterReference):
            return parameters.get(expression.name, UNKNOWN_TYPE)
        if isinstance(expression, StepReference):
            return find_property_type(steps.get(expression.step, ""), expression.path)
        return "String" if isinstance(expression, _TEXTS) else UNKNOWN_TYPE

    return expression_type
