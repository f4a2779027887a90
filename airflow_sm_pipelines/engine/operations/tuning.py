"""The operation that lists a tuning job's training jobs. Its other operations are those of every job (``jobs``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.operations.context import OperationContext, Request, Response, read_paging
from airflow_sm_pipelines.engine.rules.errors import not_found
from airflow_sm_pipelines.engine.rules.job_documents import TUNING
from airflow_sm_pipelines.engine.tuning.training_jobs import (
    TrainingJobSummary,
    list_training_jobs,
    objective_of,
    summarize_training_job,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_BY_METRIC = "FinalObjectiveMetricValue"
_KEYS: dict[str, Callable[[TrainingJobSummary], Any]] = {
    "Name": lambda summary: summary["TrainingJobName"],
    "CreationTime": lambda summary: summary["CreationTime"],
    "Status": lambda summary: summary["TrainingJobStatus"],
    _BY_METRIC: lambda summary: objective_of(summary) or 0.0,
}


def list_training_jobs_for_tuning_job(context: OperationContext, request: Request) -> Response:
    """ListTrainingJobsForHyperParameterTuningJob; sorted by metric, it leaves out jobs without one (documented)."""
    name = request["HyperParameterTuningJobName"]
    if context.store.resources.find(TUNING.table_kind, name) is None:
        raise not_found(f"Could not find requested job with name: {name}")
    paging = read_paging(
        "ListTrainingJobsForHyperParameterTuningJob",
        request,
        columns=dict.fromkeys(_KEYS, ""),
        default_sort="Name",
        tie_column="",
        default_order="Ascending",
    )
    summaries = [summarize_training_job(record.document) for record in list_training_jobs(context.store, name)]
    if request.get("StatusEquals"):
        summaries = [summary for summary in summaries if summary["TrainingJobStatus"] == request["StatusEquals"]]
    sort_by = request.get("SortBy") or "Name"
    if sort_by == _BY_METRIC:
        summaries = [summary for summary in summaries if objective_of(summary) is not None]
    summaries.sort(key=_KEYS[sort_by], reverse=paging.page.is_descending)
    # A tuning job has few training jobs, and no column holds the objective, so the token is a position.
    start = int(paging.page.after[0]) if paging.page.after else 0
    end = start + paging.page.limit
    return {
        "TrainingJobSummaries": summaries[start:end],
        **paging.next_token((end, 0) if end < len(summaries) else None),
    }
