"""Which faults Airflow retries: for every error of the package, and every code of the service that has one."""

from __future__ import annotations

import inspect

import pytest

from airflow_sm_pipelines import exceptions
from airflow_sm_pipelines.airflow_names import AirflowFailException
from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.client.api_errors import parse_error_class

FINAL = {
    "ArgumentError",
    "PriceError",
    "PromotionError",
    "DefinitionError",
    "ParameterError",
    "PolicyError",
    "PipelineAccessError",
    "PipelineNotFoundError",
    "PipelineRequestError",
    "OldClientError",
}
CLASSES = [
    one
    for _, one in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(one, exceptions.SageMakerPipelinesError) and one.__module__ == exceptions.__name__
]


def make(error_class: type[Exception]) -> Exception:
    error = error_class.__new__(error_class)
    error.args = ("the reason",)
    return error


@pytest.mark.parametrize("error_class", CLASSES, ids=lambda one: str(one.__name__))
def test_only_what_no_retry_can_mend_fails_fast(error_class: type[Exception]) -> None:
    is_final = any(parent.__name__ in FINAL for parent in error_class.__mro__)
    with pytest.raises(AirflowFailException if is_final else error_class, match="the reason"), failing_fast():
        raise make(error_class)


@pytest.mark.parametrize(
    ("code", "is_final"),
    [
        ("AccessDeniedException", True),
        ("UnrecognizedClientException", True),
        ("ResourceNotFound", True),
        ("ValidationException", True),
        ("ThrottlingException", False),
        ("ServiceUnavailable", False),
        ("ExpiredTokenException", False),
        ("ConflictException", False),
        ("ResourceLimitExceeded", False),
        ("SomethingNew", False),
    ],
)
def test_a_code_of_the_service_is_final_or_not(code: str, is_final: bool) -> None:
    error_class = parse_error_class(code)
    with pytest.raises(AirflowFailException if is_final else error_class), failing_fast():
        raise error_class("the reason", code=code)
