"""What kind of value stands at a place of a step's arguments, by botocore's model of the call that the step makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.policy.arguments import find_operation
from airflow_sm_pipelines.policy.shapes import load_service_model

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonPath

_PARAMETER_TYPES = {
    "string": "String",
    "integer": "Integer",
    "long": "Integer",
    "float": "Float",
    "double": "Float",
    "boolean": "Boolean",
}


def find_shape(step_type: str, path: JsonPath) -> Any | None:
    """botocore's shape of the value at a path of a step's ``Arguments``; None where the call or the place is unknown.

    :param path: ``("ResourceConfig", "InstanceCount")``; an index for an entry of a list, a key for a map's value.
    """
    operation = find_operation(step_type)
    model = load_service_model()
    if operation is None or operation not in model.operation_names:
        return None
    shape = model.operation_model(operation).input_shape
    for part in path:
        if shape.type_name == "structure":
            shape = shape.members.get(part)
        elif shape.type_name == "list":
            shape = shape.member
        elif shape.type_name == "map":
            shape = shape.value
        else:
            shape = None
        if shape is None:
            return None
    return shape


def find_parameter_type(step_type: str, path: JsonPath) -> str | None:
    """The pipeline parameter type that fits a place: ``String``, ``Integer``, ``Float``, ``Boolean``.

    :return: None where a structure, list or map stands, or nothing is known.
    """
    shape = find_shape(step_type, path)
    return None if shape is None else _PARAMETER_TYPES.get(shape.type_name)
