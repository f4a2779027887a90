"""What of described jobs a run may want otherwise: instances, and the inputs that none of the jobs made."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Parameter
from airflow_sm_pipelines.definition.json_value import JsonObject, JsonPath, JsonValue, copy_object
from airflow_sm_pipelines.definition.parameters import MAX_VALUE_LENGTH
from airflow_sm_pipelines.migrate.job_links import put_value
from airflow_sm_pipelines.migrate.names import Names
from airflow_sm_pipelines.policy.job_fields import JOB_FIELDS, Field, iter_field

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CHANNELS = "InputDataConfig.*.DataSource.S3DataSource.S3Uri"


def _fields(*paths: str) -> tuple[Field, ...]:
    return tuple(Field(tuple(path.split("."))) for path in paths)


INPUT_FIELDS = {
    "Processing": _fields("ProcessingInputs.*.S3Input.S3Uri"),
    "Training": _fields(_CHANNELS),
    "Tuning": _fields(f"TrainingJobDefinition.{_CHANNELS}", f"TrainingJobDefinitions.*.{_CHANNELS}"),
    "Transform": _fields("TransformInput.DataSource.S3DataSource.S3Uri"),
    "AutoML": _fields(_CHANNELS),
    "Model": _fields("PrimaryContainer.ModelDataUrl", "Containers.*.ModelDataUrl"),
    "RegisterModel": _fields("InferenceSpecification.Containers.*.ModelDataUrl"),
}
"""Where the request of each step type says what to read; a test holds every path against botocore's model."""


class ParameterTable:
    """The parameters of a workflow, one for each distinct value of a kind.

    All steps are looked at before the first value is replaced: what several share is not named after one of them.

    :param steps: type and arguments of each.
    """

    def __init__(self, steps: Sequence[tuple[str, JsonObject]]) -> None:
        self._names = Names()
        self._given: dict[tuple[str, JsonValue], Parameter] = {}
        users = Counter(
            found
            for step_type, arguments in steps
            for found in {(kind, value) for kind, _, value in _iter_places(step_type, arguments)}
        )
        self._shared = {found for found, count in users.items() if count > 1}

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """All of them, in the order in which they were met."""
        return tuple(self._given.values())

    def replace(self, step_type: str, arguments: JsonObject, *, node: str) -> JsonObject:
        """The arguments with parameters in place of such values."""
        changed = copy_object(arguments)
        for kind, path, value in list(_iter_places(step_type, arguments)):
            parameter = self._given.get((kind, value))
            if parameter is None:
                owner = "" if (kind, value) in self._shared else _words(node)
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
            if isinstance(value, str) and value.startswith("s3://") and len(value) <= MAX_VALUE_LENGTH:
                yield "Uri", path, value


def _find_place(arguments: JsonObject, path: JsonPath) -> str:
    """The name that an entry of a list has in the request, as of a channel; for others nothing, or what they are."""
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
                    return _words(name)
    return "Model" if path[-1] == "ModelDataUrl" else "Input" if path[-1] == "S3Uri" else ""


def _words(name: str) -> str:
    """A name in the spelling of parameters: ``churn-train`` is ``ChurnTrain``."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))
