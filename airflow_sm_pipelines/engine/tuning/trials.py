"""The training jobs of one tuning job, as it sees them: made, run, stopped, read.

The thin side of tuning: every decision is in :mod:`~airflow_sm_pipelines.engine.tuning.tuning_run` and below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.rules.job_documents import TRAINING
from airflow_sm_pipelines.engine.store.database import Page

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from airflow_sm_pipelines.engine.jobs.job_host import JobHost, LogListener
    from airflow_sm_pipelines.engine.store import ResourceRecord, Store

_MAX_TRIALS = 10_000


class Trials:
    """The training jobs of one tuning job.

    :param tuning_job: its name; training jobs carry it as their family.
    """

    def __init__(self, store: Store, jobs: JobHost, *, tuning_job: str, tuning_arn: str) -> None:
        self._store, self._jobs = store, jobs
        self._tuning_job, self._tuning_arn = tuning_job, tuning_arn

    def create(self, name: str, request: Mapping[str, Any], trial: Mapping[str, Any]) -> None:
        """Record a training job; ``trial`` is what the tuning job wants to know of it later."""
        extra = {"TuningJobArn": self._tuning_arn, "$trial": dict(trial)}
        self._jobs.create(TRAINING, name, request, family=self._tuning_job, extra=extra)

    def run(self, name: str, stop: threading.Event, on_log: LogListener | None) -> None:
        """Run one to its end.

        :param on_log: gets the lines of its log meanwhile.

        :raises Interrupted: the engine shuts down.
        """
        self._jobs.run(TRAINING, name, stop, on_log=on_log)

    def stop(self, name: str) -> None:
        """Ask one to stop; nothing if it has ended."""
        self._jobs.stop(TRAINING, name)

    def fail(self, name: str, reason: str) -> None:
        """Record that one failed in the engine."""
        self._jobs.fail(TRAINING, name, reason)

    def documents(self) -> list[dict[str, Any]]:
        """Their records in the order they were made."""
        return [record.document for record in list_trials(self._store, self._tuning_job)]


def list_trials(store: Store, tuning_job: str) -> list[ResourceRecord]:
    """The records of a tuning job's training jobs, in the order they were made."""
    page = Page(sort_column="seq", tie_column="seq", is_descending=False, limit=_MAX_TRIALS)
    records, _ = store.resources.page(TRAINING.table_kind, [("family = ?", tuning_job)], page)
    return records
