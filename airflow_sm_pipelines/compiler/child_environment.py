"""The environment variables of the process that runs a pipeline script."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# AWS_*: the caller's own account is not the script's. AIRFLOW_*: connections and keys of the deployment.
# PYTHON*: they would change what the child's interpreter imports.
_WITHHELD_PREFIXES = ("AWS_", "AIRFLOW_", "_AIRFLOW_", "PYTHON")
_WITHHELD = frozenset({"VIRTUAL_ENV", "CONDA_PREFIX"})
_LOOPBACK_MARKS = ("://127.0.0.1", "://localhost", "://[::1]")


def is_loopback_endpoint(url: str | None) -> bool:
    """Say whether an endpoint URL points to this machine."""
    return url is not None and any(mark in url for mark in _LOOPBACK_MARKS)


def plan_child_environment(
    parent: Mapping[str, str], *, aws_environment: Mapping[str, str], region: str | None
) -> dict[str, str]:
    """Give the child's variables: the parent's without its AWS and Airflow ones, and the AWS ones meant for the child.

    AWS configuration files of the user are out of reach: credentials come from ``aws_environment`` or from nowhere.
    """
    env = {
        name: value
        for name, value in parent.items()
        if not name.startswith(_WITHHELD_PREFIXES) and name not in _WITHHELD
    }
    env |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    if "AWS_ACCESS_KEY_ID" in aws_environment:
        env["AWS_EC2_METADATA_DISABLED"] = "true"
    env |= {name: value for name, value in aws_environment.items() if name.startswith("AWS_")}
    if region:
        env |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    if is_loopback_endpoint(env.get("AWS_ENDPOINT_URL")):
        # A proxy cannot reach this machine's loopback.
        for name in ("NO_PROXY", "no_proxy"):
            env[name] = ",".join(filter(None, [env.get(name), "127.0.0.1,localhost"]))
    # Sets of strings have one order, so that what is made from them is the same each time.
    env["PYTHONHASHSEED"] = "0"
    # The script chose its SDK: advice to choose another is noise in a task log.
    env.setdefault("SAGEMAKER_SUPPRESS_V2_WARNING", "1")
    return env
