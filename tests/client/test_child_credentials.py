"""The variables that let a child process reach AWS as this one does, and no others."""

from __future__ import annotations

from types import SimpleNamespace

from airflow_sm_pipelines.client.child_credentials import make_child_environment

REGION = {"AWS_REGION": "r", "AWS_DEFAULT_REGION": "r"}


def test_a_child_gets_credentials_region_tls_settings_and_endpoints() -> None:
    environment = {
        "AWS_CA_BUNDLE": "/ca.pem",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "AWS_ENDPOINT_URL": "http://all",
        "AWS_ENDPOINT_URL_S3": "http://of-the-process",
        "AWS_PROFILE": "not for it",
        "AWS_ACCESS_KEY_ID": "not for it",
        "HOME": "not for it",
    }
    kept = {name: value for name, value in environment.items() if value != "not for it"}
    for token in ("token", None):
        found = make_child_environment(
            SimpleNamespace(access_key="key", secret_key="secret", token=token),
            region="r",
            environment=environment,
            endpoint_urls={"s3": "http://of-the-connection", "sts": "http://sts"},
        )
        of_session = {} if token is None else {"AWS_SESSION_TOKEN": token}
        credentials = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", **of_session}
        endpoints = {"AWS_ENDPOINT_URL_S3": "http://of-the-connection", "AWS_ENDPOINT_URL_STS": "http://sts"}
        assert found == {**REGION, **credentials, **kept, **endpoints}


def test_a_child_without_credentials_gets_none() -> None:
    assert make_child_environment(None, region="r", environment={"AWS_ACCESS_KEY_ID": "x"}) == REGION
