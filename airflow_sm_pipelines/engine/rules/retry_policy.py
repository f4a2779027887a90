"""When a failed step is tried again: by its RetryPolicies, or by the service's own policy for throttling and faults.

Source: developer guide, "Retry Policy for Pipeline Steps", and ``sagemaker.workflow.retry``. Which local failure counts
as which exception is here too. Choices where the sources say nothing are in docs/engine.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.steps import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVICE_FAULT = "Step.SERVICE_FAULT"
THROTTLING = "Step.THROTTLING"
JOB_INTERNAL_ERROR = "SageMaker.JOB_INTERNAL_ERROR"
CAPACITY_ERROR = "SageMaker.CAPACITY_ERROR"
RESOURCE_LIMIT = "SageMaker.RESOURCE_LIMIT"

DEFAULT_BACKOFF_RATE = 2.0
DEFAULT_INTERVAL_SECONDS = 1
DEFAULT_MAX_ATTEMPTS = 5

_CLASSES = {
    "InternalServerError": JOB_INTERNAL_ERROR,
    "CapacityError": CAPACITY_ERROR,
    "ResourceLimitExceeded": RESOURCE_LIMIT,
}
"""By the first word of a job's FailureReason, which alone tells the class of its failure."""
_DEFAULT_POLICY = RetryPolicy(exception_types=(SERVICE_FAULT, THROTTLING), max_attempts=DEFAULT_MAX_ATTEMPTS)

EXCEPTION_REASONS = {
    SERVICE_FAULT: "ClientError: ServiceFault: Internal service error.",
    THROTTLING: "ClientError: ThrottlingException: Rate exceeded.",
    JOB_INTERNAL_ERROR: "ClientError: InternalServerError: We encountered an internal error. Please try again.",
    CAPACITY_ERROR: "ClientError: CapacityError: Unable to provision requested ML compute capacity.",
    RESOURCE_LIMIT: "ClientError: ResourceLimitExceeded: The account-level service limit was exceeded.",
}
"""Every exception type, with the FailureReason of a step that failed with it."""


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """A further attempt.

    :param at_ms: when it begins.
    :param counts: how many retries each policy has caused, including this one.
    """

    at_ms: int
    counts: tuple[int, ...]


def classify_failure(reason: str | None, *, step_type: str) -> str | None:
    """The exception type that a job's FailureReason stands for, if policies can name it.

    Tuning and AutoML jobs retry the internal errors of their jobs themselves, so no policy does (documented).
    """
    words = (reason or "").removeprefix("ClientError: ").partition(":")
    found = _CLASSES.get(words[0]) if words[1] else None
    return None if found == JOB_INTERNAL_ERROR and step_type in ("Tuning", "AutoML") else found


def plan_retry(
    policies: Sequence[RetryPolicy],
    exception_type: str,
    *,
    counts: Sequence[int],
    started_ms: int,
    now_ms: int,
    is_retried_by_default: bool,
) -> RetryPlan | None:
    """Plan the next attempt of a failed step; None if it stays failed.

    The first policy that names the exception decides. Its intervals grow by its back-off rate with each retry.

    :param counts: how many retries each policy has caused so far.
    :param started_ms: when the step was started first.
    :param is_retried_by_default: whether the service's own policy applies if the step has none for the exception.
    """
    applying = [*policies, _DEFAULT_POLICY] if is_retried_by_default else list(policies)
    for index, policy in enumerate(applying):
        if exception_type not in policy.exception_types:
            continue
        so_far = [*counts, *([0] * (len(applying) - len(counts)))]
        limit = policy.max_attempts
        if limit is None and policy.expire_after_min is None:
            limit = DEFAULT_MAX_ATTEMPTS
        if limit is not None and so_far[index] >= limit:
            return None
        interval = DEFAULT_INTERVAL_SECONDS if policy.interval_seconds is None else policy.interval_seconds
        rate = DEFAULT_BACKOFF_RATE if policy.backoff_rate is None else policy.backoff_rate
        at_ms = now_ms + round(1000 * interval * rate ** so_far[index])
        if policy.expire_after_min is not None and at_ms > started_ms + policy.expire_after_min * 60_000:
            return None
        so_far[index] += 1
        return RetryPlan(at_ms, tuple(so_far))
    return None
