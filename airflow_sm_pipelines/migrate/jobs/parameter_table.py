"""The values of described jobs that become parameters: instance types and counts, and the inputs that no job made."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Parameter
from airflow_sm_pipelines.definition.json_value import JsonObject, JsonPath, JsonValue, copy_object, put_value
from airflow_sm_pipelines.definition.parameters import MAX_VALUE_LENGTH
from airflow_sm_pipelines.definition.s3_uri import is_s3_uri
from airflow_sm_pipelines.migrate.names import ClaimedNames
from airflow_sm_pipelines.policy.job_fields import JOB_FIELDS, iter_field, make_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CHANNELS = "InputDataConfig.*.DataSource.S3DataSource.S3Uri"


INPUT_FIELDS = {
    "Processing": make_fields("ProcessingInputs.*.S3Input.S3Uri"),
    "Training": make_fields(_CHANNELS),
    "Tuning": make_fields(f"TrainingJobDefinition.{_CHANNELS}", f"TrainingJobDefinitions.*.{_CHANNELS}"),
    "Transform": make_fields("TransformInput.DataSource.S3DataSource.S3Uri"),
    "AutoML": make_fields(_CHANNELS),
    "Model": make_fields("PrimaryContainer.ModelDataUrl", "Containers.*.ModelDataUrl"),
    "RegisterModel": make_fields("InferenceSpecification.Containers.*.ModelDataUrl"),
}
"""The input addresses in the request of each step type. A test compares every path with botocore's model."""


class ParameterTable:
    """The parameters of a workflow, one for each distinct value of a kind.

    It counts the values of all steps first, so that a value which several steps share is not named after one of them.

    :param steps: the type and the arguments of each step.
    """

    def __init__(self, steps: Sequence[tuple[str, JsonObject]]) -> None:
        self._names = ClaimedNames()
        self._given: dict[tuple[str, JsonValue], Parameter] = {}
        users = Counter(
            found
            for step_type, arguments in steps
            for found in {(kind, value) for kind, _, value in _iter_places(step_type, arguments)}
        )
        self._shared = {found for found, count in users.items() if count > 1}

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters, in the order of their first use."""
        return tuple(self._given.values())

    def replace(self, step_type: str, arguments: JsonObject, *, node: str) -> JsonObject:
        """The arguments with parameters in place of those values."""
        changed = copy_object(arguments)
        for kind, path, value in list(_iter_places(step_type, arguments)):
            parameter = self._given.get((kind, value))
            if parameter is None:
                owner = "" if (kind, value) in self._shared else _to_pascal_case(node)
                place = owner + _find_place(arguments, path) if kind == "Uri" or owner else ""
                name = self._names.claim((place + kind)[-64:], otherwise=kind)
                parameter = Parameter(name, "Integer" if isinstance(value, int) else "String", default=value)
                self._given[kind, value] = parameter
            put_value(changed, path, {"Get": f"Parameters.{parameter.name}"})
        return changed


def _iter_places(step_type: str, arguments: JsonObject) -> Iterator[tuple[str, JsonPath, str | int]]:
    fields = JOB_FIELDS.get(step_type)
    if fields is not None:
        for kind, places in (("InstanceType", fields.instance_types), ("InstanceCount", fields.instance_counts)):
            for field in places:
                for path, value in iter_field(arguments, field):
                    if (isinstance(value, str) and kind == "InstanceType") or (
                        isinstance(value, int) and kind == "InstanceCount"
                    ):
                        yield kind, path, value
    for field in INPUT_FIELDS.get(step_type, ()):
        for path, value in iter_field(arguments, field):
            if isinstance(value, str) and is_s3_uri(value) and len(value) <= MAX_VALUE_LENGTH:
                yield "Uri", path, value


def _find_place(arguments: JsonObject, path: JsonPath) -> str:
    """The name of a value's place: that of its list entry, such as a channel's; ``Model`` or ``Input`` without one."""
    value: JsonValue = arguments
    for part in path:
        if isinstance(value, dict) and isinstance(part, str):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
            named = value if isinstance(value, dict) else {}
            for member in ("InputName", "ChannelName", "VariantName", "InstanceGroupName", "ContainerHostname"):
                name = named.get(member)
                if isinstance(name, str):
                    return _to_pascal_case(name)
    return "Model" if path[-1] == "ModelDataUrl" else "Input" if path[-1] == "S3Uri" else ""


def _to_pascal_case(name: str) -> str:
    """A name as parameters are spelled: ``churn-train`` becomes ``ChurnTrain``."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))
