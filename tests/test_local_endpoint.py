"""What a child of the local endpoint may and may not see of its parent's environment."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.local_endpoint import CREDENTIAL_VARIABLES, child_environment

URL = "http://127.0.0.1:4566"
OVERWRITTEN = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


@pytest.mark.parametrize("name", sorted(CREDENTIAL_VARIABLES - OVERWRITTEN))
def test_a_variable_that_leads_to_a_real_account_is_left_out(name: str) -> None:
    assert name not in child_environment({name: "real"}, URL, "us-east-1")


def test_real_keys_are_replaced_by_local_ones() -> None:
    env = child_environment({"AWS_ACCESS_KEY_ID": "AKIAREAL", "AWS_SECRET_ACCESS_KEY": "real"}, URL, "us-east-1")
    assert (env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]) == ("local", "local")


def test_an_endpoint_of_one_service_does_not_bypass_the_local_one() -> None:
    env = child_environment({"AWS_ENDPOINT_URL_S3": "https://elsewhere"}, URL, "us-east-1")
    assert "AWS_ENDPOINT_URL_S3" not in env
    assert env["AWS_ENDPOINT_URL"] == URL


def test_the_region_is_the_endpoints() -> None:
    env = child_environment({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, URL, "us-west-2")
    assert env["AWS_REGION"] == env["AWS_DEFAULT_REGION"] == "us-west-2"


def test_the_default_airflow_connection_is_the_default_chain_and_others_stay() -> None:
    env = child_environment({"AIRFLOW_CONN_AWS_DEFAULT": "aws://key:secret@", "AIRFLOW_CONN_DB": "x"}, URL, "us-east-1")
    assert env["AIRFLOW_CONN_AWS_DEFAULT"] == "aws://"
    assert env["AIRFLOW_CONN_DB"] == "x"


def test_a_proxy_is_not_asked_for_the_endpoint() -> None:
    env = child_environment({"HTTP_PROXY": "http://proxy", "no_proxy": "intranet"}, URL, "us-east-1")
    assert env["no_proxy"] == "intranet,127.0.0.1"
    assert env["NO_PROXY"] == "127.0.0.1"


def test_the_given_environment_is_not_changed_and_the_rest_is_kept() -> None:
    base = {"PATH": "/bin", "AWS_PROFILE": "prod"}
    assert child_environment(base, URL, "us-east-1")["PATH"] == "/bin"
    assert base == {"PATH": "/bin", "AWS_PROFILE": "prod"}
