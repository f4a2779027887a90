"""Runs a training function, on one host."""

from __future__ import annotations

from typing import Any

import sagemaker_toolkit_parts as parts  # type: ignore[import-not-found]  # beside this package


def rabit_run(
    exec_fun: Any,
    args: dict[str, Any],
    include_in_training: bool,
    hosts: list[str],
    current_host: str,
    first_port: int | None = None,
    second_port: int | None = None,
    max_connect_attempts: int | None = None,
    connect_retry_timeout: int = 3,
    update_rabit_args: bool = False,
) -> None:
    """Run a function as the only worker.

    :raises ClientError: there are several hosts, which rabit joins on AWS only.
    """
    if len(hosts) > 1:
        raise parts.ClientError("rabit_run joins several hosts on AWS only. Train on one instance here.")
    if include_in_training:
        exec_fun(**{**args, **({"is_master": True} if update_rabit_args else {})})


__getattr__ = parts.refuse_missing(__name__, "sagemaker_xgboost_container (from GitHub)")
