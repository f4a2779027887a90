"""Names of Airflow that have moved between its versions, for the Airflow side.

Airflow's constraints for 3.1.0 pin a compatibility provider (1.7.4) that has no ``sdk`` module yet; its constraints for
3.1.6 have one. Delete this module when this package needs Airflow 3.2.
"""

from __future__ import annotations

try:
    from airflow.providers.common.compat.sdk import (
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferred,
        conf,
    )
except ImportError:
    from airflow.configuration import conf
    from airflow.exceptions import (  # type: ignore[attr-defined, no-redef]
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferred,
    )


def can_triggers_read_xcoms() -> bool:
    """Whether triggers can read and push XComs, so that a task can run without a worker: from Airflow 3.3 on."""
    from airflow import __version__

    major, minor = __version__.split(".")[:2]
    return (int(major), int(minor)) >= (3, 3)


__all__ = [
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "TaskDeferred",
    "can_triggers_read_xcoms",
    "conf",
]
