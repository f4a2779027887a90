"""The environment in which a command sees the local endpoint as AWS, and nothing of the user's real account.

Pure: it changes no process environment; `local exec`, the compiler and the engine's jobs give the result to children.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.server.console import CONSOLE_PATH
from airflow_sm_pipelines.local_endpoint import ACCESS_KEY_ID, SECRET_ACCESS_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Tells a child that it talks to the local endpoint, and where that is.
ENDPOINT_MARKER = "SM_PIPELINES_ENDPOINT"

#: Where a child's links to pipelines and executions lead.
CONSOLE_VARIABLE = "SM_PIPELINES_CONSOLE_URL"

#: Every way the AWS SDKs learn credentials, a role or another account from the environment (botocore's configuration
#: reference and its credential providers): a child must find none of them, or a call could reach a real account.
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

#: A path that is no file: botocore reads "no configuration" there, instead of the user's ~/.aws.
_NO_FILE = "/dev/null"


def child_environment(base_env: Mapping[str, str], url: str, region: str) -> dict[str, str]:
    """A copy of an environment in which AWS is the endpoint at `url`.

    The user's credentials, profile, roles, and per-service endpoints are left out; the shared configuration files are
    replaced by empty ones. Airflow's own connections stay, except ``aws_default``: it becomes the plain default chain.

    :param base_env: the environment to start from, such as ``os.environ``.
    :param url: the endpoint's URL, such as ``http://127.0.0.1:4566``.
    :param region: the endpoint's region.
    :return: a new environment; `base_env` is not changed.
    """
    env = {name: value for name, value in base_env.items() if not _is_dropped(name)}
    env.update(
        {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": _NO_FILE,
            "AWS_SHARED_CREDENTIALS_FILE": _NO_FILE,
            "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
            ENDPOINT_MARKER: url,
            CONSOLE_VARIABLE: f"{url}{CONSOLE_PATH}",
        }
    )
    host = url.split("://", 1)[-1].rsplit(":", 1)[0].strip("[]")
    for name in ("no_proxy", "NO_PROXY"):
        env[name] = ",".join(dict.fromkeys([*filter(None, env.get(name, "").split(",")), host]))
    return env


def _is_dropped(name: str) -> bool:
    # AWS_ENDPOINT_URL_S3 and its siblings would take precedence over AWS_ENDPOINT_URL.
    return name in CREDENTIAL_VARIABLES or name.startswith("AWS_ENDPOINT_URL_")
