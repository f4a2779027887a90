"""The variables that the process of a pipeline script gets."""

from __future__ import annotations

import os

from airflow_sm_pipelines.compiler.compile import plan_child_environment
from airflow_sm_pipelines.server.child_environment import CREDENTIAL_VARIABLES

PARENT = {
    "PATH": "/bin",
    "HOME": "/home/airflow",
    "AWS_PROFILE": "production",
    "AWS_SECRET_ACCESS_KEY": "of the worker",
    "AIRFLOW_CONN_DB": "postgres://secret",
    "AIRFLOW__CORE__FERNET_KEY": "secret",
    "PYTHONPATH": "/opt/airflow",
    "UV_CACHE_DIR": "/cache",
}


def plan(aws: dict[str, str], parent: dict[str, str] = PARENT) -> dict[str, str]:
    return plan_child_environment(parent, aws_environment=aws, region="eu-west-1")


def test_nothing_of_the_parents_aws_or_airflow_reaches_the_child():
    env = plan({})
    assert not [name for name in env if name.startswith("AIRFLOW")]
    assert "AWS_PROFILE" not in env
    assert "AWS_SECRET_ACCESS_KEY" not in env
    assert env["AWS_CONFIG_FILE"] == env["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull


def test_no_variable_that_the_local_endpoint_hides_from_its_children_reaches_a_script():
    assert "of the worker" not in plan({}, dict.fromkeys(CREDENTIAL_VARIABLES, "of the worker")).values()


def test_the_child_gets_the_credentials_meant_for_it():
    env = plan({"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AIRFLOW_CONN_AWS_DEFAULT": "aws://"})
    assert (env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]) == ("key", "secret")
    assert env["AWS_EC2_METADATA_DISABLED"] == "true"
    assert "AIRFLOW_CONN_AWS_DEFAULT" not in env


def test_the_region_of_the_call_is_the_region_of_the_child():
    env = plan({"AWS_DEFAULT_REGION": "us-east-1"})
    assert env["AWS_REGION"] == env["AWS_DEFAULT_REGION"] == "eu-west-1"


def test_the_rest_of_the_parents_environment_stays_but_for_what_changes_imports():
    env = plan({})
    assert env["PATH"] == "/bin"
    assert env["UV_CACHE_DIR"] == "/cache"
    assert "PYTHONPATH" not in env


def test_a_proxy_is_not_asked_for_a_loopback_endpoint():
    parent = PARENT | {"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "internal"}
    assert plan({"AWS_ENDPOINT_URL": "http://127.0.0.1:4000"}, parent)["NO_PROXY"] == "internal,127.0.0.1,localhost"
    assert plan({"AWS_ENDPOINT_URL": "https://sagemaker.example"}, parent)["NO_PROXY"] == "internal"
