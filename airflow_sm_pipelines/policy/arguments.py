"""The arguments of steps against the API calls that the steps make.

SageMaker checks the literals of a definition against the model of the job's API when a pipeline is made, so a wrong
enum or a missing member fails there; other mistakes fail when the step starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.policy.findings import Finding, Severity, find
from airflow_sm_pipelines.policy.shapes import compare_with_shape, load_service_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, PipelineDefinition

RULE = "step-arguments"


@dataclass(frozen=True, slots=True)
class _Call:
    """The call that a step makes.

    :param own_members: required members that SageMaker fills in itself: the job's name.
    :param is_certain: whether the step's arguments are known to be the call's request.
    """

    operation: str
    own_members: frozenset[str] = frozenset()
    is_certain: bool = True


_CALLS = {
    "Processing": _Call("CreateProcessingJob", frozenset({"ProcessingJobName"})),
    "QualityCheck": _Call("CreateProcessingJob", frozenset({"ProcessingJobName"})),
    "ClarifyCheck": _Call("CreateProcessingJob", frozenset({"ProcessingJobName"})),
    "Training": _Call("CreateTrainingJob", frozenset({"TrainingJobName"})),
    "Transform": _Call("CreateTransformJob", frozenset({"TransformJobName"})),
    "Tuning": _Call("CreateHyperParameterTuningJob", frozenset({"HyperParameterTuningJobName"})),
    "AutoML": _Call("CreateAutoMLJob", frozenset({"AutoMLJobName"})),
    "Model": _Call("CreateModel", frozenset({"ModelName"})),
    "RegisterModel": _Call("CreateModelPackage"),
    "EndpointConfig": _Call("CreateEndpointConfig", frozenset({"EndpointConfigName"})),
    "Endpoint": _Call("CreateEndpoint", frozenset({"EndpointName"})),
    "InferenceComponent": _Call("CreateInferenceComponent", frozenset({"InferenceComponentName"})),
    "Job": _Call("CreateJob", frozenset({"JobName"})),
}

# Required by the calls, yet pipelines without it are deployed and running: the pipeline's own role stands in.
_OPTIONAL_IN_STEPS = frozenset({"RoleArn"})

_LINEAGE_CALLS = {
    "Actions": _Call("CreateAction", is_certain=False),
    "Artifacts": _Call("CreateArtifact", is_certain=False),
    "Contexts": _Call("CreateContext", is_certain=False),
}


def find_operation(step_type: str) -> str | None:
    """The API operation whose request a step's ``Arguments`` are; None for a step of another kind."""
    call = _CALLS.get(step_type)
    return None if call is None else call.operation


def check_arguments(definition: PipelineDefinition) -> Iterator[Finding]:
    """Every argument that does not fit the call its step makes; steps whose call botocore does not know pass."""
    for path, step in iter_step_places(definition):
        place = (*path, "Arguments")
        if step.type == "Lineage":
            for key, call in _LINEAGE_CALLS.items():
                entries = step.arguments.get(key)
                for index, entry in enumerate(entries if isinstance(entries, list) else []):
                    if isinstance(entry, dict):
                        yield from _compare(step.name, call, entry, (*place, key, index))
        elif step.type in _CALLS:
            yield from _compare(step.name, _CALLS[step.type], step.arguments, place)


def _compare(step_name: str, call: _Call, request: JsonObject, place: JsonPath) -> Iterator[Finding]:
    model = load_service_model()
    if call.operation not in model.operation_names:  # an older botocore
        return
    shape = model.operation_model(call.operation).input_shape
    for mismatch in compare_with_shape(request, shape, without=call.own_members | _OPTIONAL_IN_STEPS):
        where = (*place, *mismatch.place)
        severity = mismatch.severity if call.is_certain else Severity.WARNING
        yield find(RULE, severity, where, f"step {step_name!r}: {mismatch.message}", mismatch.fix)
