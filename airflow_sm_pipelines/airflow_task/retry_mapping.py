"""Which errors Airflow retries, decided here for all operators and sensors.

Every error of this package says whether another try could help (``is_final``). :func:`failing_fast` turns final errors
into ``AirflowFailException``, which Airflow does not retry.

==================================== ======== =========================================================================
Error                                Retried  Because
==================================== ======== =========================================================================
wrong argument, definition, policy   no       the same text gives the same answer
not found, access denied, validation no       somebody must change something first
throttled, 5xx, unreachable          yes      it was borne for a while; the next attempt re-attaches
expired credentials, a wrong clock   yes      the same
conflict, quota, other API codes     yes      another writer or a full quota passes
pipeline script or its environment   yes      scripts call AWS themselves, environments come from a package index
execution failed                     see      ``on_retry`` of the run operator
required output missing              yes      the next attempt re-attaches to the ended execution and reads again
==================================== ======== =========================================================================
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_sm_pipelines.exceptions import SageMakerPipelinesError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def failing_fast() -> Iterator[None]:
    """Turn final errors into ``AirflowFailException``; also a decorator, ``@failing_fast()``.

    :raises AirflowFailException: instead of an error whose ``is_final`` is true.
    """
    try:
        yield
    except SageMakerPipelinesError as error:
        if not error.is_final:
            raise
        from airflow_sm_pipelines.airflow_names import AirflowFailException

        raise AirflowFailException(str(error)) from error
