"""A function that is invoked through Lambda's API runs as it does for a Lambda step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import botocore.exceptions
import pytest

from tests.airflow_runs import create_functions

if TYPE_CHECKING:
    from collections.abc import Iterator

HANDLER = """
def work(event, context):
    if event.get("fails"):
        raise ValueError("no good")
    return {"got": event}
"""


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of an endpoint that has a function."""
    from airflow_sm_pipelines.server import serve

    with serve(tmp_path_factory.mktemp("endpoint") / "state") as running:
        yield create_functions(running, HANDLER, "work")


def invoke(client: Any, event: Any, **options: Any) -> tuple[Any, Any]:
    answer = client.invoke(FunctionName="work", Payload=json.dumps(event).encode(), **options)
    text = answer["Payload"].read()
    return answer, json.loads(text) if text else None


def test_its_answer_is_the_functions(functions: Any) -> None:
    answer, result = invoke(functions, {"a": 1})
    assert (answer["StatusCode"], answer.get("FunctionError"), result) == (200, None, {"got": {"a": 1}})


def test_a_failure_of_the_function_is_told_as_lambda_tells_it(functions: Any) -> None:
    answer, result = invoke(functions, {"fails": True})
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert "no good" in result["errorMessage"]


def test_what_is_not_there_and_a_dry_run(functions: Any) -> None:
    with pytest.raises(botocore.exceptions.ClientError, match="Function not found: other"):
        functions.invoke(FunctionName="other")
    assert invoke(functions, {}, InvocationType="DryRun")[0]["StatusCode"] == 204
