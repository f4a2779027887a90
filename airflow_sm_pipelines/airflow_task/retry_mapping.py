"""Which faults Airflow should retry, decided once for all operators.

==================================== ======== =========================================================================
Fault                                Retried  Because
==================================== ======== =========================================================================
wrong definition, parameter, policy  no       the same text gives the same answer
not found, access denied, validation no       somebody must change something first
throttled, 5xx, unreachable          yes      botocore has already retried for a while; the next attempt re-attaches
conflict, quota, other API codes     yes      another writer or a full quota passes
pipeline script or its environment   yes      scripts call AWS themselves, environments come from a package index
execution failed                     see      ``on_retry`` of the run operator
required output missing              yes      the next attempt re-attaches to the ended execution and reads again
==================================== ======== =========================================================================
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from airflow_sm_pipelines.exceptions import (
    DefinitionError,
    ParameterError,
    PipelineAccessError,
    PipelineNotFoundError,
    PipelineRequestError,
    PolicyError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

FINAL_FAULTS = (
    DefinitionError,
    ParameterError,
    PipelineAccessError,
    PipelineNotFoundError,
    PipelineRequestError,
    PolicyError,
)
"""The errors that no retry can mend."""


@contextmanager
def failing_fast() -> Iterator[None]:
    """Turn the errors that no retry can mend into ``AirflowFailException``, which Airflow does not retry."""
    try:
        yield
    except FINAL_FAULTS as error:
        raise_final(str(error), error)


def raise_final(message: str, cause: BaseException | None = None) -> NoReturn:
    """Fail the task without retries.

    :raises AirflowFailException: always.
    """
    from airflow.providers.common.compat.sdk import AirflowFailException

    raise AirflowFailException(message) from cause
