"""The training jobs of a tuning job: their records, summaries, ranking and counters."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_sm_pipelines.engine.rules.job_documents import ENDED_STATUSES, TRAINING
from airflow_sm_pipelines.engine.store.database import Page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_sm_pipelines.engine.store import ResourceRecord, Store

TrainingJobSummary: TypeAlias = dict[str, Any]
"""A ``HyperParameterTrainingJobSummary`` of the API."""

_MAX_TRAINING_JOBS = 10_000
_COPIED = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime",
           "TrainingJobStatus", "FailureReason")  # fmt: skip


def list_training_jobs(store: Store, tuning_job: str) -> list[ResourceRecord]:
    """The records of a tuning job's training jobs, in the order in which they were made."""
    page = Page(sort_column="seq", tie_column="seq", is_descending=False, limit=_MAX_TRAINING_JOBS)
    records, _ = store.resources.page(TRAINING.table_kind, [("family = ?", tuning_job)], page)
    return records


def summarize_training_job(document: Mapping[str, Any]) -> TrainingJobSummary:
    """Summarize a training job.

    :param document: its record. ``$trial`` in it is what the tuning job noted about it.
    """
    notes = document["$trial"]
    summary: TrainingJobSummary = {key: document[key] for key in _COPIED if document.get(key) is not None}
    summary["TunedHyperParameters"] = dict(notes["TunedHyperParameters"])
    if notes.get("DefinitionName"):
        summary["TrainingJobDefinitionName"] = notes["DefinitionName"]
    value = _objective_value(document, notes["MetricName"])
    if value is not None:
        summary["FinalHyperParameterTuningJobObjectiveMetric"] = {"MetricName": notes["MetricName"], "Value": value}
        summary["ObjectiveStatus"] = "Succeeded"
    else:
        summary["ObjectiveStatus"] = "Failed" if document["TrainingJobStatus"] in ENDED_STATUSES else "Pending"
    return summary


def objective_of(summary: TrainingJobSummary) -> float | None:
    """The final value of the objective, if there is one."""
    metric = summary.get("FinalHyperParameterTuningJobObjectiveMetric")
    return None if metric is None else float(metric["Value"])


def rank_summaries(summaries: Iterable[TrainingJobSummary], *, is_minimized: bool) -> list[TrainingJobSummary]:
    """The completed training jobs that have an objective value, the best first."""
    found = [
        (value, summary)
        for summary in summaries
        if summary["TrainingJobStatus"] == "Completed" and (value := objective_of(summary)) is not None
    ]
    return [summary for _, summary in sorted(found, key=lambda entry: entry[0] if is_minimized else -entry[0])]


def count_statuses(summaries: Sequence[TrainingJobSummary]) -> dict[str, dict[str, int]]:
    """``TrainingJobStatusCounters`` and ``ObjectiveStatusCounters``."""
    statuses = Counter(summary["TrainingJobStatus"] for summary in summaries)
    objectives = Counter(summary["ObjectiveStatus"] for summary in summaries)
    return {
        "TrainingJobStatusCounters": {
            "Completed": statuses["Completed"],
            "InProgress": statuses["InProgress"] + statuses["Stopping"],
            "RetryableError": 0,
            "NonRetryableError": statuses["Failed"],
            "Stopped": statuses["Stopped"],
        },
        "ObjectiveStatusCounters": {name: objectives[name] for name in ("Succeeded", "Pending", "Failed")},
    }


def _objective_value(document: Mapping[str, Any], metric_name: str) -> float | None:
    for metric in document.get("FinalMetricDataList") or ():
        # Records from before nan and inf were no values may have them.
        if metric["MetricName"] == metric_name and math.isfinite(float(metric["Value"])):
            return float(metric["Value"])
    return None
