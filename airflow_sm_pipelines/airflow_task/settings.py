"""The package's settings in ``airflow.cfg``. Builds know no Airflow, so theirs become environment variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.airflow_names import conf
from airflow_sm_pipelines.environment_lock import LOCK_VARIABLE
from airflow_sm_pipelines.environments import CACHE_DIR_VARIABLE

if TYPE_CHECKING:
    from collections.abc import MutableMapping

SECTION = "sagemaker_pipelines"
"""The section of ``airflow.cfg``; ``provider_info`` describes its options."""

VARIABLES = {"cache_dir": CACHE_DIR_VARIABLE, "lock_file": LOCK_VARIABLE}
"""The variable of each option that a build reads."""

PRICES_OPTION = "prices"
"""The option that names the page's prices, which the api-server reads."""


def adopt_settings(environment: MutableMapping[str, str]) -> None:
    """Set the variables of builds that Airflow's configuration has a value for. A variable that is set already stays.

    :param environment: of the task's process, usually ``os.environ``.
    """
    for option, variable in VARIABLES.items():
        value = conf.get(SECTION, option, fallback="")
        if value and not environment.get(variable):
            environment[variable] = value
