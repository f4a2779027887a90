"""Experiments, trials and trial components, and how a job becomes a component of its trial.

The names, parameters and artifacts of a job's component are those that the service makes for a training job with an
``ExperimentConfig`` (SDK v2's ExperimentAnalytics shows them). Those of processing and transform jobs, which are not
documented, are made alike.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.arns import is_arn
from airflow_sm_pipelines.engine.rules.errors import ServiceError, not_found, validation_error
from airflow_sm_pipelines.engine.store.documents import to_ms

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_sm_pipelines.engine.rules.job_documents import JobKind
    from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
    from airflow_sm_pipelines.engine.store import ResourceRecord, Store

EXPERIMENT = "Experiment"
TRIAL = "Trial"
COMPONENT = "TrialComponent"
ARN_RESOURCES = {EXPERIMENT: "experiment", TRIAL: "experiment-trial", COMPONENT: "experiment-trial-component"}
TRIALS_KEY = "$trials"
"""The member of a component's record that names its trials."""
_MAX_TEXT = 2500


def add_entity(
    store: Store, arns: ArnFactory, kind: str, name: str, members: Mapping[str, Any], *, now: datetime, family: str = ""
) -> ResourceRecord:
    """Make an experiment, a trial or a component.

    :param members: further members of its Describe answer; ``Tags`` are not part of it.
    :param family: the experiment of a trial.
    :raises ServiceError: its name is taken.
    """
    arn = arns.make(ARN_RESOURCES[kind], name.lower())
    if store.resources.find(kind, name) is not None or store.resources.find_by_arn(arn) is not None:
        raise validation_error(f"{kind} names must be unique within an AWS account and region: '{name}' exists.")
    document: dict[str, Any] = {
        "DisplayName": name,
        **{key: value for key, value in members.items() if key != "Tags"},
        f"{kind}Name": name,
        f"{kind}Arn": arn,
        "CreationTime": now,
        "CreatedBy": {},
        "LastModifiedTime": now,
        "LastModifiedBy": {},
    }
    return store.add_resource(kind, name, arn, document, now=now, tags=members.get("Tags"), family=family or None)


def require_entity(store: Store, kind: str, name: str) -> ResourceRecord:
    """The experiment, trial or component of this name or ARN.

    :raises ServiceError: ResourceNotFound.
    """
    record = store.resources.find_by_arn(name) if is_arn(name) else store.resources.find(kind, name)
    if record is None or record.kind != kind:
        raise not_found(f"{kind} '{name}' does not exist.")
    return record


def change_entity(store: Store, record: ResourceRecord, members: Mapping[str, Any], *, now: datetime) -> None:
    """Write changed members of an experiment, a trial or a component."""
    document = {**record.document, **members, "LastModifiedTime": now, "LastModifiedBy": {}}
    store.resources.save(replace(record, document=document, modified_ms=to_ms(now)))


def ensure_trial(store: Store, arns: ArnFactory, experiment: str, trial: str, *, now: datetime) -> None:
    """Make an experiment and a trial in it, if they do not exist."""
    if store.resources.find(TRIAL, trial) is not None:
        return
    if store.resources.find(EXPERIMENT, experiment) is None:
        add_entity(store, arns, EXPERIMENT, experiment, {}, now=now)
    add_entity(store, arns, TRIAL, trial, {"ExperimentName": experiment}, now=now, family=experiment)


def add_tuning_experiment(store: Store, arns: ArnFactory, tuning_job: str, *, now: datetime) -> None:
    """Make the experiment of a new tuning job, as the service does: the amazon provider's system test deletes it."""
    with suppress(ServiceError):  # it is there already
        add_entity(store, arns, EXPERIMENT, f"{tuning_job}-aws-tuning-job", {}, now=now)


def add_job_component(
    store: Store, arns: ArnFactory, kind: JobKind, job: ResourceRecord, config: Mapping[str, Any], *, now: datetime
) -> None:
    """Make the component of a new job, in the trial that its ``ExperimentConfig`` names.

    :raises ServiceError: ResourceNotFound: there is no such trial or experiment.
    """
    trial = config.get("TrialName")
    if config.get("ExperimentName"):
        require_entity(store, EXPERIMENT, config["ExperimentName"])
    if trial:
        require_entity(store, TRIAL, trial)
    request = job.document["$request"]
    members: dict[str, Any] = {
        "DisplayName": config.get("TrialComponentDisplayName") or job.name,
        "Source": {"SourceArn": job.arn, "SourceType": f"SageMaker{kind.table_kind}"},
        "Status": {"PrimaryStatus": "InProgress"},
        "StartTime": now,
        "Parameters": _parameters_of(request),
        "InputArtifacts": _inputs_of(request),
        "OutputArtifacts": _outputs_of(request),
        TRIALS_KEY: [trial] if trial else [],
    }
    add_entity(store, arns, COMPONENT, component_name(kind, job.name), members, now=now)


def end_job_component(store: Store, kind: JobKind, name: str, document: Mapping[str, Any], *, now: datetime) -> None:
    """Record how a job ended in its component, if it has one.

    :param document: the job's Describe answer.
    """
    record = store.resources.find(COMPONENT, component_name(kind, name))
    if record is None:
        return
    status: dict[str, Any] = {"PrimaryStatus": document[kind.status_key]}
    if document.get("FailureReason"):
        status["Message"] = document["FailureReason"]
    members: dict[str, Any] = {"Status": status, "EndTime": now}
    if document.get(f"{kind.name}StartTime"):
        members["StartTime"] = document[f"{kind.name}StartTime"]
    metrics = document.get("$metric_summaries")
    if metrics:
        source = record.document["Source"]["SourceArn"]
        members["Metrics"] = [
            {"SourceArn": source, "TimeStamp": metric["Timestamp"], **_without(metric, "Timestamp")}
            for metric in metrics
        ]
    model = document.get("ModelArtifacts") or {}
    if model.get("S3ModelArtifacts") and status["PrimaryStatus"] == "Completed":
        artifact = {"SageMaker.ModelArtifact": {"Value": model["S3ModelArtifacts"]}}
        members["OutputArtifacts"] = {**record.document["OutputArtifacts"], **artifact}
    change_entity(store, record, members, now=now)


def component_name(kind: JobKind, job: str) -> str:
    """The name of a job's component, such as ``<job>-aws-training-job``."""
    return f"{job}-aws-{kind.resource}"


def _parameters_of(request: Mapping[str, Any]) -> dict[str, Any]:
    cluster = (request.get("ProcessingResources") or {}).get("ClusterConfig") or {}
    resources = request.get("ResourceConfig") or request.get("TransformResources") or cluster
    found = {name: _read_parameter(value) for name, value in (request.get("HyperParameters") or {}).items()}
    for member in ("InstanceCount", "InstanceType", "VolumeSizeInGB"):
        if resources.get(member) is not None:
            found[f"SageMaker.{member}"] = resources[member]
    return {name: _parameter(value) for name, value in found.items()}


def _read_parameter(text: str) -> Any:
    """The value of a hyperparameter, which SDK v2 writes as JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _parameter(value: Any) -> dict[str, Any]:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"NumberValue": float(value)}
    text = value if isinstance(value, str) else json.dumps(value)
    return {"StringValue": text[:_MAX_TEXT]}


def _inputs_of(request: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for member, key in (("AlgorithmSpecification", "TrainingImage"), ("AppSpecification", "ImageUri")):
        if (request.get(member) or {}).get(key):
            found["SageMaker.ImageUri"] = {"Value": request[member][key]}
    for channel in request.get("InputDataConfig") or ():
        source = (channel.get("DataSource") or {}).get("S3DataSource") or {}
        found[channel["ChannelName"]] = _artifact(source.get("S3Uri"), channel.get("ContentType"))
    for entry in request.get("ProcessingInputs") or ():
        found[entry["InputName"]] = _artifact((entry.get("S3Input") or {}).get("S3Uri"))
    source = ((request.get("TransformInput") or {}).get("DataSource") or {}).get("S3DataSource") or {}
    if source:
        found["SageMaker.TransformInput"] = _artifact(source.get("S3Uri"), request["TransformInput"].get("ContentType"))
    return {name: artifact for name, artifact in found.items() if artifact}


def _outputs_of(request: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in (request.get("ProcessingOutputConfig") or {}).get("Outputs") or ():
        found[entry["OutputName"]] = _artifact((entry.get("S3Output") or {}).get("S3Uri"))
    if request.get("TransformOutput"):
        found["SageMaker.TransformOutput"] = _artifact(request["TransformOutput"].get("S3OutputPath"))
    return {name: artifact for name, artifact in found.items() if artifact}


def _without(members: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in members.items() if key != name}


def _artifact(uri: str | None, media_type: str | None = None) -> dict[str, Any] | None:
    if not uri:
        return None
    return {"Value": uri, **({"MediaType": media_type} if media_type else {})}
