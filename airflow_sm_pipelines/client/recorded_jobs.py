"""A job that ran on AWS, as what it takes to run it again elsewhere. Nothing here changes anything on AWS.

What belongs here: the request of a job from its Describe answer, and which objects it reads. What does not: copying
them, and running it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.arns import parse_arn
from airflow_sm_pipelines.definition.problems import suggest
from airflow_sm_pipelines.exceptions import ArgumentError, LocalEndpointError
from airflow_sm_pipelines.migrate.job_requests import clean_request, get_request_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.client.reports import StepReport
    from airflow_sm_pipelines.client.session_calls import SessionCalls
    from airflow_sm_pipelines.definition import JsonObject, JsonValue

_NOUNS = {"training-job": "TrainingJob", "processing-job": "ProcessingJob", "transform-job": "TransformJob"}
"""By the resource part of an ARN, the jobs that can run again."""
_METHODS = {"TrainingJob": "training_job", "ProcessingJob": "processing_job", "TransformJob": "transform_job"}
_READING = ("Describe", "List", "Get", "Head")
TUNING_JOB = "hyper-parameter-tuning-job"
"""The resource part of a tuning job's ARN."""
_NOT_REPEATED = ("Tags", "ExperimentConfig", "VpcConfig")


class WriteRefusedError(LocalEndpointError):
    """A call that might change something, from calls that only read."""


@dataclass(frozen=True, slots=True)
class RecordedInput:
    """Objects that a job reads.

    :param uri: their address, or the beginning of their addresses.
    :param data_type: ``S3Prefix`` or ``ManifestFile``.
    :param is_optional: whether the job also runs without them.
    """

    uri: str
    data_type: str = "S3Prefix"
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class RecordedJob:
    """A job that ran.

    :param step_type: the type of the step that makes such a job.
    :param arguments: those of the step.
    :param inputs: what it reads from S3.
    :param model: of a transform job, the arguments of CreateModel.
    :param left_out: the members of its request that a step cannot have.
    """

    step_type: str
    arguments: JsonObject
    inputs: tuple[RecordedInput, ...]
    model: JsonObject
    left_out: tuple[str, ...]


def forbid_writes(calls: SessionCalls) -> None:
    """Let these calls refuse, before anything is sent, every operation that does not only read."""

    def check(model: Any, **_: Any) -> None:
        if not model.name.startswith(_READING):
            raise WriteRefusedError(f"{model.name} might change something on AWS, and only reading was asked for.")

    calls.on_call(check)


def choose_trial(calls: SessionCalls, step: StepReport, name: str | None = None) -> StepReport:
    """The step as if it had made one training job of its tuning job; another step as it is.

    :param name: of the training job; by default the newest that failed, and if none did, the best.
    :raises ArgumentError: if there is no such training job.
    """
    tuning = parse_arn(step.job_arn or "")
    if tuning is None or tuning.kind != TUNING_JOB:
        if name is not None:
            raise ArgumentError(f"Step '{step.name}' made no tuning job, so it has no training job '{name}'.")
        return step
    names = calls.list_tuned_jobs(tuning.name)
    if name is not None and name not in names:
        raise ArgumentError(f"{step.job_arn} has no training job '{name}'.{suggest(name, names)}")
    failed = calls.list_tuned_jobs(tuning.name, status="Failed") if name is None else []
    chosen = name or (failed[0] if failed else _find_best(calls, tuning.name))
    if chosen is None:
        raise ArgumentError(f"{step.job_arn} has no training job that failed or has a result.")
    described = calls.describe_resource("describe_training_job", "TrainingJobName", chosen)
    return replace(
        step,
        job_arn=str(described["TrainingJobArn"]),
        status=str(described["TrainingJobStatus"]),
        failure_reason=str(described.get("FailureReason") or "") or None,
    )


def _find_best(calls: SessionCalls, tuning_job: str) -> str | None:
    described = calls.describe_resource(
        "describe_hyper_parameter_tuning_job", "HyperParameterTuningJobName", tuning_job
    )
    found = _get(described.get("BestTrainingJob"), "TrainingJobName")
    return str(found) if found else None


def read_recorded_job(calls: SessionCalls, step: StepReport) -> RecordedJob:
    """The job that a step made.

    :raises ArgumentError: if the step made no job that can run again.
    """
    arn = parse_arn(step.job_arn or "")
    kind, _, name = (arn.resource if arn is not None else "").partition("/")
    noun = _NOUNS.get(kind)
    if noun is None:
        made = f"made {step.job_arn}" if step.job_arn else "made no job"
        raise ArgumentError(
            f"Step '{step.name}' {made}. Only processing, training, transform and tuning jobs can be run again here."
        )
    request = get_request_kind(noun)
    described = calls.describe_resource(f"describe_{_METHODS[noun]}", request.name_member, name)
    clean = clean_request(described, request, is_described=True)
    arguments = {key: value for key, value in clean.arguments.items() if key not in _NOT_REPEATED}
    model: JsonObject = {}
    if noun == "TransformJob":
        answer = calls.describe_resource("describe_model", "ModelName", str(arguments["ModelName"]))
        model = clean_request(answer, get_request_kind("Model"), is_described=True).arguments
        model = {**{key: value for key, value in model.items() if key not in _NOT_REPEATED}, "ModelName": name}
        arguments["ModelName"] = name
    inputs = tuple(dict.fromkeys([*_find_inputs(arguments), *_find_model_data(model)]))
    return RecordedJob(request.step_type, arguments, inputs, model, clean.unknown)


def _find_inputs(arguments: JsonObject) -> Iterator[RecordedInput]:
    for entry in _list(arguments.get("ProcessingInputs")):
        yield from _source(_get(entry, "S3Input"))
    for entry in _list(arguments.get("InputDataConfig")):
        yield from _source(_get(entry, "DataSource", "S3DataSource"))
    yield from _source(_get(arguments, "TransformInput", "DataSource", "S3DataSource"))
    submitted = _get(arguments, "HyperParameters", "sagemaker_submit_directory")
    if isinstance(submitted, str) and "s3://" in submitted:
        yield RecordedInput(str(json.loads(submitted)) if submitted.startswith('"') else submitted)
    if isinstance(checkpoints := _get(arguments, "CheckpointConfig", "S3Uri"), str):
        yield RecordedInput(checkpoints, is_optional=True)


def _find_model_data(model: JsonObject) -> Iterator[RecordedInput]:
    for container in (model.get("PrimaryContainer"), *_list(model.get("Containers"))):
        for path in (("ModelDataUrl",), ("ModelDataSource", "S3DataSource", "S3Uri")):
            if isinstance(uri := _get(container, *path), str):
                yield RecordedInput(uri)
        code = _get(container, "Environment", "SAGEMAKER_SUBMIT_DIRECTORY")
        if isinstance(code, str) and code.startswith("s3://"):
            yield RecordedInput(code)


def _source(source: JsonValue) -> Iterator[RecordedInput]:
    if isinstance(uri := _get(source, "S3Uri"), str):
        yield RecordedInput(uri, str(_get(source, "S3DataType") or "S3Prefix"))


def _get(value: JsonValue, *path: str) -> JsonValue:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []
