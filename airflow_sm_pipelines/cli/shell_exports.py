"""The lines that point a shell to a local endpoint: what it must forget, then what it must know."""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, get_args

from airflow_sm_pipelines.local_endpoint import (
    CALLER_PYTHON_VARIABLE,
    CONSOLE_VARIABLE,
    CREDENTIAL_VARIABLES,
    ENDPOINT_VARIABLE,
    JAVA_VARIABLE,
    NO_PROXY_VARIABLES,
    NODE_VARIABLE,
    PROXY_VARIABLES,
    leads_elsewhere,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Shell = Literal["bash", "zsh", "fish"]

SHELLS: tuple[Shell, ...] = get_args(Shell)

_EXPORTED = (
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AIRFLOW_CONN_AWS_DEFAULT",
    ENDPOINT_VARIABLE,
    CONSOLE_VARIABLE,
    "PYTHONPATH",
    *NO_PROXY_VARIABLES,
    *PROXY_VARIABLES,
    NODE_VARIABLE,
    JAVA_VARIABLE,
)
"""What a child of the endpoint has and a shell needs too."""


def render_exports(environment: Mapping[str, str], *, shell: Shell, present: Mapping[str, str]) -> list[str]:
    """The shell's commands, a line each.

    A profile or a session token that stays set would win over the endpoint's credentials, so they are unset.

    :param environment: the environment of a child of the endpoint.
    :param present: the variables of the shell as far as they are known; what of them leads elsewhere is unset too.
    """
    known = {name: environment[name] for name in _EXPORTED if name in environment}
    others = {name for name in present if leads_elsewhere(name) and name != CALLER_PYTHON_VARIABLE}
    unset = sorted((CREDENTIAL_VARIABLES | others) - set(known))
    if shell == "fish":
        return [f"set -e {' '.join(unset)}", *(f"set -gx {name} {_quote_fish(value)}" for name, value in known.items())]
    return [f"unset {' '.join(unset)}", *(f"export {name}={shlex.quote(value)}" for name, value in known.items())]


def find_shell(path: str | None) -> Shell:
    """The shell of an address such as ``/usr/bin/fish``, the value of ``SHELL``; bash for an unknown one."""
    name = PurePath(path or "").name
    return next((shell for shell in SHELLS if shell == name), "bash")


def _quote_fish(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
