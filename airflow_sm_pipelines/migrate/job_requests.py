"""Turns the requests of SageMaker jobs, as other tools hold them, into the arguments of pipeline steps.

The API's model says which members a request may have: what a Describe answer has beyond them is left out. The table
of step types is here, too. Every reader of a source that has jobs' requests may use this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.expressions import is_candidate, iter_candidates
from airflow_sm_pipelines.definition.image_uri import parse_image_uri
from airflow_sm_pipelines.definition.json_value import (
    JsonObject,
    JsonPath,
    JsonValue,
    copy_json,
    copy_object,
    format_path,
)
from airflow_sm_pipelines.migrate.report import Reason
from airflow_sm_pipelines.service_model import load_service_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.service_model import Shape


@dataclass(frozen=True, slots=True)
class RequestKind:
    """A Create request that a pipeline step can make.

    :param noun: the thing it creates, as in the names of the calls: ``Create<noun>``, ``Describe<noun>``.
    :param step_type: the type of the step.
    :param name_member: the member of request and answer that holds the thing's name.
    :param arn_member: the member of the answer that holds its ARN.
    """

    noun: str
    step_type: str
    name_member: str
    arn_member: str


REQUEST_KINDS = (
    RequestKind("TrainingJob", "Training", "TrainingJobName", "TrainingJobArn"),
    RequestKind("ProcessingJob", "Processing", "ProcessingJobName", "ProcessingJobArn"),
    RequestKind("TransformJob", "Transform", "TransformJobName", "TransformJobArn"),
    RequestKind("HyperParameterTuningJob", "Tuning", "HyperParameterTuningJobName", "HyperParameterTuningJobArn"),
    RequestKind("AutoMLJobV2", "AutoML", "AutoMLJobName", "AutoMLJobArn"),
    RequestKind("AutoMLJob", "AutoML", "AutoMLJobName", "AutoMLJobArn"),
    RequestKind("Model", "Model", "ModelName", "ModelArn"),
    RequestKind("EndpointConfig", "EndpointConfig", "EndpointConfigName", "EndpointConfigArn"),
    RequestKind("Endpoint", "Endpoint", "EndpointName", "EndpointArn"),
    RequestKind("ModelPackage", "RegisterModel", "ModelPackageName", "ModelPackageArn"),
)
"""Every Create request that is also the ``Arguments`` of a step."""

_BY_NOUN = {kind.noun: kind for kind in REQUEST_KINDS}

_MADE_BY_SERVICE = frozenset({"ModelDataETag", "ETag", "ManifestEtag", "ImageDigest"})
"""Members that the service fills in about one object: the object of the next run has other values."""

_ENDINGS = (
    re.compile(r"-\d{4}-\d{2}-\d{2}-\d{2}-\d{2}-\d{2}(-\d{1,3})?$"),  # the SDKs'
    re.compile(r"-\d{6}-\d{4}$"),  # the SDKs', for tuning jobs
    re.compile(r"-?\d{8}-?T?-?\d{4,6}(-?\d{1,6}|Z|-0000)?$"),
    re.compile(r"-\d{4}-?\d{2}-?\d{2}$"),
    re.compile(r"-\d{10,13}$"),
    re.compile(r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
)


def get_request_kind(noun: str) -> RequestKind:
    """The kind of request that creates a thing.

    :param noun: ``TrainingJob``.
    """
    return _BY_NOUN[noun]


def shorten_name(job_name: str) -> str:
    """A job's name without the time or number that made it unique."""
    for ending in _ENDINGS:
        shorter = ending.sub("", job_name)
        if shorter and shorter != job_name:
            return shorter
    return job_name


@dataclass(frozen=True, slots=True)
class CleanRequest:
    """A request that a step can make.

    :param arguments: the arguments of the step.
    :param job_name: the name that the job had; empty if it had none.
    :param unknown: the paths of members that are not in ``arguments``, because the API's model does not know them or a
        definition cannot hold them.
    :param notes: what was left out or changed, and why.
    """

    arguments: JsonObject
    job_name: str
    unknown: tuple[str, ...]
    notes: tuple[Reason, ...]


def clean_request(request: JsonObject, kind: RequestKind, *, is_described: bool) -> CleanRequest:
    """The arguments of the step that makes a request again.

    :param is_described: whether ``request`` is the answer of the Describe call. Its output members are then left out,
        and so is a value that a definition would read as an expression: in an answer, all text is text.
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

        :param answer: the shape of the answer at the same place; it tells output members from unknown ones.
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
                self.note("JOB-FACT-001", f"{format_path(place)} describes the object of that run and is left out.")
                continue
            read = self._read(item, member, known.get(key), place)
            if self._is_described and self._holds_expression(read):
                self.unknown.append(format_path(place))
                self.note("JOB-TEXT-001", f"{format_path(place)} would be read as an expression and is left out.")
                continue
            is_empty = self._is_described and read in ({}, [], "") and key not in shape.required_members
            if not is_empty:
                kept[key] = read
        return kept

    @staticmethod
    def _holds_expression(value: JsonValue) -> bool:
        return next(iter_candidates(value), None) is not None

    def _read(self, value: JsonValue, shape: Shape, answer: Shape | None, path: JsonPath) -> JsonValue:
        if isinstance(value, dict) and is_candidate(value):
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
    """A scalar of the wanted type if it reads as one: templates turn numbers into text, and JSON files mix them up."""
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


def _tidy(arguments: JsonObject, kind: RequestKind, reader: _Reader) -> None:
    """Remove what the service adds to an answer and would refuse, or add again, in a request."""
    for definition in _iter_training(arguments, kind.step_type):
        algorithm = definition.get("AlgorithmSpecification")
        if isinstance(algorithm, dict) and "MetricDefinitions" in algorithm:
            image = algorithm.get("TrainingImage")
            if "AlgorithmName" in algorithm or (isinstance(image, str) and _is_built_in(image)):
                del algorithm["MetricDefinitions"]
                reader.note(
                    "JOB-METRICS-001", "MetricDefinitions of a built-in algorithm are SageMaker's and are left out."
                )
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


def _iter_training(arguments: JsonObject, step_type: str) -> Iterator[JsonObject]:
    """Each training job described in a step's arguments: the step's own, or those of a tuning job."""
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


# --- AutoML ----------------------------------------------------------------------------------------------------------

_SAME_IN_BOTH_APIS = ("OutputDataConfig", "RoleArn", "AutoMLJobObjective", "ModelDeployConfig")


def find_first_auto_ml_request(request: JsonObject) -> tuple[JsonObject, tuple[str, ...]] | None:
    """The ``CreateAutoMLJob`` request, which an AutoML step makes, for a ``CreateAutoMLJobV2`` request.

    :return: the request, and the members that the first API has no place for; None if the first API cannot do the job,
        because its data is not a table.
    """
    problem = request.get("AutoMLProblemTypeConfig")
    table = problem.get("TabularJobConfig") if isinstance(problem, dict) else None
    channels = request.get("AutoMLJobInputDataConfig")
    target = table.get("TargetAttributeName") if isinstance(table, dict) else None
    if not isinstance(table, dict) or not isinstance(channels, list) or not isinstance(target, str):
        return None
    weight = _pick(table, "SampleWeightAttributeName")
    config: JsonObject = {
        **_pick(table, "CompletionCriteria", "Mode"),
        **_pick(request, "DataSplitConfig", "SecurityConfig"),
    }
    generation = table.get("CandidateGenerationConfig")
    candidates = {
        **_pick(table, "FeatureSpecificationS3Uri"),
        **(_pick(generation, "AlgorithmsConfig") if isinstance(generation, dict) else {}),
    }
    if candidates:
        config["CandidateGenerationConfig"] = candidates
    first: JsonObject = {
        "InputDataConfig": [
            {**copy_object(channel), "TargetAttributeName": target, **weight}
            for channel in channels
            if isinstance(channel, dict)
        ],
        **_pick(request, *_SAME_IN_BOTH_APIS),
        **({"AutoMLJobConfig": config} if config else {}),
        **_pick(table, "ProblemType", "GenerateCandidateDefinitionsOnly"),
    }
    used = {
        *_SAME_IN_BOTH_APIS,
        "AutoMLJobInputDataConfig",
        "AutoMLProblemTypeConfig",
        "DataSplitConfig",
        "SecurityConfig",
    }
    return first, tuple(sorted(request.keys() - used))


def _pick(holder: JsonObject, *members: str) -> JsonObject:
    return {member: copy_json(holder[member]) for member in members if member in holder}


def _is_built_in(image: str) -> bool:
    uri = parse_image_uri(image)
    return uri.account is not None and uri.is_built_in_algorithm
