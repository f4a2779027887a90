"""Which call of the API each type of step makes, and what stands at a place of its request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.service_model.api_model import Operation, Shape, load_service_model
from airflow_sm_pipelines.service_model.walk import (
    EACH,
    UNKNOWN_TYPE,
    ExpressionType,
    Fault,
    FaultKind,
    Judgement,
    ValuePath,
    judge_value,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_ROLE: frozenset[ValuePath] = frozenset({("RoleArn",)})
_TRIAL_ROLES: frozenset[ValuePath] = frozenset(
    {("TrainingJobDefinition", "RoleArn"), ("TrainingJobDefinitions", EACH, "RoleArn")}
)


@dataclass(frozen=True, slots=True)
class StepCall:
    """The call that a step makes.

    :param operation: its request is the step's ``Arguments``.
    :param name_member: names what the call makes. The step need not give it: SageMaker makes a name.
    :param roles: where the request names its role. The step need not: pipelines without it are deployed and running,
        with the pipeline's own role.
    :param closed: members of the request that a step may not give.
    """

    operation: str
    name_member: str = ""
    roles: frozenset[ValuePath] = frozenset()
    closed: frozenset[str] = frozenset()

    @property
    def may_miss(self) -> frozenset[ValuePath]:
        """The required members that the step need not give."""
        return self.roles | ({(self.name_member,)} if self.name_member else frozenset())

    def find_operation(self) -> Operation | None:
        """The operation; None where the model is older than the call."""
        return _find_operation(self.operation)

    def find_answer(self) -> Shape | None:
        """The Describe answer of what the step makes: the step's properties. None where there is no such call."""
        operation = _find_operation(self.operation.replace("Create", "Describe", 1))
        return operation.output_shape if operation else None


STEP_CALLS: Mapping[str, StepCall] = {
    "Processing": StepCall("CreateProcessingJob", "ProcessingJobName", _ROLE),
    "QualityCheck": StepCall("CreateProcessingJob", "ProcessingJobName", _ROLE),
    "ClarifyCheck": StepCall("CreateProcessingJob", "ProcessingJobName", _ROLE),
    "Training": StepCall("CreateTrainingJob", "TrainingJobName", _ROLE),
    "Transform": StepCall("CreateTransformJob", "TransformJobName"),
    "Tuning": StepCall("CreateHyperParameterTuningJob", "HyperParameterTuningJobName", _TRIAL_ROLES),
    "AutoML": StepCall("CreateAutoMLJob", "AutoMLJobName", _ROLE),
    "Model": StepCall("CreateModel", "ModelName"),
    # Pipelines leave out the name of an unversioned package (aws/sagemaker-python-sdk, pull request 3472).
    "RegisterModel": StepCall("CreateModelPackage", closed=frozenset({"ModelPackageName"})),
    "EndpointConfig": StepCall("CreateEndpointConfig", "EndpointConfigName"),
    "Endpoint": StepCall("CreateEndpoint", "EndpointName"),
    "InferenceComponent": StepCall("CreateInferenceComponent", "InferenceComponentName"),
    "Job": StepCall("CreateJob", "JobName", _ROLE),
}
"""By step type. Other types make no call of the SageMaker API, or one whose request nobody has documented."""

LINEAGE_CALLS: Mapping[str, StepCall] = {
    "Actions": StepCall("CreateAction"),
    "Artifacts": StepCall("CreateArtifact"),
    "Contexts": StepCall("CreateContext"),
}
"""By the list in a Lineage step's arguments that probably holds requests of the call."""

_PARAMETER_TYPES = {
    "string": "String",
    "integer": "Integer",
    "long": "Integer",
    "float": "Float",
    "double": "Float",
    "boolean": "Boolean",
}


def judge_arguments(call: StepCall, arguments: Mapping[str, Any], *, expression_type: ExpressionType) -> Judgement:
    """Hold the arguments of a step against the request of its call; a call that the model does not know takes all.

    :param expression_type: tells a part whose value is not known before the step runs.
    """
    operation = call.find_operation()
    if operation is None or operation.input_shape is None:
        return Judgement(arguments, [])
    judgement = judge_value(arguments, operation.input_shape, expression_type=expression_type, may_miss=call.may_miss)
    for name in sorted(call.closed & arguments.keys()) if isinstance(arguments, dict) else ():
        judgement.faults.append(Fault(FaultKind.UNKNOWN_MEMBER, (name,), operation.input_shape, arguments))
    return judgement


def find_shape(step_type: str, path: ValuePath) -> Shape | None:
    """The shape of the value at a path of a step's ``Arguments``; None where the call or the place is unknown.

    :param path: ``("ResourceConfig", "InstanceCount")``; an index for an entry of a list, a key for a map's value.
    """
    call = STEP_CALLS.get(step_type)
    operation = call.find_operation() if call else None
    return _follow(operation.input_shape if operation else None, path)


def find_property_type(step_type: str, path: ValuePath) -> str:
    """The type of a step's property: ``String``, ``Integer``, ``Float``, ``Boolean``, or :data:`UNKNOWN_TYPE`.

    :param path: from the Describe answer's root: ``("ResourceConfig", "InstanceCount")``; a name or an index for an
        entry of a list.
    """
    call = STEP_CALLS.get(step_type)
    shape = _follow(call.find_answer() if call else None, path)
    return _PARAMETER_TYPES.get(shape.type_name, UNKNOWN_TYPE) if shape else UNKNOWN_TYPE


def find_parameter_type(step_type: str, path: ValuePath) -> str | None:
    """The pipeline parameter type that fits a place: ``String``, ``Integer``, ``Float``, ``Boolean``.

    :return: None where a structure, list or map stands, or nothing is known.
    """
    shape = find_shape(step_type, path)
    return None if shape is None else _PARAMETER_TYPES.get(shape.type_name)


def _find_operation(name: str) -> Operation | None:
    model = load_service_model()
    return model.get_operation(name) if name in model.operation_names else None


def _follow(shape: Shape | None, path: ValuePath) -> Shape | None:
    for part in path:
        if shape is None:
            return None
        shape = _find_inner(shape, part)
    return shape


def _find_inner(shape: Shape, part: str | int) -> Shape | None:
    if shape.type_name == "structure":
        return shape.members.get(str(part))
    if shape.type_name == "list":
        return shape.member
    return shape.value if shape.type_name == "map" else None
