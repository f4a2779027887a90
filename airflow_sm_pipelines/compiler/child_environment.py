"""Plans the environment variables of the process that runs a pipeline script. Pure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from airflow_sm_pipelines.loopback import is_loopback_url

if TYPE_CHECKING:
    from collections.abc import Mapping

_WITHHELD_PREFIXES = ("AWS_", "AIRFLOW_", "_AIRFLOW_", "PYTHON")
"""``AWS_*`` may be of another account than the script's; ``AIRFLOW_*`` holds connections and keys of the deployment;
``PYTHON*`` would change what the child's interpreter imports."""

_WITHHELD = frozenset({"VIRTUAL_ENV", "CONDA_PREFIX"})
"""They name another environment than the child's."""


def plan_child_environment(
    parent: Mapping[str, str], *, aws_environment: Mapping[str, str], region: str | None
) -> dict[str, str]:
    """The child's variables: the parent's without those of AWS and Airflow, and the AWS variables for the child.

    The child does not read the user's AWS configuration files: it has the credentials in ``aws_environment``, or none.

    :param parent: the variables of this process.
    :param aws_environment: of its variables, only ``AWS_*`` are passed on.
    :param region: goes before the regions in ``aws_environment``.
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
    if is_loopback_url(env.get("AWS_ENDPOINT_URL")):
        # A proxy cannot reach this machine's loopback.
        for name in ("NO_PROXY", "no_proxy"):
            env[name] = ",".join(filter(None, [env.get(name), "127.0.0.1,localhost"]))
    # Sets of strings have one order then, and what is made from them is the same at every build.
    env["PYTHONHASHSEED"] = "0"
    # The script chose its SDK. Advice to use another one only fills the task log.
    env.setdefault("SAGEMAKER_SUPPRESS_V2_WARNING", "1")
    return env
