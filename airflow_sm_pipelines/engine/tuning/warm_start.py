"""What a tuning job takes over from earlier ones: which must exist, and the training jobs they ran.

Source: developer guide, "Run a Warm Start Hyperparameter Tuning Job".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.rules.errors import validation_error
from airflow_sm_pipelines.engine.rules.job_documents import ENDED_STATUSES, TUNING
from airflow_sm_pipelines.engine.tuning.training_jobs import (
    TrainingJobSummary,
    list_training_jobs,
    objective_of,
    summarize_training_job,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_sm_pipelines.engine.store import Store
    from airflow_sm_pipelines.engine.tuning.ranges import Point
    from airflow_sm_pipelines.engine.tuning.request import TrainingJobDefinition


def require_parents(store: Store, parents: Iterable[str]) -> None:
    """Check that a tuning job can start from these tuning jobs.

    :raises ServiceError: one does not exist, or has not ended.
    """
    for name in parents:
        record = store.resources.find(TUNING.table_kind, name)
        if record is None:
            raise validation_error(f"The parent tuning job '{name}' of WarmStartConfig does not exist.")
        if record.status not in ENDED_STATUSES:
            raise validation_error(
                f"The parent tuning job '{name}' of WarmStartConfig is {record.status}: only one that has ended can be."
            )


def read_parent_jobs(store: Store, parents: Iterable[str]) -> list[dict[str, Any]]:
    """The records of the training jobs of these tuning jobs."""
    return [
        {**record.document, "$tuning_job": name}
        for name in dict.fromkeys(parents)
        for record in list_training_jobs(store, name)
    ]


def find_known_losses(
    jobs: Iterable[Mapping[str, Any]], definition: TrainingJobDefinition
) -> list[tuple[Point, float]]:
    """What earlier training jobs found at points of this search; lower is better.

    Jobs with hyperparameters outside the ranges, or with another metric, are left out.
    """
    sign = 1.0 if definition.is_minimized else -1.0
    found = []
    for document in jobs:
        if document["$trial"]["MetricName"] != definition.metric or document["TrainingJobStatus"] != "Completed":
            continue
        point = definition.space.point_of(document.get("HyperParameters") or {})
        value = objective_of(summarize_training_job(document))
        if point is not None and value is not None:
            found.append((point, sign * value))
    return found


def summarize_parent_jobs(jobs: Iterable[Mapping[str, Any]]) -> list[TrainingJobSummary]:
    """The summaries of earlier training jobs, each with the name of its tuning job."""
    return [summarize_training_job(document) | {"TuningJobName": document["$tuning_job"]} for document in jobs]
