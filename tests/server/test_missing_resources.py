"""What scripts ask other services for and is not there: the service's own error, so that an ``except`` for it works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.server.http.messages import Request, Response
from airflow_sm_pipelines.server.missing_resources import answer_failed_lookup, answer_nothing_found

if TYPE_CHECKING:
    from tests.server.endpoint_stand_in import Endpoint

ID = "11111111-2222-3333-4444-555555555555"


def ask(operation: str, **document: Any) -> Request:
    return Request.of_json("athena", "us-east-1", f"AmazonAthena.{operation}", document)


@pytest.mark.parametrize(
    ("call", "request_"),
    [
        ("get_query_execution", {"QueryExecutionId": ID}),
        ("get_work_group", {"WorkGroup": "nobody's"}),
        ("get_named_query", {"NamedQueryId": ID}),
        ("stop_query_execution", {"QueryExecutionId": ID}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_athena_does_not_have_is_its_own_error(endpoint: Endpoint, call: str, request_: dict[str, str]) -> None:
    athena = endpoint.client("athena")
    with pytest.raises(athena.exceptions.InvalidRequestException, match="was not found"):
        getattr(athena, call)(**request_)


def test_another_failure_is_no_missing_name() -> None:
    asked = ask("GetQueryExecution", QueryExecutionId=ID)
    found = answer_failed_lookup(asked, KeyError(ID))
    assert found is not None
    assert b"InvalidRequestException" in found.body
    assert answer_failed_lookup(asked, KeyError("QueryString")) is None
    assert answer_failed_lookup(asked, ValueError(ID)) is None
    assert answer_failed_lookup(ask("StartQueryExecution", WorkGroup=ID), KeyError(ID)) is None


@pytest.mark.parametrize(
    "body", [b'{"WorkGroup": {"Name": "primary"}}', b'{"streams": [], "nextToken": null}', b"{}", b"<a/>"]
)
def test_an_answer_that_says_something_is_left_alone(body: bytes) -> None:
    assert answer_nothing_found(ask("GetWorkGroup", WorkGroup="primary"), Response(200, body, ())) is None
