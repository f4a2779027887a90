"""What the laboratory's Airflow stands on: SQLite, PostgreSQL, or PostgreSQL and Redis with a Celery worker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.environments import default_cache_dir, find_uv
from tests.system.cluster import COMPONENTS
from tests.system.databases import served_postgres, served_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

ROOT = Path(__file__).resolve().parents[2]
DRIVERS = ("psycopg2-binary", "asyncpg")
# Delete the bound when a celery provider after 3.26.0 imports with celery 5.7.
CELERY = ("apache-airflow-providers-celery", "celery<5.7")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How Airflow is run.

    :param name: for people.
    :param python: the interpreter whose Airflow to run.
    :param components: of Airflow.
    :param environment: its settings.
    """

    name: str
    python: str = sys.executable
    components: tuple[str, ...] = COMPONENTS
    environment: dict[str, str] = field(default_factory=dict)


@contextmanager
def on_sqlite() -> Iterator[Surroundings]:
    """Needs nothing; but one file takes one writer at a time, so few tasks run at once."""
    yield Surroundings("LocalExecutor, SQLite", environment={"AIRFLOW__CORE__PARALLELISM": "4"})


@contextmanager
def on_postgresql() -> Iterator[Surroundings]:
    """A LocalExecutor and a PostgreSQL server."""
    with served_postgres() as address:
        environment = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{address}"}
        yield Surroundings("LocalExecutor, PostgreSQL", python=airflow_with(DRIVERS), environment=environment)


@contextmanager
def on_celery() -> Iterator[Surroundings]:
    """A CeleryExecutor with one worker, a Redis and a PostgreSQL server."""
    with served_postgres() as address, served_redis() as broker:
        environment = {
            "AIRFLOW__CELERY__BROKER_URL": broker,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{address}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "8",
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{address}",
        }
        yield Surroundings(
            "CeleryExecutor, Redis, PostgreSQL",
            python=airflow_with((*DRIVERS, *CELERY)),
            components=(*COMPONENTS, "celery worker"),
            environment=environment,
        )


SURROUNDINGS: dict[str, Callable[[], AbstractContextManager[Surroundings]]] = {
    "sqlite": on_sqlite,
    "postgresql": on_postgresql,
    "celery": on_celery,
}


def airflow_with(packages: tuple[str, ...]) -> str:
    """The interpreter of an environment like the development one, with more packages; made once, by uv.

    This package is installed in it as it stands in the checkout.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = "-".join((version, *(re.sub(r"\W+", "-", package) for package in packages)))
    target = default_cache_dir(os.environ) / "airflows" / name
    python = target / "bin" / "python"
    if not (target / ".complete").exists():
        uv = find_uv()
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, target], check=True)
        command = [uv, "pip", "install", "--quiet", "--python", python, "-c", ROOT / "requirements" / "dev.txt"]
        subprocess.run([*command, *packages, "-e", f"{ROOT}[compiler,local]"], check=True)
        (target / ".complete").touch()
    return str(python)
