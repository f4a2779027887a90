"""Requests of SageMaker jobs as other tools have them, made into the arguments of pipeline steps.

What a member is, and whether a request may hold it, is read from the API's model: a Describe answer is cleaned by the
difference of the two shapes. Which step a job becomes is the one table here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.expressions import is_expression
from airflow_sm_pipelines.definition.json_value import JsonObject, JsonPath, JsonValue, copy_json, format_path
from airflow_sm_pipelines.migrate.report import Reason
from airflow_sm_pipelines.service_model import load_service_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.service_model import Shape


@dataclass(frozen=True, slots=True)
class JobKind:
    """Something that SageMaker makes on a call, and that a step can make.

    :param noun: as in the names of its calls: ``Create<noun>``, ``Describe<noun>``.
    :param step_type: of the step that makes it.
    :param name_member: of its request and answer.
    :param arn_member: of its answer.
    """

    noun: str
    step_type: str
    name_member: str
    arn_member: str


JOB_KINDS = (
    JobKind("TrainingJob", "Training", "TrainingJobName", "TrainingJobArn"),
    JobKind("ProcessingJob", "Processing", "ProcessingJobName", "ProcessingJobArn"),
    JobKind("TransformJob", "Transform", "TransformJobName", "TransformJobArn"),
    JobKind("HyperParameterTuningJob", "Tuning", "HyperParameterTuningJobName", "HyperParameterTuningJobArn"),
    JobKind("AutoMLJobV2", "AutoML", "AutoMLJobName", "AutoMLJobArn"),
    JobKind("AutoMLJob", "AutoML", "AutoMLJobName", "AutoMLJobArn"),
    JobKind("Model", "Model", "ModelName", "ModelArn"),
    JobKind("EndpointConfig", "EndpointConfig", "EndpointConfigName", "EndpointConfigArn"),
    JobKind("Endpoint", "Endpoint", "EndpointName", "EndpointArn"),
    JobKind("ModelPackage", "RegisterModel", "ModelPackageName", "ModelPackageArn"),
)
"""Everything that is made by a call whose request a step's ``Arguments`` are."""

_BY_NOUN = {kind.noun: kind for kind in JOB_KINDS}

_MADE_BY_SERVICE = frozenset({"ModelDataETag", "ETag", "ManifestEtag", "ImageDigest"})
"""Members of requests that the service fills in with facts of the very object: the next run's object has others."""

_BUILT_IN_IMAGE = re.compile(
    r"/(sagemaker-xgboost|xgboost|linear-learner|kmeans|pca|factorization-machines|blazingtext|object-detection|"
    r"image-classification|semantic-segmentation|seq2seq|ntm|lda|knn|ipinsights|object2vec|randomcutforest|"
    r"forecasting-deepar)(:|@|$)"
)

_ENDINGS = (
    re.compile(r"-\d{4}-\d{2}-\d{2}-\d{2}-\d{2}-\d{2}(-\d{1,3})?$"),  # the SDKs'
    re.compile(r"-\d{6}-\d{4}$"),  # the SDKs', for tuning jobs
    re.compile(r"-?\d{8}-?T?-?\d{4,6}(-?\d{1,6}|Z|-0000)?$"),
    re.compile(r"-\d{4}-?\d{2}-?\d{2}$"),
    re.compile(r"-\d{10,13}$"),
    re.compile(r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
)


def get_kind(noun: str) -> JobKind:
    """The kind of that noun: ``TrainingJob``."""
    return _BY_NOUN[noun]


def shorten_name(job_name: str) -> str:
    """A job's name without the time or number that told one run's job from another's."""
    for ending in _ENDINGS:
        shorter = ending.sub("", job_name)
        if shorter and shorter != job_name:
            return shorter
    return job_name


@dataclass(frozen=True, slots=True)
class CleanRequest:
    """A request that a step can make.

    :param arguments: of the step.
    :param job_name: as it was; empty where there was none.
    :param unknown: paths of members that the API's model does not know, and that are therefore not in ``arguments``.
    :param notes: what was left out or written otherwise, and why.
    """

    arguments: JsonObject
    job_name: str
    unknown: tuple[str, ...]
    notes: tuple[Reason, ...]


def clean_request(request: JsonObject, kind: JobKind, *, is_described: bool) -> CleanRequest:
    """The arguments of the step that does what a request did.

    :param is_described: whether it is the answer of the Describe call, whose output members are then dropped.
    """
    reader = _Reader(is_described=is_described)
    model = load_service_model()
    create = model.get_request_shape(f"Create{kind.noun}")
    describe = model.get_operation(f"Describe{kind.noun}").output_shape
    arguments = reader.read_structure(request, create, describe, ())
    name = arguments.pop(kind.name_member, None)
    if is_described:
        _tidy(arguments, kind, reader)
    return CleanRequest(arguments, name if isinstance(name, str) else "", tuple(reader.unknown), tuple(reader.notes))


class _Reader:
    def __init__(self, *, is_described: bool) -> None:
        self._is_described = is_described
        self.unknown: list[str] = []
        self.notes: list[Reason] = []

    def note(self, code: str, text: str) -> None:
        if Reason(code, text) not in self.notes:
            self.notes.append(Reason(code, text))

    def read_structure(self, value: JsonObject, shape: Shape, answer: Shape | None, path: JsonPath) -> JsonObject:
        """The members that the request may hold.

        :param answer: the shape of the answer at the same place, to tell outputs from what nobody knows.
        """
        kept: JsonObject = {}
        for key, item in value.items():
            member = shape.members.get(key)
            known = answer.members if answer is not None and answer.type_name == "structure" else {}
            place = (*path, key)
            if member is None:
                if not (self._is_described and key in known) and key != "ResponseMetadata" and item is not None:
                    self.unknown.append(format_path(place))
                continue
            if item is None:
                continue
            if self._is_described and key in _MADE_BY_SERVICE:
                self.note("JOB-FACT-001", f"{format_path(place)} told of the object of that run and is left out.")
                continue
            read = self._read(item, member, known.get(key), place)
            is_empty = self._is_described and read in ({}, [], "") and key not in shape.required_members
            if not is_empty:
                kept[key] = read
        return kept

    def _read(self, value: JsonValue, shape: Shape, answer: Shape | None, path: JsonPath) -> JsonValue:
        if is_expression(value):
            return copy_json(value)
        kind = shape.type_name
        if kind == "structure" and isinstance(value, dict):
            return self.read_structure(value, shape, answer, path)
        if kind == "list" and isinstance(value, list):
            inner = answer.member if answer is not None and answer.type_name == "list" else None
            return [self._read(item, shape.member, inner, (*path, index)) for index, item in enumerate(value)]
        if kind == "map" and isinstance(value, dict):
            return {key: self._read(item, shape.value, None, (*path, key)) for key, item in value.items()}
        return _convert(copy_json(value), kind)


def _convert(value: JsonValue, kind: str) -> JsonValue:
    """A scalar of the wanted type where it plainly reads as one; Jinja gives text for numbers, and the other way."""
    if isinstance(value, str):
        text = value.strip()
        if kind in ("integer", "long") and re.fullmatch(r"-?\d+", text):
            return int(text)
        if kind in ("float", "double") and re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", text):
            return float(text)
        if kind == "boolean" and text.lower() in ("true", "false"):
            return text.lower() == "true"
    elif kind == "string" and isinstance(value, (bool, int, float)):
        return str(value).lower() if isinstance(value, bool) else str(value)
    elif kind in ("integer", "long") and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _tidy(arguments: JsonObject, kind: JobKind, reader: _Reader) -> None:
    """Take out what the service adds to an answer and refuses, or repeats, in a request."""
    for definition in iter_training(arguments, kind.step_type):
        algorithm = definition.get("AlgorithmSpecification")
        if isinstance(algorithm, dict) and "MetricDefinitions" in algorithm:
            image = algorithm.get("TrainingImage")
            if "AlgorithmName" in algorithm or (isinstance(image, str) and _BUILT_IN_IMAGE.search(image)):
                del algorithm["MetricDefinitions"]
                reader.note("JOB-METRICS-001", "MetricDefinitions of a built-in algorithm are SageMaker's own.")
        for member, name in (("HyperParameters", "sagemaker_job_name"), ("StaticHyperParameters", _OBJECTIVE)):
            values = definition.get(member)
            if isinstance(values, dict) and values.pop(name, None) is not None:
                reader.note(
                    "JOB-HYPERPARAMETER-001", f"The hyperparameter {name} was made for that job and is left out."
                )
                if not values:
                    del definition[member]
    for container in _iter_containers(arguments):
        source = container.get("ModelDataSource")
        s3_source = source.get("S3DataSource") if isinstance(source, dict) else None
        if isinstance(s3_source, dict) and s3_source.get("S3Uri") == container.get("ModelDataUrl"):
            del container["ModelDataSource"]


_OBJECTIVE = "_tuning_objective_metric"


def iter_training(arguments: JsonObject, step_type: str) -> Iterator[JsonObject]:
    """Each description of a training job in a step's arguments: its own, or those of a tuning job."""
    if step_type == "Training":
        yield arguments
    elif step_type == "Tuning":
        several = arguments.get("TrainingJobDefinitions")
        for definition in (arguments.get("TrainingJobDefinition"), *(several if isinstance(several, list) else [])):
            if isinstance(definition, dict):
                yield definition


def _iter_containers(arguments: JsonObject) -> Iterator[JsonObject]:
    specification = arguments.get("InferenceSpecification")
    for holder in (arguments, specification if isinstance(specification, dict) else {}):
        several = holder.get("Containers")
        for container in (holder.get("PrimaryContainer"), *(several if isinstance(several, list) else [])):
            if isinstance(container, dict):
                yield container
