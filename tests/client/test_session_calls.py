"""Calls of the command line: whose credentials, which region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.client.session_calls import SessionCalls
from airflow_sm_pipelines.exceptions import PipelineAccessError

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
[default]
region = eu-west-1
aws_access_key_id = of-default
aws_secret_access_key = x
[profile team]
region = eu-west-2
aws_access_key_id = of-team
aws_secret_access_key = x
"""


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An AWS configuration of two profiles, and nothing in the environment."""
    (tmp_path / "config").write_text(CONFIG)
    for name in ("REGION", "DEFAULT_REGION", "PROFILE", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.parametrize(
    ("profile", "region", "environment", "expected"),
    [
        (None, None, {}, "eu-west-1"),
        ("team", None, {}, "eu-west-2"),
        ("team", None, {"AWS_DEFAULT_REGION": "us-east-2"}, "us-east-2"),
        ("team", None, {"AWS_DEFAULT_REGION": "us-east-2", "AWS_REGION": "us-east-1"}, "us-east-1"),
        ("team", "us-west-2", {"AWS_REGION": "us-east-1"}, "us-west-2"),
    ],
)
def test_the_region_is_the_nearest_one_given(
    profile: str | None,
    region: str | None,
    environment: dict[str, str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    calls = SessionCalls.open(profile=profile, region=region)
    assert calls.conn_region_name == calls.conn.meta.region_name == expected
    child = calls.child_environment()
    assert child["AWS_REGION"] == child["AWS_DEFAULT_REGION"] == expected
    assert child["AWS_ACCESS_KEY_ID"] == f"of-{profile or 'default'}"


def test_a_wrong_profile_or_no_region_is_told_before_any_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PipelineAccessError, match=r"no AWS profile 'taem'\. Configured: default, team"):
        SessionCalls.open(profile="taem")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(PipelineAccessError, match="No region is known: give --region"):
        SessionCalls.open()


def test_a_local_endpoint_gets_the_calls_and_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://elsewhere.example")
    environment = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4610",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": "us-east-1",
    }
    calls = SessionCalls.at_endpoint(environment)
    assert calls.client_of("s3").meta.endpoint_url == "http://127.0.0.1:4610"
    assert calls.child_environment().items() >= environment.items()
