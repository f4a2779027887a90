"""The operations that only AutoML jobs have. Only a step with a stand-in makes such a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.operations.jobs import require_job
from airflow_sm_pipelines.engine.operations.resource_lists import cut_page
from airflow_sm_pipelines.engine.rules.errors import validation_error
from airflow_sm_pipelines.engine.rules.job_documents import AUTOML

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.operations.context import OperationContext, Request, Response

_V1_ONLY = frozenset(
    {
        "AutoMLJobConfig",
        "GenerateCandidateDefinitionsOnly",
        "InputDataConfig",
        "ProblemType",
        "ResolvedAttributes",
    }
)
_CHANNEL = ("ChannelType", "ContentType", "CompressionType", "DataSource")


def refuse_automl_job(context: OperationContext, request: Request) -> Response:
    """CreateAutoMLJob and CreateAutoMLJobV2, which the local engine refuses.

    :raises ServiceError: ValidationException: always; the message says what to do.
    """
    raise validation_error(
        f"The local engine does not search for models, so the AutoML job '{request[AUTOML.name_key]}' cannot run here. "
        'In a pipeline, a stand-in of yours performs the AutoML step: [[stand_in]] with type = "AutoML".'
    )


def describe_automl_job_v2(context: OperationContext, request: Request) -> Response:
    """DescribeAutoMLJobV2. The jobs of steps are of the first version, and are shown as tabular jobs."""
    document = require_job(context, AUTOML, request[AUTOML.name_key]).public_document
    channels = document["InputDataConfig"]
    config = document.get("AutoMLJobConfig") or {}
    tabular: dict[str, Any] = {"TargetAttributeName": channels[0]["TargetAttributeName"]}
    for name in ("CompletionCriteria", "Mode"):
        if config.get(name):
            tabular[name] = config[name]
    for name in ("ProblemType", "GenerateCandidateDefinitionsOnly"):
        if document.get(name) is not None:
            tabular[name] = document[name]
    shown = {key: value for key, value in document.items() if key not in _V1_ONLY}
    shown["AutoMLJobInputDataConfig"] = [
        {name: channel[name] for name in _CHANNEL if name in channel} for channel in channels
    ]
    for name in ("SecurityConfig", "DataSplitConfig"):
        if config.get(name):
            shown[name] = config[name]
    return shown | {
        "AutoMLProblemTypeConfig": {"TabularJobConfig": tabular},
        "AutoMLProblemTypeConfigName": "Tabular",
    }


def list_candidates(context: OperationContext, request: Request) -> Response:
    """ListCandidatesForAutoMLJob: only the best candidate, since a stand-in gives no other."""
    best = require_job(context, AUTOML, request[AUTOML.name_key]).document.get("BestCandidate")
    wanted = request.get("CandidateNameEquals"), request.get("StatusEquals")
    found = [
        one
        for one in ([best] if best else [])
        if wanted[0] in (None, one["CandidateName"]) and wanted[1] in (None, one["CandidateStatus"])
    ]
    page, more = cut_page("ListCandidatesForAutoMLJob", request, found)
    return {"Candidates": page, **more}
