"""Any bytes from any client: an answer with a typed error, and an endpoint that goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_sm_pipelines.server.http.messages import Request, Response, make_authorization
from airflow_sm_pipelines.server.sagemaker_codec import SageMakerCodec
from tests.server.endpoint_stand_in import Endpoint, open_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPERATIONS = sorted(SageMakerCodec().operation_names)
#: Of the services behind moto, those a pipeline's world is made of.
SERVICES = ["s3", "iam", "sts", "sqs", "logs", "events", "lambda", "sagemaker", "bedrock", "nonsense", ""]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """One endpoint for all examples: what one leaves behind is there for the next."""
    with open_endpoint(tmp_path_factory.mktemp("state")) as running:
        yield running


def send(endpoint: Endpoint, headers: dict[str, str], body: bytes, method: str = "POST", path: str = "/") -> Response:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "127.0.0.1",
        **headers,
    }
    return endpoint.router.call(Request(environ, body))


@given(operation=st.sampled_from(OPERATIONS) | st.text(max_size=20), body=st.binary(max_size=200))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_to_sagemaker_are_answered_in_its_protocol(target: Endpoint, operation: str, body: bytes) -> None:
    answer = send(
        target, {"HTTP_X_AMZ_TARGET": f"SageMaker.{operation}", "CONTENT_TYPE": "application/x-amz-json-1.1"}, body
    )
    document = json.loads(answer.body or b"{}")
    assert answer.status == 200 or document["__type"]


@given(
    service=st.sampled_from(SERVICES),
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"]),
    path=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30).map("/".__add__),
    action=st.sampled_from(["", "Action=CreateRole", "Action=GetRole&RoleName=x", "Action=Nonsense&Version=1"]),
    body=st.binary(max_size=100),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_request_to_any_service_is_answered_without_a_page(
    target: Endpoint, service: str, method: str, path: str, action: str, body: bytes
) -> None:
    headers = {"HTTP_AUTHORIZATION": make_authorization("us-east-1", service)}
    if action:
        headers["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
    answer = send(target, headers, action.encode() or body, method, path)
    assert b"<!doctype" not in answer.body[:20].lower()
    assert send(target, {"HTTP_AUTHORIZATION": make_authorization("us-east-1", "s3")}, b"", "GET").status == 200


def test_what_the_fuzz_left_behind_can_be_restored(target: Endpoint, tmp_path: Path) -> None:
    send(target, {"HTTP_AUTHORIZATION": make_authorization("us-east-1", "s3")}, b"", "PUT", "/odd.bucket")
    assert (
        send(
            target, {"HTTP_AUTHORIZATION": make_authorization("us-east-1", "s3")}, b"\x00", "PUT", "/odd.bucket/\x7f"
        ).status
        == 200
    )
    with open_endpoint(tmp_path / "other-process-s-state") as fresh:
        # moto's state is the process's: an endpoint that starts begins with its own, which is empty.
        assert fresh.client("s3").list_buckets()["Buckets"] == []
