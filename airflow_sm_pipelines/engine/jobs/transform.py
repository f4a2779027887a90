"""A transform job: batch inference. Refused here until it has a local meaning.

Belongs here: SageMaker's contract for batch transform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.failures import JobFailure

if TYPE_CHECKING:
    import threading

    from airflow_sm_pipelines.engine.jobs.job import JobContext, JobOutcome, JobSpec
    from airflow_sm_pipelines.engine.jobs.job_log import JobLog


def run_transform_job(spec: JobSpec, context: JobContext, log: JobLog, stop: threading.Event) -> JobOutcome:
    """Refuse the job.

    :raises JobFailure: always.
    """
    raise JobFailure("ClientError: transform jobs do not run locally yet; run this step on AWS.")
