"""What a child of the local endpoint may and may not see of its parent's environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from airflow_sm_pipelines.local_endpoint import (
    CREDENTIAL_VARIABLES,
    SITE_DIRECTORY,
    child_environment,
    make_proxy_url,
)

URL = "http://127.0.0.1:4566"
OVERWRITTEN = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


@pytest.mark.parametrize("name", sorted(CREDENTIAL_VARIABLES - OVERWRITTEN))
def test_a_variable_that_leads_to_a_real_account_is_left_out(name: str) -> None:
    assert name not in child_environment({name: "real"}, URL, "us-east-1", secret="s")


def test_real_keys_are_replaced_by_local_ones() -> None:
    env = child_environment(
        {"AWS_ACCESS_KEY_ID": "AKIAREAL", "AWS_SECRET_ACCESS_KEY": "real"}, URL, "us-east-1", secret="s"
    )
    assert (env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]) == ("local", "s")


def test_an_endpoint_of_one_service_does_not_bypass_the_local_one() -> None:
    env = child_environment({"AWS_ENDPOINT_URL_S3": "https://elsewhere"}, URL, "us-east-1", secret="s")
    assert "AWS_ENDPOINT_URL_S3" not in env
    assert env["AWS_ENDPOINT_URL"] == URL


def test_of_aws_s_own_variables_a_child_keeps_settings_only() -> None:
    given = {
        "AWS_BEARER_TOKEN_BEDROCK": "real",
        "AWS_TOMORROWS_TOKEN": "real",
        "AWS_PAGER": "",
        "AWS_CLI_AUTO_PROMPT": "on",
    }
    env = child_environment(given, URL, "us-east-1", secret="s")
    assert {name for name in given if name in env} == {"AWS_PAGER", "AWS_CLI_AUTO_PROMPT"}


def test_the_region_is_the_endpoints() -> None:
    env = child_environment(
        {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, URL, "us-west-2", secret="s"
    )
    assert env["AWS_REGION"] == env["AWS_DEFAULT_REGION"] == "us-west-2"


def test_the_default_airflow_connection_is_the_default_chain_and_others_stay() -> None:
    env = child_environment(
        {"AIRFLOW_CONN_AWS_DEFAULT": "aws://key:secret@", "AIRFLOW_CONN_DB": "x"}, URL, "us-east-1", secret="s"
    )
    assert env["AIRFLOW_CONN_AWS_DEFAULT"] == "aws://"
    assert env["AIRFLOW_CONN_DB"] == "x"


def test_a_proxy_is_not_asked_for_the_endpoint() -> None:
    env = child_environment({"HTTP_PROXY": "http://proxy", "no_proxy": "intranet"}, URL, "us-east-1", secret="s")
    assert env["no_proxy"] == "intranet,127.0.0.1,localhost"
    assert env["NO_PROXY"] == "127.0.0.1,localhost"


def test_the_endpoint_is_the_proxy_also_for_what_went_past_every_proxy() -> None:
    given = {"HTTPS_PROXY": "http://mine", "NO_PROXY": "*, .amazonaws.com,intranet", "http_proxy": "socks5h://mine"}
    env = child_environment(given, URL, "us-east-1", secret="s")
    assert env["HTTPS_PROXY"] == env["https_proxy"] == make_proxy_url(URL, "s")
    assert env["NO_PROXY"] == "intranet,127.0.0.1,localhost"
    assert env["http_proxy"] == "socks5h://mine"


def test_nodes_own_options_stay_behind_ours() -> None:
    once = child_environment({"NODE_OPTIONS": "--max-old-space-size=99"}, URL, "us-east-1", secret="s")
    assert once["NODE_OPTIONS"] == f'--require "{SITE_DIRECTORY}/refuse_aws.cjs" --max-old-space-size=99'
    assert child_environment(once, URL, "us-east-1", secret="s")["NODE_OPTIONS"] == once["NODE_OPTIONS"]


@pytest.mark.skipif(sys.platform != "linux", reason="Java is pointed to the proxy on Linux only")
def test_java_is_told_of_the_proxy_unless_it_has_one() -> None:
    given = {"JAVA_TOOL_OPTIONS": "-Xmx1g", "NO_PROXY": ".intranet"}
    ours = (
        "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=4566 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=4566 "
        "-Dhttp.nonProxyHosts=127.*|*.intranet|127.0.0.1|localhost"
    )
    once = child_environment(given, URL, "us-east-1", secret="s")
    assert once["JAVA_TOOL_OPTIONS"] == f"-Xmx1g {ours}"
    assert child_environment(once, URL, "us-east-1", secret="s")["JAVA_TOOL_OPTIONS"] == f"-Xmx1g {ours}"
    own = {"JAVA_TOOL_OPTIONS": "-Dhttps.proxyHost=mine"}
    assert child_environment(own, URL, "us-east-1", secret="s")["JAVA_TOOL_OPTIONS"] == "-Dhttps.proxyHost=mine"


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here")
@pytest.mark.parametrize(
    "call", ["require('https').get('https://X').on('error', tell)", "fetch('https://X').catch(tell)"]
)
def test_a_node_program_finds_no_address_of_aws(call: str) -> None:
    program = f"const tell = e => console.log((e.cause || e).message); {call.replace('X', 'sts.amazonaws.com')}"
    env = child_environment({"PATH": os.environ["PATH"]}, URL, "us-east-1", secret="s")
    done = subprocess.run(["node", "-e", program], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert "sts.amazonaws.com is AWS, and only the local endpoint" in done.stdout


def test_the_given_environment_is_not_changed_and_the_rest_is_kept() -> None:
    base = {"PATH": "/bin", "AWS_PROFILE": "prod"}
    assert child_environment(base, URL, "us-east-1", secret="s")["PATH"] == "/bin"
    assert base == {"PATH": "/bin", "AWS_PROFILE": "prod"}


def run_child(program: str) -> str:
    """What a Python program prints that sees the endpoint as AWS."""
    env = child_environment({"PATH": "/usr/bin:/bin"}, URL, "us-east-1", secret="s")
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_users_own_python_path_stays_behind_ours() -> None:
    env = child_environment({"PYTHONPATH": "/project"}, URL, "us-east-1", secret="s")
    assert env["PYTHONPATH"] == f"{SITE_DIRECTORY}:/project"
    assert child_environment(env, URL, "us-east-1", secret="s")["PYTHONPATH"] == f"{SITE_DIRECTORY}:/project"


@pytest.mark.parametrize(
    "client",
    [
        "boto3.client('sts', endpoint_url='https://sts.us-east-1.amazonaws.com')",  # as both SDKs make it
        "boto3.client('sts', endpoint_url='https://sts.cn-north-1.amazonaws.com.cn')",
        "boto3.Session().client('sagemaker')",
    ],
)
def test_an_address_of_aws_becomes_the_endpoints(client: str) -> None:
    assert run_child(f"import boto3; print({client}.meta.endpoint_url)") == URL


def test_an_address_that_is_not_of_aws_is_left_alone() -> None:
    client = "boto3.client('s3', endpoint_url='http://127.0.0.1:9000')"
    assert run_child(f"import boto3; print({client}.meta.endpoint_url)") == "http://127.0.0.1:9000"


def test_a_botocore_that_does_not_know_the_variable_gets_the_address() -> None:
    program = (
        "import botocore; botocore.__version__ = '1.27.0'; import boto3; print(boto3.client('s3').meta.endpoint_url)"
    )
    assert run_child(program) == URL


@pytest.mark.parametrize(
    ("host", "is_hidden"),
    [
        ("sts.amazonaws.com", True),
        ("bucket.s3.eu-west-1.amazonaws.com", True),
        ("SageMaker.us-east-1.amazonaws.com.", True),
        ("sagemaker.us-east-1.api.aws", True),
        ("db.abcdefgh.us-east-1.rds.amazonaws.com", False),
        ("domain-123456789012.d.codeartifact.us-east-1.amazonaws.com", False),
        ("localhost", False),
    ],
)
def test_what_passes_botocore_by_finds_no_address_of_aws(host: str, is_hidden: bool) -> None:
    program = f"""
import socket
try:
    socket.getaddrinfo({host!r}, 443)
    print("found")
except socket.gaierror as error:
    print(error.strerror)
"""
    assert ("is AWS, and this process reaches only the local endpoint" in run_child(program)) is is_hidden
