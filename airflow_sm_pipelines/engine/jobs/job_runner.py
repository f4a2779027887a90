"""Runs one job of any kind, and always gives an outcome.

What belongs here: the choice by kind, and the reason of what went wrong. What does not: the contract of one kind.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.container import find_password_settings
from airflow_sm_pipelines.engine.jobs.failures import JobFailure, shorten_reason
from airflow_sm_pipelines.engine.jobs.job_log import JobLog
from airflow_sm_pipelines.engine.jobs.job_spec import JobOutcome
from airflow_sm_pipelines.engine.jobs.model_customization import is_customization, run_customization_job
from airflow_sm_pipelines.engine.jobs.processing import run_processing_job
from airflow_sm_pipelines.engine.jobs.training import run_training_job
from airflow_sm_pipelines.engine.jobs.transform import run_transform_job
from airflow_sm_pipelines.engine.rules.request_members import Effect, iter_members
from airflow_sm_pipelines.exceptions import SageMakerPipelinesError

if TYPE_CHECKING:
    import threading

    from airflow_sm_pipelines.engine.jobs.job_spec import JobContext, JobSpec

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_RUN = {"Processing": run_processing_job, "Training": run_training_job, "Transform": run_transform_job}


def _note_passwords(log: JobLog) -> None:
    """Say which settings of this machine the job does not get."""
    names = find_password_settings(os.environ)
    if names:
        log.add(
            "algo-1",
            f"Left out, since it holds a password: {', '.join(names)}. If the job installs packages from that index, "
            "set the address in 'env' of the image in the table of images.",
        )


def _judge_members(spec: JobSpec, log: JobLog) -> None:
    """Say which members of the request have no effect, and refuse those that cannot be done without."""
    operation = f"Create{spec.kind}Job"
    for rule in iter_members(operation, spec.request, Effect.REFUSED):
        raise JobFailure(f"ClientError: {rule.name} does not work locally: {rule.reason}.")
    for rule in iter_members(operation, spec.request, Effect.SAID):
        log.add("algo-1", f"WARNING: {rule.name} has no effect here: {rule.reason}.")


def run_job(spec: JobSpec, context: JobContext, stop: threading.Event) -> JobOutcome:
    """Run a job in the calling thread until it has ended and none of its processes is left.

    What the job, its request, its data or this machine does wrong is not raised: it is the reason of the outcome.

    :param stop: set it to stop the job with SIGTERM, and SIGKILL after the grace time.
    """
    log = JobLog(context.log, spec.name)
    if stop.is_set():
        return JobOutcome("Stopped")
    is_for_full_disk = False
    try:
        spec.directory.mkdir(parents=True, exist_ok=True)
        if is_customization(spec.request):
            return run_customization_job(spec, context, log, stop)
        _judge_members(spec, log)
        _note_passwords(log)
        return _RUN[spec.kind](spec, context, log, stop)
    except JobFailure as failure:
        reason = str(failure)
    except SageMakerPipelinesError as error:
        reason = f"ClientError: {error}"
    except KeyError as error:
        reason = f"ClientError: the request lacks {error}."
    except OSError as error:
        reason = f"InternalServerError: this machine refused: {error}"
        is_for_full_disk = error.errno in _FULL
    reason = shorten_reason(reason)
    log.add("algo-1", reason)
    log.flush()
    return JobOutcome("Failed", reason, None, log.tail, {"FailureReason": reason}, is_for_full_disk)
