"""Where each step type's arguments hold what a team's policy is about: networks, keys, roles, instances, tags.

Checking and filling in read this one table, so they mean the same places. Source: the Create* shapes of the SageMaker
API; a test holds every path against the API's model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_sm_pipelines.definition import MISSING, Missing
from airflow_sm_pipelines.definition.expressions import is_expression
from airflow_sm_pipelines.service_model import EACH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a step's arguments.

    :param path: keys from ``Arguments``; :data:`EACH` for the entries of an array.
    :param needs: how many leading keys must be there for the member to have a meaning: a job without outputs needs no
        key for them. The rest of the path may be made.
    """

    path: tuple[str, ...]
    needs: int = 0

    def __str__(self) -> str:
        return ".".join(self.path).replace(f".{EACH}", "[]")


@dataclass(frozen=True, slots=True)
class JobFields:
    """The members of one call, by what they decide; empty where the call has none."""

    vpc: tuple[Field, ...] = ()
    isolation: tuple[Field, ...] = ()
    traffic_encryption: tuple[Field, ...] = ()
    volume_keys: tuple[Field, ...] = ()
    output_keys: tuple[Field, ...] = ()
    roles: tuple[Field, ...] = ()
    instance_types: tuple[Field, ...] = ()
    instance_counts: tuple[Field, ...] = ()
    volume_sizes: tuple[Field, ...] = ()
    run_times: tuple[Field, ...] = ()
    spot: tuple[Field, ...] = ()
    waits: tuple[Field, ...] = ()
    images: tuple[Field, ...] = ()
    tags: tuple[Field, ...] = ()


def iter_field(arguments: JsonObject, field: Field) -> Iterator[tuple[JsonPath, JsonValue | Literal[Missing.MISSING]]]:
    """Find every place that a field names in these arguments, with its value; ``MISSING`` for nothing or null.

    Where an expression stands for an object around the place, its value is not known yet: the expression is given.
    """
    yield from _iter(arguments, field.path, (), field.needs)


def _iter(
    value: JsonValue, rest: tuple[str, ...], place: JsonPath, needs: int
) -> Iterator[tuple[JsonPath, JsonValue | Literal[Missing.MISSING]]]:
    if not rest or is_expression(value):
        yield place, MISSING if value is None else value
        return
    key, *tail = rest
    if key == EACH:
        for index, item in enumerate(value if isinstance(value, list) else []):
            yield from _iter(item, tuple(tail), (*place, index), needs - 1)
    elif isinstance(value, dict) and value.get(key) is not None:
        yield from _iter(value[key], tuple(tail), (*place, key), needs - 1)
    elif needs <= 0 and EACH not in tail and (value is None or isinstance(value, dict)):
        yield (*place, *rest), MISSING


def make_fields(*paths: str, needs: int = 0) -> tuple[Field, ...]:
    """Members of a step's arguments from paths with dots; ``*`` stands for each entry of an array.

    :param needs: as in :class:`Field`.
    """
    return tuple(Field(tuple(path.split(".")), needs) for path in paths)


def _nested(prefix: tuple[str, ...], fields: tuple[Field, ...]) -> tuple[Field, ...]:
    return tuple(Field((*prefix, *field.path), len(prefix) + field.needs) for field in fields)


def _under(prefixes: tuple[tuple[str, ...], ...], fields: JobFields, tags: tuple[Field, ...]) -> JobFields:
    """Put the fields of a job under other members, for the training jobs inside a tuning job."""
    moved = {
        name: tuple(field for prefix in prefixes for field in _nested(prefix, getattr(fields, name)))
        for name in JobFields.__dataclass_fields__
        if name != "tags"
    }
    return JobFields(**moved, tags=tags)


_TAGS = make_fields("Tags")

_PROCESSING = JobFields(
    vpc=make_fields("NetworkConfig.VpcConfig"),
    isolation=make_fields("NetworkConfig.EnableNetworkIsolation"),
    traffic_encryption=make_fields("NetworkConfig.EnableInterContainerTrafficEncryption"),
    volume_keys=make_fields("ProcessingResources.ClusterConfig.VolumeKmsKeyId", needs=2),
    output_keys=make_fields("ProcessingOutputConfig.KmsKeyId", needs=1),
    roles=make_fields("RoleArn"),
    instance_types=(
        *make_fields("ProcessingResources.ClusterConfig.InstanceType", needs=3),
        *make_fields("ProcessingResources.ClusterConfig.InstancePreferences.*.InstanceType", needs=5),
    ),
    instance_counts=make_fields("ProcessingResources.ClusterConfig.InstanceCount", needs=3),
    volume_sizes=make_fields("ProcessingResources.ClusterConfig.VolumeSizeInGB", needs=3),
    run_times=make_fields("StoppingCondition.MaxRuntimeInSeconds"),
    images=make_fields("AppSpecification.ImageUri", needs=2),
    tags=_TAGS,
)

_TRAINING = JobFields(
    vpc=make_fields("VpcConfig"),
    isolation=make_fields("EnableNetworkIsolation"),
    traffic_encryption=make_fields("EnableInterContainerTrafficEncryption"),
    volume_keys=make_fields("ResourceConfig.VolumeKmsKeyId", needs=1),
    output_keys=make_fields("OutputDataConfig.KmsKeyId", needs=1),
    roles=make_fields("RoleArn"),
    instance_types=(
        *make_fields("ResourceConfig.InstanceType", needs=2),
        *make_fields("ResourceConfig.InstanceGroups.*.InstanceType", needs=4),
        *make_fields("ResourceConfig.InstancePreferences.*.InstanceType", needs=4),
    ),
    instance_counts=(
        *make_fields("ResourceConfig.InstanceCount", needs=2),
        *make_fields("ResourceConfig.InstanceGroups.*.InstanceCount", needs=4),
    ),
    volume_sizes=make_fields("ResourceConfig.VolumeSizeInGB", needs=2),
    run_times=make_fields("StoppingCondition.MaxRuntimeInSeconds"),
    spot=make_fields("EnableManagedSpotTraining"),
    waits=make_fields("StoppingCondition.MaxWaitTimeInSeconds"),
    images=make_fields("AlgorithmSpecification.TrainingImage", needs=2),
    tags=_TAGS,
)

JOB_FIELDS: Mapping[str, JobFields] = {
    "Processing": _PROCESSING,
    "QualityCheck": _PROCESSING,
    "ClarifyCheck": _PROCESSING,
    "Training": _TRAINING,
    "Tuning": _under((("TrainingJobDefinition",), ("TrainingJobDefinitions", EACH)), _TRAINING, _TAGS),
    "Transform": JobFields(
        volume_keys=make_fields("TransformResources.VolumeKmsKeyId", needs=1),
        output_keys=make_fields("TransformOutput.KmsKeyId", needs=1),
        instance_types=make_fields("TransformResources.InstanceType", needs=2),
        instance_counts=make_fields("TransformResources.InstanceCount", needs=2),
        tags=_TAGS,
    ),
    "AutoML": JobFields(
        vpc=make_fields("AutoMLJobConfig.SecurityConfig.VpcConfig"),
        traffic_encryption=make_fields("AutoMLJobConfig.SecurityConfig.EnableInterContainerTrafficEncryption"),
        volume_keys=make_fields("AutoMLJobConfig.SecurityConfig.VolumeKmsKeyId"),
        output_keys=make_fields("OutputDataConfig.KmsKeyId", needs=1),
        roles=make_fields("RoleArn"),
        tags=_TAGS,
    ),
    "Model": JobFields(
        vpc=make_fields("VpcConfig"),
        isolation=make_fields("EnableNetworkIsolation"),
        roles=make_fields("ExecutionRoleArn"),
        images=(*make_fields("PrimaryContainer.Image", needs=2), *make_fields("Containers.*.Image", needs=3)),
        tags=_TAGS,
    ),
    # A package in a group takes the group's tags; CreateModelPackage refuses tags of its own there.
    "RegisterModel": JobFields(images=make_fields("InferenceSpecification.Containers.*.Image", needs=4)),
    "EndpointConfig": JobFields(
        volume_keys=make_fields("KmsKeyId"),
        instance_types=make_fields("ProductionVariants.*.InstanceType", needs=3),
        instance_counts=make_fields("ProductionVariants.*.InitialInstanceCount", needs=3),
        tags=_TAGS,
    ),
    "Endpoint": JobFields(tags=_TAGS),
    "InferenceComponent": JobFields(images=make_fields("Specification.Container.Image", needs=3), tags=_TAGS),
    "Job": JobFields(roles=make_fields("RoleArn"), tags=_TAGS),
}
"""By step type. Other types start nothing in SageMaker (conditions, functions, queues), or something outside of it
(EMR, Athena), which these policies do not cover."""
