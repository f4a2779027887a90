"""Runs DAG files with ``airflow dags test`` in an Airflow home of their own, and reads what the database then says."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from tests import loaded_airflow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.server import RunningServer


@dataclass
class DagResult:
    """How a run ended.

    :ivar states: state by task id, or by ``(task id, map index)`` for mapped tasks.
    """

    exit_code: int
    output: str
    states: dict[Any, str]
    xcoms: dict[tuple[str, str], Any]
    stored: dict[str, Any]

    def xcom(self, task_id: str, key: str = "return_value") -> Any:
        """One XCom; fails where there is none."""
        return self.xcoms[task_id, key]


class DagRunner:
    """An Airflow home with a migrated database, and a folder for DAG files.

    :param template: a migrated Airflow home to copy.
    """

    def __init__(self, home: Path, *, template: Path, environment: Mapping[str, str]) -> None:
        self.home = home
        self.dags = home / "dags"
        self.dags.mkdir(parents=True)
        shutil.copy(template / "airflow.db", home / "airflow.db")
        self.environment = {**airflow_environment(home), "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags), **environment}

    def write(self, name: str, text: str) -> Path:
        """Put a file into the DAGs folder."""
        path = self.dags / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def test(self, dag_id: str, *, conf: Mapping[str, Any] | None = None, timeout_seconds: float = 300) -> DagResult:
        """``airflow dags test``, in a process of its own."""
        arguments = ["dags", "test", dag_id, *(["--conf", json.dumps(conf)] if conf else [])]
        if loaded_airflow.can_run(self.environment):
            exit_code, output = loaded_airflow.run_airflow(
                arguments, environment=self.environment, timeout_seconds=timeout_seconds
            )
        else:
            done = subprocess.run(
                [sys.executable, "-m", "airflow", *arguments],
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=timeout_seconds,
                check=False,
            )
            exit_code, output = done.returncode, done.stdout
        return DagResult(exit_code, output, *self._read(dag_id))

    def _read(self, dag_id: str) -> tuple[dict[Any, str], dict[tuple[str, str], Any], dict[str, Any]]:
        with sqlite3.connect(self.home / "airflow.db") as database:
            (run_id,) = database.execute(
                "select run_id from dag_run where dag_id = ? order by id desc limit 1", (dag_id,)
            ).fetchone()
            where = (dag_id, run_id)
            states = {
                task_id if index < 0 else (task_id, index): state
                for task_id, index, state in database.execute(
                    "select task_id, map_index, state from task_instance where dag_id = ? and run_id = ?", where
                )
            }
            xcoms = {
                (task_id, key): _decode(value)
                for task_id, key, value in database.execute(
                    "select task_id, key, value from xcom where dag_id = ? and run_id = ?", where
                )
            }
            stored = {
                task_id: _decode(value)
                for task_id, value in database.execute(
                    "select task_id, value from task_state_store where dag_id = ? and run_id = ?", where
                )
            }
        return states, xcoms, stored


def airflow_environment(home: Path) -> dict[str, str]:
    """Variables for an Airflow with its home there; nothing of AWS or of another Airflow is inherited."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AIRFLOW_"))}
    return {
        **inherited,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def run_beside(server: RunningServer, folder: Path, *, dags: Path | None = None) -> DagRunner:
    """An Airflow beside an endpoint; its DAGs folder is its own where none is given."""
    migrate(folder / "template")
    kept = ("AWS_", "AIRFLOW_CONN_", "SM_PIPELINES_CONSOLE")
    environment = {name: value for name, value in server.environment().items() if name.startswith(kept)}
    environment["SM_PIPELINES_CACHE_DIR"] = os.environ["SM_PIPELINES_CACHE_DIR"]
    if dags is not None:
        environment["AIRFLOW__CORE__DAGS_FOLDER"] = str(dags)
    return DagRunner(folder / "airflow", template=folder / "template", environment=environment)


def connect(server: RunningServer, service: str) -> Any:
    """Give a client of the endpoint."""
    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=server.region)
    return session.client(service, endpoint_url=server.endpoint_url)


def create_functions(server: RunningServer, code: str, *names: str) -> Any:
    """Make Lambda functions on the endpoint, and give the client that made them.

    :param code: of one module that holds a function for each name.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("handler.py", code)
    connect(server, "iam").create_role(RoleName="LambdaExecution", AssumeRolePolicyDocument="{}")
    client = connect(server, "lambda")
    for name in names:
        client.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Handler=f"handler.{name}",
            Role="arn:aws:iam::123456789012:role/LambdaExecution",
            Code={"ZipFile": archive.getvalue()},
        )
    return client


def write_image_table(folder: Path, *names: str) -> Path:
    """A table in which images of these names are the interpreter of the tests; SM_PIPELINES_IMAGES takes it."""
    table = folder / "images.toml"
    interpreter = json.dumps(sys.executable)
    table.write_text("".join(f'[[image]]\nmatch = "{name}"\ninterpreter = {interpreter}\n' for name in names))
    return table


def migrate(home: Path) -> None:
    """Make the database of a new Airflow home; the migrations run once in each process of tests."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(_migrated_database(), home / "airflow.db")


@cache
def _migrated_database() -> Path:
    home = Path(tempfile.mkdtemp(prefix="airflow-template-", dir=os.environ["AIRFLOW_HOME"]))
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env=airflow_environment(home),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    return home / "airflow.db"


def _decode(value: Any) -> Any:
    """A JSON column: XCom and state values are JSON texts, some of them twice."""
    for _ in range(2):
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                return value
    return value
