"""Airflow's commands under ``local exec``, in a scratch Airflow where none is set up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from airflow_sm_pipelines.environments import default_cache_dir
from airflow_sm_pipelines.exceptions import LocalEndpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SCRATCH_HOME = ".airflow"
"""Below the working directory."""


def run_airflow(*words: str, options: Sequence[str] = (), **settings: str) -> NoReturn:
    """Become ``sm-pipelines local exec -- airflow ...``.

    :param words: what follows ``airflow``.
    :param options: of ``local exec``.
    :param settings: variables for that command.
    :raises LocalEndpointError: if Airflow is not installed here, or its database cannot be made.
    """
    airflow = _find_airflow()
    scratch = plan_scratch(os.environ, Path.cwd())
    environment = {**os.environ, **scratch, **settings}
    if scratch:
        _make_database(airflow, environment)
    command = [sys.executable, "-m", "airflow_sm_pipelines.cli", "local", "exec", *options, "--", airflow, *words]
    os.execve(command[0], command, environment)  # noqa: S606 - no shell


def _find_airflow() -> str:
    beside = str(Path(sys.executable).parent)
    airflow = shutil.which("airflow", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
    if airflow is None:
        raise LocalEndpointError("Airflow is not installed here: there is no command 'airflow'.")
    return airflow


@contextmanager
def make_airflow() -> Iterator[dict[str, str]]:
    """Make an Airflow that nobody else sees, and give its variables. It goes away at the end.

    Its empty database is kept in the cache directory, for the next one.

    :raises LocalEndpointError: as for :func:`run_airflow`.
    """
    kept = default_cache_dir(os.environ) / "scratch-airflow" / version("apache-airflow-core")
    with tempfile.TemporaryDirectory(prefix="sm-pipelines-airflow-") as home:
        environment = {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        _make_database(_find_airflow(), {**os.environ, **environment, "AIRFLOW_HOME": str(kept)})
        shutil.copy(kept / "airflow.db", Path(home) / "airflow.db")
        yield environment


def plan_scratch(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The variables of a scratch Airflow; none where the user has set one up.

    :param folder: the working directory.
    """
    home = environment.get("AIRFLOW_HOME")
    if home or (Path(environment.get("HOME") or "~").expanduser() / "airflow" / "airflow.cfg").exists():
        return {}
    dags = folder / "dags"
    return {
        "AIRFLOW_HOME": str(folder / SCRATCH_HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags if dags.is_dir() else folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    }


def _make_database(airflow: str, environment: Mapping[str, str]) -> None:
    """Make the scratch Airflow's database, where it is not there; an interrupted making leaves none."""
    from airflow_sm_pipelines.cli.terminal import complain, show_elapsed

    home = Path(environment["AIRFLOW_HOME"])
    if (home / "airflow.db").exists():
        return
    complain(f"No Airflow is set up: making a scratch one in {home}")
    home.mkdir(parents=True, exist_ok=True)
    begun = home / "airflow.db.begun"
    begun.unlink(missing_ok=True)
    with show_elapsed("Making its database"):
        done = subprocess.run(
            [airflow, "db", "migrate"],
            env={**environment, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{begun}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if done.returncode:
        raise LocalEndpointError(f"Airflow could not make its database:\n{done.stdout[-2000:]}")
    begun.rename(home / "airflow.db")
