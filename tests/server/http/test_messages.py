"""A request made here, kept as text, and what it says of itself."""

from __future__ import annotations

import json

from airflow_sm_pipelines.server.http.messages import Request, Response


def test_a_request_of_the_query_protocol_is_what_a_client_would_send() -> None:
    request = Request.of_query("iam", "", {"Action": "GetRole", "RoleName": "a b&c"})
    assert (request.service, request.region, request.operation) == ("iam", "us-east-1", "GetRole")
    assert request.form == {"Action": "GetRole", "RoleName": "a b&c"}


def test_a_request_of_the_json_protocol_is_what_a_client_would_send() -> None:
    request = Request.of_json("logs", "eu-west-1", "Logs_20140328.CreateLogGroup", {"logGroupName": "ü"})
    assert (request.service, request.region, request.operation) == ("logs", "eu-west-1", "CreateLogGroup")
    assert json.loads(request.body) == {"logGroupName": "ü"}


def test_a_kept_request_is_the_same_without_the_clients_credentials() -> None:
    made = Request.of_json("events", "eu-west-1", "AWSEvents.PutRule", {"Name": "r"})
    secret = {
        "HTTP_AUTHORIZATION": made.environ["HTTP_AUTHORIZATION"].replace("Signature=0", "Signature=secret"),
        "HTTP_X_AMZ_SECURITY_TOKEN": "secret",
        "HTTP_X_AMZ_META_OWNER": "me",
        "HTTP_COOKIE": "secret",
    }
    record = Request({**made.environ, **secret}, made.body).to_record()
    assert "secret" not in record
    kept = Request.of_record(record, made.body)
    assert (kept.service, kept.region, kept.operation, kept.body) == (
        made.service,
        made.region,
        made.operation,
        made.body,
    )
    assert kept.environ["HTTP_X_AMZ_META_OWNER"] == "me"


def test_an_answer_is_summed_up_in_one_line() -> None:
    assert Response(400, b"<Error>\n  <Code>No</Code>\n").summary == "HTTP 400 <Error> <Code>No</Code>"
    replaced = "\ufffd" * 300
    assert Response(500, b"\xff" * 1000).summary == f"HTTP 500 {replaced}"
    assert Response(404).summary == "HTTP 404"
