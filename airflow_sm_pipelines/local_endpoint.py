"""The local endpoint as others see it: its account and credentials, the variables that point at it, its pages.

Pure, and of the standard library only, so that every room may read it. Nothing here is secret: each state directory has
a secret of its own. How the endpoint runs is in :mod:`airflow_sm_pipelines.server`.
"""

from __future__ import annotations

import hashlib
import hmac
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow_sm_pipelines.definition.partitions import covers_aws

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCOUNT_ID = "123456789012"
"""The one account of the local endpoint. It is moto's default, so both agree without configuration."""

ACCESS_KEY_ID = "local"
"""The access key of every local endpoint, so that what is kept by key is found again: only the secrets differ."""

DEFAULT_REGION = "us-east-1"
"""The endpoint's region where the environment names none."""

CONSOLE_PATH = "/_console"
"""Where the endpoint's pages are. A bucket's name may not hold an underscore, so no S3 object is hidden."""

MAKE_BUCKETS_VARIABLE = "SM_PIPELINES_MAKE_BUCKETS"
"""Set while a rehearsal builds a script, whose buckets are somebody else's: a build then makes those it uploads to."""

ENDPOINT_VARIABLE = "SM_PIPELINES_ENDPOINT"
"""Environment variable: tells a child that it talks to the local endpoint, and where that is."""

START_ENDPOINT = (
    "No local endpoint answers there: start it with 'sm-pipelines local serve', or unset what leads there"
    " (AWS_ENDPOINT_URL; a new shell has it no more)."
)
"""What to do where something leads to a local endpoint that has stopped."""

CONSOLE_VARIABLE = "SM_PIPELINES_CONSOLE_URL"
"""Environment variable: the address of pages that show pipelines of an endpoint that is not AWS."""

JUDGED_VARIABLE = "SM_PIPELINES_JUDGED"
"""Environment variable: tells a child that the command around it says at its end what may differ on AWS."""

EXECUTION_LOG_GROUP = "/aws/sagemaker/PipelineExecutions"
"""The log group of what the endpoint has to say of an execution, in streams that begin with the execution's id."""

DIFFERENCES_STREAM = "may-differ-on-aws"
"""The second part of the name of a stream that says what an ended execution relied on that may differ on AWS."""

CALLER_PYTHON_VARIABLE = "SM_PIPELINES_CALLER_PYTHON"
"""Environment variable: the Python that a ``local`` command was called with, where the command runs in another one."""

JAVA_VARIABLE = "JAVA_TOOL_OPTIONS"
"""Environment variable: options of every Java process. Java heeds no proxy variable."""

NO_PROXY_VARIABLES = ("no_proxy", "NO_PROXY")
"""Environment variables: the hosts that no proxy is asked for. Some programs read only one of them."""

PROXY_VARIABLES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
"""Environment variables: the proxy that most programs ask. The endpoint is one that refuses AWS."""

NODE_VARIABLE = "NODE_OPTIONS"
"""Environment variable: options of every Node process. Most versions of Node heed no proxy variable."""

LOOPBACK_HOSTS = "127.0.0.1,localhost"
"""What belongs into them where a server on this machine is called: a proxy cannot reach this machine's loopback."""

SITE_DIRECTORY = Path(__file__).parent / "engine" / "jobs" / "programs" / "site"
"""A folder for ``PYTHONPATH``: its ``sitecustomize.py`` keeps a Python program's calls to AWS on this machine."""

CREDENTIAL_VARIABLES = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_SECURITY_TOKEN",
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_ACCOUNT_ID",
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_USE_FIPS_ENDPOINT",
        "BOTO_CONFIG",
    }
)
"""Every way the AWS SDKs learn credentials, a role or another account from the environment (botocore's configuration
reference and its credential providers). A child must find none of them, or a call could reach a real account."""

_SETTINGS = frozenset(
    {
        "AWS_CA_BUNDLE",
        "AWS_DATA_PATH",
        "AWS_DEFAULTS_MODE",
        "AWS_DEFAULT_OUTPUT",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_MAX_ATTEMPTS",
        "AWS_PAGER",
        "AWS_REQUEST_CHECKSUM_CALCULATION",
        "AWS_RESPONSE_CHECKSUM_VALIDATION",
        "AWS_RETRY_MODE",
        "AWS_SDK_LOAD_CONFIG",
        "AWS_SDK_UA_APP_ID",
        "AWS_STS_REGIONAL_ENDPOINTS",
    }
)
"""AWS's variables that a child keeps (botocore's configuration reference)."""

_JAVA_OPTIONS = (
    *("-Dhttp.proxyHost=", "-Dhttp.proxyPort=", "-Dhttps.proxyHost=", "-Dhttps.proxyPort="),
    "-Dhttp.nonProxyHosts=",
)

_NO_CONFIGURATION = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
"""Variables that make botocore read empty files instead of the user's ``~/.aws``."""


def resolve_region(env: Mapping[str, str]) -> str:
    """The region an environment asks for: ``AWS_REGION``, else ``AWS_DEFAULT_REGION``, else us-east-1.

    :param env: an environment, such as ``os.environ``.
    """
    return env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or DEFAULT_REGION


def find_caller_python(env: Mapping[str, str]) -> str:
    """The Python of whoever called the command: scripts that ask for the current interpreter run in it.

    :param env: an environment, such as ``os.environ``.
    """
    return env.get(CALLER_PYTHON_VARIABLE) or sys.executable


def make_pipeline_page_url(console_url: str, pipeline_name: str, *, execution_id: str | None = None) -> str:
    """Where the endpoint shows a pipeline, or one of its executions.

    :param console_url: the address of the endpoint's pages, or their path.
    :param execution_id: the last part of the execution's ARN.
    """
    address = f"{console_url.rstrip('/')}/pipelines/{quote(pipeline_name)}"
    return f"{address}/executions/{quote(execution_id)}" if execution_id else address


def make_log_page_url(console_url: str, job_arn: str) -> str:
    """Where the endpoint shows a job's log.

    :param console_url: the address of the endpoint's pages, or their path.
    :param job_arn: ``arn:…:training-job/<name>``.
    """
    return f"{console_url.rstrip('/')}/logs/{quote(job_arn.rpartition(':')[2])}"


def child_environment(base_env: Mapping[str, str], url: str, region: str, *, secret: str) -> dict[str, str]:
    """A copy of an environment in which AWS is the endpoint at `url`, for `local exec`, jobs and other children.

    The user's credentials, profile, roles, and per-service endpoints are left out, and the shared configuration files
    are replaced by empty ones. Airflow's connections stay, except ``aws_default``: it becomes the plain default chain.

    :param base_env: the environment to start from, such as ``os.environ``.
    :param url: the endpoint's URL, such as ``http://127.0.0.1:4566``.
    :param region: the endpoint's region.
    :param secret: of the endpoint's key.
    :return: a new environment; `base_env` is not changed.
    """
    env = {name: value for name, value in base_env.items() if not leads_elsewhere(name)}
    env |= {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        **_NO_CONFIGURATION,
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
        ENDPOINT_VARIABLE: url,
        CONSOLE_VARIABLE: f"{url}{CONSOLE_PATH}",
        "PYTHONPATH": join_python_path(base_env.get("PYTHONPATH")),
    }
    host = urlsplit(url).hostname
    for name in NO_PROXY_VARIABLES:
        env[name] = join_no_proxy(env.get(name), host, LOOPBACK_HOSTS)
    proxy = make_proxy_url(url, secret)
    env |= {name: proxy for name in PROXY_VARIABLES if not _is_socks(base_env.get(name))}
    env[NODE_VARIABLE] = _join_node_options(base_env.get(NODE_VARIABLE))
    # Java shows no password, and only Linux tells the endpoint who calls.
    if sys.platform == "linux":
        env[JAVA_VARIABLE] = _join_java_options(base_env.get(JAVA_VARIABLE, ""), url, env["NO_PROXY"])
    return env


def leads_elsewhere(name: str) -> bool:
    """Whether a child of the endpoint must not see a variable: all of AWS's but for settings that name no account.

    ``AWS_ENDPOINT_URL_S3`` and its siblings would take precedence over ``AWS_ENDPOINT_URL``, and new ways to give
    credentials (``AWS_BEARER_TOKEN_BEDROCK``) come with each year. A child knows its own Python.
    """
    if name in CREDENTIAL_VARIABLES or name == CALLER_PYTHON_VARIABLE:
        return True
    return name.startswith("AWS_") and name not in _SETTINGS and not name.startswith("AWS_CLI_")


def make_proxy_url(url: str, secret: str) -> str:
    """The endpoint as a proxy, with the password that it asks for."""
    return f"http://{ACCESS_KEY_ID}:{derive_proxy_password(secret)}@{urlsplit(url).netloc}"


def derive_proxy_password(secret: str) -> str:
    """The password for the endpoint as a proxy: of letters and digits, since not every client decodes an address."""
    return hmac.new(secret.encode(), b"proxy", hashlib.sha256).hexdigest()[:40]


def join_no_proxy(*lists: str | None) -> str:
    """Lists of hosts that no proxy is asked for, joined into one value of ``NO_PROXY``; each host once.

    What counts for AWS is left out, since the proxy is to refuse that.

    :param lists: hosts with commas between them; None adds none.
    """
    hosts = (host.strip() for text in lists for host in (text or "").replace(" ", ",").split(","))
    return ",".join(dict.fromkeys(host for host in hosts if host and not covers_aws(host)))


def join_python_path(rest: str | None) -> str:
    """A ``PYTHONPATH`` that begins with :data:`SITE_DIRECTORY`, once.

    :param rest: the one there was.
    """
    first = str(SITE_DIRECTORY)
    return ":".join([first, *(entry for entry in (rest or "").split(":") if entry not in ("", first))])


def _join_node_options(rest: str | None) -> str:
    # `SITE_DIRECTORY` may hold spaces; Node reads quotes here.
    ours = f'--require "{SITE_DIRECTORY / "refuse_aws.cjs"}"'
    return " ".join([ours, *([rest.replace(ours, "").strip()] if rest else [])]).strip()


def _join_java_options(rest: str, url: str, no_proxy: str) -> str:
    parts = urlsplit(url)
    names = ("-Dhttp.proxyHost=", "-Dhttps.proxyHost=")
    hosts = {word.partition("=")[2] for word in rest.split() if word.startswith(names)}
    if hosts - {parts.hostname}:
        return rest  # a proxy of the user's own
    given = [word for word in rest.split() if not word.startswith(_JAVA_OPTIONS)]
    direct = "|".join(f"*{host}" if host.startswith(".") else host for host in ("127.*", *no_proxy.split(",")))
    values = (parts.hostname, parts.port, parts.hostname, parts.port, direct)
    ours = (f"{option}{value}" for option, value in zip(_JAVA_OPTIONS, values, strict=True))
    return " ".join([*given, *ours])


def _is_socks(proxy: str | None) -> bool:
    # The endpoint cannot ask such a proxy for others, so whoever has one keeps it.
    return (proxy or "").startswith("socks")
