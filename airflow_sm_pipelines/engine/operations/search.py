"""The Search operation: it searches what the engine keeps, with the filters of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.operations.execution_views import describe_pipeline_execution
from airflow_sm_pipelines.engine.operations.pipelines import describe_pipeline
from airflow_sm_pipelines.engine.operations.resource_lists import cut_page, read_all
from airflow_sm_pipelines.engine.registry.endpoints import ENDPOINT
from airflow_sm_pipelines.engine.registry.experiments import COMPONENT, EXPERIMENT, TRIAL, TRIALS_KEY
from airflow_sm_pipelines.engine.registry.models import GROUP, PACKAGE
from airflow_sm_pipelines.engine.rules.errors import validation_error
from airflow_sm_pipelines.engine.rules.job_documents import TRAINING, TUNING
from airflow_sm_pipelines.engine.rules.search_filters import matches, sort_key
from airflow_sm_pipelines.engine.store.database import Page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.engine.operations.context import OperationContext, Request, Response

_KINDS = {
    "Endpoint": ENDPOINT,
    "Experiment": EXPERIMENT,
    "ExperimentTrial": TRIAL,
    "ExperimentTrialComponent": COMPONENT,
    "HyperParameterTuningJob": TUNING.table_kind,
    "ModelPackage": PACKAGE,
    "ModelPackageGroup": GROUP,
    "TrainingJob": TRAINING.table_kind,
}
_RECORD_MEMBERS = {"ExperimentTrial": "Trial", "ExperimentTrialComponent": "TrialComponent"}
_DESCRIBE_ONLY = frozenset(
    {
        "AsyncInferenceConfig",
        "Autotune",
        "BillableTokenCount",
        "CrossRegionTrafficConfig",
        "ExplainerConfig",
        "InfraCheckConfig",
        "LastDeploymentConfig",
        "MLflowConfig",
        "ManagedConfiguration",
        "ManagedStorageType",
        "MetricsConfig",
        "MlflowConfig",
        "MlflowDetails",
        "PendingDeploymentSummary",
        "PipelineDefinition",
        "PipelineVersionAliases",
        "PipelineVersionDescription",
        "PipelineVersionDisplayName",
        "ProfilerRuleConfigurations",
        "ProfilerRuleEvaluationStatuses",
        "ProfilingStatus",
        "ProgressInfo",
        "RemoteDebugConfig",
        "ServerlessJobConfig",
        "Sources",
    }
)
"""The members of Describe answers that the records of Search do not have (API model)."""


def search(context: OperationContext, request: Request) -> Response:
    """Search for pipelines, executions, or one of the other kinds of resources that the engine keeps.

    :raises ServiceError: ValidationException: the engine does not search for this kind.
    """
    resource = request["Resource"]
    if resource not in (*_KINDS, "Pipeline", "PipelineExecution"):
        known = ", ".join(sorted((*_KINDS, "Pipeline", "PipelineExecution")))
        raise validation_error(f"The local engine does not search for {resource}, only for {known}.")
    expression = request.get("SearchExpression") or {}
    found = [record for record in _iter_records(context, resource) if matches(record, expression)]
    found.sort(key=lambda record: sort_key(record, request.get("SortBy") or "LastModifiedTime"))
    if (request.get("SortOrder") or "Descending") == "Descending":
        found.reverse()
    page, more = cut_page("Search", request, found)
    member = _RECORD_MEMBERS.get(resource, resource)
    total = {"Value": len(found), "Relation": "EqualTo"}
    return {"Results": [{member: record} for record in page], "TotalHits": total, **more}


def _iter_records(context: OperationContext, resource: str) -> Iterator[dict[str, Any]]:
    if resource == "Pipeline":
        page = Page(sort_column="name", tie_column="name", is_descending=False, limit=1_000_000)
        pipelines, _ = context.store.pipelines.page([], page)
        for pipeline in pipelines:
            yield _shown(context, describe_pipeline(context, {"PipelineName": pipeline.name}), pipeline.arn)
    elif resource == "PipelineExecution":
        page = Page(sort_column="created_ms", tie_column="id", is_descending=False, limit=1_000_000)
        executions, _ = context.store.executions.page([], page)
        for execution in executions:
            answer = describe_pipeline_execution(context, {"PipelineExecutionArn": execution.arn})
            given = [{"Name": name, "Value": _text(value)} for name, value in execution.parameters.items()]
            shown = {key: value for key, value in answer.items() if key not in (*_DESCRIBE_ONLY, "RoleArn")}
            yield shown | ({"PipelineParameters": given} if given else {})
    else:
        for record in read_all(context.store, _KINDS[resource]):
            yield _shown(context, record.public_document, record.arn) | _relations(context, resource, record.document)


def _relations(context: OperationContext, resource: str, document: dict[str, Any]) -> dict[str, Any]:
    """What only Search shows: the trials and the source of a component."""
    if resource == "ExperimentTrialComponent":
        trials = [context.store.resources.find(TRIAL, name) for name in document.get(TRIALS_KEY, ())]
        found: dict[str, Any] = {
            "Parents": [{"TrialName": one.name, "ExperimentName": one.family or ""} for one in trials if one]
        }
        if document.get("Source"):
            found["SourceDetail"] = {"SourceArn": document["Source"]["SourceArn"]}
        return found
    return {}


def _shown(context: OperationContext, document: dict[str, Any], arn: str) -> dict[str, Any]:
    shown = {key: value for key, value in document.items() if key not in _DESCRIBE_ONLY}
    tags = context.store.tags.of(arn)
    return shown | {"Tags": tags} if tags else shown


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
