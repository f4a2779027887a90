"""What a step of each type yields, whether or not an author asked: its default outputs, and the data it read and wrote.

Pure: taken from the answer of the job's Describe call, or from the step's metadata where it made no job. Sources: the
``Describe*`` shapes and ``PipelineExecutionStepMetadata`` of the API model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Details = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StepData:
    """The data of one step.

    :param inputs: S3 URIs, and ARNs of model packages, that it read.
    :param outputs: the same that it wrote.
    """

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def default_outputs(kind: str, details: Details) -> dict[str, Any]:
    """A step's default outputs; what the service did not say is left out.

    :param kind: the key of the step's metadata, as ``TrainingJob``.
    :param details: the Describe call's answer, or the metadata.
    """
    found = _DEFAULTS[kind](details) if kind in _DEFAULTS else dict(details)
    return {key: value for key, value in found.items() if value not in (None, "", {}, [])}


def read_data(kind: str, details: Details) -> StepData:
    """The data that a step read and wrote, without its code and its checkpoints."""
    inputs, outputs = _DATA[kind](details) if kind in _DATA else ([], [])
    return StepData(_distinct(inputs), _distinct(outputs))


# --- default outputs --------------------------------------------------------------------------------------------------


def _processing(job: Details) -> dict[str, Any]:
    return {
        "job_name": job.get("ProcessingJobName"),
        "outputs": _named_outputs(job),
        "exit_message": job.get("ExitMessage"),
    }


def _training(job: Details) -> dict[str, Any]:
    metrics = {item["MetricName"]: item.get("Value") for item in _items(job, "FinalMetricDataList")}
    return {
        "job_name": job.get("TrainingJobName"),
        "model": _at(job, "ModelArtifacts", "S3ModelArtifacts"),
        "metrics": metrics,
    }


def _transform(job: Details) -> dict[str, Any]:
    return {"job_name": job.get("TransformJobName"), "output": _at(job, "TransformOutput", "S3OutputPath")}


def _tuning(job: Details) -> dict[str, Any]:
    best = _at(job, "BestTrainingJob") or {}
    objective = _at(best, "FinalHyperParameterTuningJobObjectiveMetric") or {}
    return {
        "job_name": job.get("HyperParameterTuningJobName"),
        "best_training_job": best.get("TrainingJobName"),
        "best_hyperparameters": best.get("TunedHyperParameters"),
        "objective": {objective["MetricName"]: objective.get("Value")} if "MetricName" in objective else None,
        "training_jobs": job.get("TrainingJobStatusCounters"),
    }


def _auto_ml(job: Details) -> dict[str, Any]:
    best = _at(job, "BestCandidate") or {}
    objective = _at(best, "FinalAutoMLJobObjectiveMetric") or {}
    containers = best.get("InferenceContainers") or ()
    return {
        "job_name": job.get("AutoMLJobName"),
        "best_candidate": best.get("CandidateName"),
        "objective": {objective["MetricName"]: objective.get("Value")} if "MetricName" in objective else None,
        "models": [one["ModelDataUrl"] for one in containers if one.get("ModelDataUrl")],
        "output": _at(job, "OutputDataConfig", "S3OutputPath"),
    }


def _model(model: Details) -> dict[str, Any]:
    return {"model_name": model.get("ModelName"), "model_arn": model.get("ModelArn")}


def _model_package(package: Details) -> dict[str, Any]:
    return {
        "model_package_arn": package.get("ModelPackageArn") or package.get("Arn"),
        "model_package_group": package.get("ModelPackageGroupName"),
        "model_package_version": package.get("ModelPackageVersion"),
        "approval_status": package.get("ModelApprovalStatus"),
    }


def _endpoint(endpoint: Details) -> dict[str, Any]:
    return {"endpoint_name": endpoint.get("EndpointName"), "status": endpoint.get("EndpointStatus")}


def _endpoint_config(config: Details) -> dict[str, Any]:
    return {"endpoint_config_name": config.get("EndpointConfigName")}


def _check(check: Details) -> dict[str, Any]:
    """Of a QualityCheck or a ClarifyCheck step: reports and baselines."""
    return {
        "check_type": check.get("CheckType"),
        "violation_report": check.get("ViolationReport"),
        "statistics": check.get("CalculatedBaselineStatistics"),
        "constraints": check.get("CalculatedBaselineConstraints"),
        "baseline_statistics": check.get("BaselineUsedForDriftCheckStatistics"),
        "baseline_constraints": check.get("BaselineUsedForDriftCheckConstraints"),
        "job_arn": check.get("CheckJobArn"),
    }


def _function(details: Details) -> dict[str, Any]:
    return {"outputs": details.get("OutputParameters")}


_DEFAULTS: dict[str, Callable[[Details], dict[str, Any]]] = {
    "ProcessingJob": _processing,
    "TrainingJob": _training,
    "TransformJob": _transform,
    "TuningJob": _tuning,
    "AutoMLJob": _auto_ml,
    "Model": _model,
    "RegisterModel": _model_package,
    "Endpoint": _endpoint,
    "EndpointConfig": _endpoint_config,
    "QualityCheck": _check,
    "ClarifyCheck": _check,
    "Lambda": _function,
    "Callback": _function,
    "Condition": lambda details: {"outcome": details.get("Outcome")},
    "Fail": lambda details: {"message": details.get("ErrorMessage")},
    "EMR": lambda details: {
        "cluster_id": details.get("ClusterId"),
        "step_id": details.get("StepId"),
        "log": details.get("LogFilePath"),
    },
    "EMRServerless": lambda details: {
        "application_id": details.get("ApplicationId"),
        "job_run_id": details.get("JobRunId"),
        "log": details.get("LogFilePath"),
    },
    "ForEach": lambda details: {
        "items": details.get("InputItemCount"),
        "succeeded": details.get("SucceededStepCount"),
        "failed": details.get("FailedStepCount"),
        "stopped": details.get("StoppedStepCount"),
    },
}


# --- data -------------------------------------------------------------------------------------------------------------

_CODE_INPUTS = ("code", "entrypoint", "source", "sourcedir", "sm_code", "sm_drivers")
"""Names that the SDKs give to the inputs that hold a step's program."""


def _processing_data(job: Details) -> tuple[list[Any], list[Any]]:
    inputs = [
        _at(item, "S3Input", "S3Uri")
        for item in _items(job, "ProcessingInputs")
        if str(item.get("InputName")) not in _CODE_INPUTS
    ]
    return inputs, list(_named_outputs(job).values())


def _training_data(job: Details) -> tuple[list[Any], list[Any]]:
    inputs = _channels(job, "InputDataConfig")
    return inputs, [_at(job, "ModelArtifacts", "S3ModelArtifacts")]


def _transform_data(job: Details) -> tuple[list[Any], list[Any]]:
    source = _at(job, "TransformInput", "DataSource", "S3DataSource", "S3Uri")
    return [source], [_at(job, "TransformOutput", "S3OutputPath")]


def _tuning_data(job: Details) -> tuple[list[Any], list[Any]]:
    definitions = [_at(job, "TrainingJobDefinition"), *_items(job, "TrainingJobDefinitions")]
    definitions = [one for one in definitions if one]
    inputs = [uri for one in definitions for uri in _channels(one, "InputDataConfig")]
    return inputs, [_at(one, "OutputDataConfig", "S3OutputPath") for one in definitions]


def _auto_ml_data(job: Details) -> tuple[list[Any], list[Any]]:
    inputs = _channels(job, "InputDataConfig") + _channels(job, "AutoMLJobInputDataConfig")
    return inputs, [_at(job, "OutputDataConfig", "S3OutputPath")]


def _model_package_data(package: Details) -> tuple[list[Any], list[Any]]:
    containers = _at(package, "InferenceSpecification", "Containers") or ()
    inputs = [one.get("ModelDataUrl") or _at(one, "ModelDataSource", "S3DataSource", "S3Uri") for one in containers]
    return inputs, [package.get("ModelPackageArn") or package.get("Arn")]


def _check_data(check: Details) -> tuple[list[Any], list[Any]]:
    names = ("ViolationReport", "CalculatedBaselineStatistics", "CalculatedBaselineConstraints")
    baselines = ("BaselineUsedForDriftCheckStatistics", "BaselineUsedForDriftCheckConstraints")
    return [check.get(name) for name in baselines], [check.get(name) for name in names]


_DATA: dict[str, Callable[[Details], tuple[list[Any], list[Any]]]] = {
    "ProcessingJob": _processing_data,
    "TrainingJob": _training_data,
    "TransformJob": _transform_data,
    "TuningJob": _tuning_data,
    "AutoMLJob": _auto_ml_data,
    "RegisterModel": _model_package_data,
    "QualityCheck": _check_data,
    "ClarifyCheck": _check_data,
    "Athena": lambda details: ([], [details.get("S3OutputLocation")]),
}


def _named_outputs(job: Details) -> dict[str, Any]:
    outputs = _items(_at(job, "ProcessingOutputConfig") or {}, "Outputs")
    return {str(item.get("OutputName")): _at(item, "S3Output", "S3Uri") for item in outputs}


def _channels(job: Details, member: str) -> list[Any]:
    return [_at(channel, "DataSource", "S3DataSource", "S3Uri") for channel in _items(job, member)]


def _items(details: Details, member: str) -> list[Details]:
    return [item for item in details.get(member) or () if isinstance(item, Mapping)]


def _at(details: Details, *path: str) -> Any:
    value: Any = details
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _distinct(values: list[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(value) for value in values if value))
