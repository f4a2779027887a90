"""A real Airflow here: api-server, scheduler, dag-processor and triggerer; on SQLite with a LocalExecutor, unless told.

Belongs here: starting it, speaking to its REST API, killing a part of it, ending it. Does not belong here: what a test
expects of it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")


class AirflowCluster:
    """Airflow's four components as processes of their own, each with a log file under ``home``.

    :param home: an empty directory; database, logs and configuration live there.
    :param dags: the folder of the DAG files.
    :param environment: added to the components' environment (where AWS is, for instance).
    :param components: what to start, each a command of ``airflow``.
    :param python: the interpreter whose Airflow to run.
    """

    def __init__(
        self,
        home: Path,
        *,
        dags: Path,
        environment: Mapping[str, str],
        components: Sequence[str] = COMPONENTS,
        python: str = sys.executable,
    ) -> None:
        self.home = home
        self._names = components
        self._python = python
        self.port = free_port()
        self.log_server_ports = [free_port() for _ in range(2)]
        self.url = f"http://127.0.0.1:{self.port}"
        self._token = ""
        self._components: dict[str, subprocess.Popen[bytes]] = {}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AIRFLOW_"))}
        self.environment = {
            **inherited,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-this-test-that-is-long-enough-for-hs512-and-its-sixty-four",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            # Five processes write to one SQLite file: on a busy machine the default five seconds are too few.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=60",
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(self.log_server_ports[0]),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(self.log_server_ports[1]),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            **environment,
        }

    def __enter__(self) -> AirflowCluster:
        self.home.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [self._python, "-m", "airflow", "db", "migrate"],
            env=self.environment,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            timeout=600,
        )
        try:
            for component in self._names:
                self.start(component)
            self.wait_for(self.is_answering, "the api-server to answer", timeout_seconds=300)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, component: str, *, name: str | None = None, **environment: str) -> None:
        """Start a component; its output goes to ``<home>/<component>.log``.

        :param component: the command of ``airflow``, such as ``triggerer`` or ``celery worker``.
        :param name: for a second one of the same kind.
        :param environment: variables of this one alone.
        """
        name = name or component
        with (self.home / f"{name.replace(' ', '-')}.log").open("ab") as log:
            self._components[name] = subprocess.Popen(
                [self._python, "-m", "airflow", *component.split()],
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a component and its children; one that kills is waited for, and the component forgotten."""
        process = self._components[name]
        for one in _tree(process):
            with suppress(psutil.NoSuchProcess):
                one.send_signal(number)
        if number is signal.SIGKILL:
            process.wait()
            del self._components[name]

    def tree(self, name: str) -> list[psutil.Process]:
        """The processes of a component: itself and all its children."""
        return _tree(self._components[name])

    def close(self) -> None:
        """End every component with all its children: SIGTERM, then SIGKILL; a task has a process group of its own."""
        left = [one for process in self._components.values() for one in _tree(process)]
        for process in self._components.values():
            _signal_group(process, signal.SIGTERM)
        for process in self._components.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            _signal_group(process, signal.SIGKILL)
            process.wait()
        for one in left:
            with suppress(psutil.NoSuchProcess):
                one.kill()

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One REST call below ``/api/v2``; the answer as JSON.

        :raises urllib.error.HTTPError: the API refused; its body holds the reason.
        """
        request = urllib.request.Request(  # noqa: S310 - the test's own api-server
            f"{self.url}/api/v2{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
        )
        with urllib.request.urlopen(request, timeout=120) as response:  # noqa: S310
            return json.loads(response.read() or b"null")

    def wait_for(self, condition: Callable[[], Any], what: str, *, timeout_seconds: float) -> Any:
        """The condition's first true answer; fails with the last lines of all logs when none comes in time."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            for name, process in self._components.items():
                if process.poll() is not None:
                    raise AssertionError(f"airflow {name} ended with {process.returncode}\n{self.log_tails()}")
            if answer := condition():
                return answer
            time.sleep(0.25)
        raise AssertionError(f"waited {timeout_seconds} s for {what}\n{self.log_tails()}")

    def log_tails(self, lines: int = 25) -> str:
        """The last lines of the newest tasks' logs, of every component's and of the endpoint's, if it lies beside."""
        tasks = sorted(self.home.glob("logs/dag_id=*/**/*.log"), key=lambda path: path.stat().st_mtime)
        tails = []
        for path in (*sorted(self.home.parent.glob("*.log")), *sorted(self.home.glob("*.log")), *tasks[-4:]):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            tails.append(f"--- {path.relative_to(self.home.parent)}\n" + "\n".join(tail))
        return "\n".join(tails)

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> str:
        """Unpause the DAG once it is parsed and start a run; the run's id."""

        def unpause() -> bool:
            try:
                self.call("PATCH", f"/dags/{dag_id}", {"is_paused": False})
            except urllib.error.HTTPError as error:
                if error.code != 404:
                    raise
                return False
            return True

        self.wait_for(unpause, f"{dag_id} to be parsed", timeout_seconds=300)
        run = self.call("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": dict(conf)})
        return str(run["dag_run_id"])

    def is_answering(self) -> bool:
        """Whether the api-server answers; renews the token."""
        try:
            with urllib.request.urlopen(f"{self.url}/auth/token", timeout=5) as response:  # noqa: S310
                self._token = json.loads(response.read())["access_token"]
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True


def _tree(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    return []


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
