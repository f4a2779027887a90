"""A process that has Airflow loaded and forks one for each ``airflow`` command, which then starts in no time.

``airflow dags test`` takes seven seconds of processor time for a DAG of one task: six go into imports and into the
API server that it makes inside its process. Here they are paid once. What runs is Airflow's own ``main``, with the
environment, folder and output that a new process would have. Started as ``python -m tests.loaded_airflow``, the
process reads one request a line from its standard input and answers each twice: when it has begun, and its exit code.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import threading
import traceback
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent

READ_PER_RUN = {
    "AIRFLOW__CORE__DAGS_FOLDER",
    "AIRFLOW__CORE__LOAD_EXAMPLES",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED",
    "AIRFLOW_HOME",
}
"""Settings that Airflow reads again after it is loaded. Others may have been read while it was imported."""

_LOADED = (
    "airflow.__main__",
    "airflow.api.common.delete_dag",
    "airflow.api_fastapi.execution_api.app",
    "airflow.cli.cli_parser",
    "airflow.cli.commands.dag_command",
    "airflow.dag_processing.dagbag",
    "airflow.jobs.triggerer_job_runner",
    "airflow.models.dag",
    "airflow.providers.amazon.aws.hooks.base_aws",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.serialization.serialized_objects",
)


def can_run(environment: Mapping[str, str]) -> bool:
    """Whether a command with this environment does here what it does in a process of its own."""
    names = {name for name in environment if name.startswith("AIRFLOW_")}
    return all(name in READ_PER_RUN or name.startswith("AIRFLOW_CONN_") for name in names)


def run_airflow(arguments: Sequence[str], *, environment: Mapping[str, str], timeout_seconds: float) -> tuple[int, str]:
    """Run an ``airflow`` command as a new process would, and give its exit code and output.

    :raises subprocess.TimeoutExpired: it took too long, and was killed.
    """
    return _loaded_airflow().run(arguments, environment, timeout_seconds)


@cache
def _loaded_airflow() -> _LoadedAirflow:
    return _LoadedAirflow()


class _LoadedAirflow:
    """The process, from outside. It ends with this one, whose end closes its input."""

    def __init__(self) -> None:
        home = tempfile.mkdtemp(prefix="airflow-loaded-", dir=os.environ["AIRFLOW_HOME"])
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AIRFLOW_"))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.loaded_airflow"],
            cwd=ROOT,
            env={**kept, "AIRFLOW_HOME": home, "_AIRFLOW__AS_LIBRARY": "1", "AWS_EC2_METADATA_DISABLED": "true"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._lock = threading.Lock()

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], timeout_seconds: float) -> tuple[int, str]:
        with self._lock, tempfile.NamedTemporaryFile(prefix="airflow-output-") as output:
            request = {"arguments": [*arguments], "environment": {**environment}, "output": output.name}
            assert self._process.stdin is not None
            self._process.stdin.write(f"{json.dumps(request | {'folder': str(Path.cwd())})}\n".encode())
            self._process.stdin.flush()
            pid = int(self._read(120))
            try:
                exit_code = int(self._read(timeout_seconds))
            except TimeoutError:
                os.kill(pid, 9)
                self._read(60)
                raise subprocess.TimeoutExpired(["airflow", *arguments], timeout_seconds, output.read()) from None
            return exit_code, output.read().decode(errors="replace")

    def _read(self, timeout_seconds: float) -> bytes:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout_seconds):
                raise TimeoutError
        # One answer at a time, so nothing stays in a buffer that `select` does not see.
        return self._process.stdout.readline()


def _main() -> None:
    for name in _LOADED:
        importlib.import_module(name)
    from airflow.models import import_all_models
    from airflow.sdk.execution_time.supervisor import in_process_api_server
    from sqlalchemy.orm import configure_mappers

    import_all_models()
    configure_mappers()
    api: Any = in_process_api_server().app
    with contextlib.suppress(AttributeError):
        api._cadwyn_initialize()  # else at its first request
    gc.collect()
    gc.freeze()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(request)
        _answer(pid)
        _, status = os.waitpid(pid, 0)
        _answer(os.waitstatus_to_exitcode(status))


def _answer(number: int) -> None:
    sys.stdout.buffer.write(f"{number}\n".encode())
    sys.stdout.buffer.flush()


def _become(request: Mapping[str, Any]) -> None:
    """Be an ``airflow`` process, to its end."""
    exit_code: Any = 1
    output = os.open(request["output"], os.O_WRONLY | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    try:
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.path[0] = request["folder"]
        sys.argv = ["airflow", *request["arguments"]]
        _configure()
        from airflow.__main__ import main

        main()
        exit_code = 0
    except SystemExit as error:
        exit_code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:  # what a new process would print at its end
        traceback.print_exc()
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def _configure() -> None:
    """Have Airflow read its settings anew: those that were read while it was loaded belong to no run."""
    from airflow import configuration, settings

    configuration.AIRFLOW_HOME = settings.AIRFLOW_HOME = configuration.get_airflow_home()
    configuration.AIRFLOW_CONFIG = configuration.get_airflow_config(configuration.AIRFLOW_HOME)
    vars(configuration.conf).update(vars(configuration.initialize_config()))
    from airflow.sdk import configuration as sdk_configuration

    vars(sdk_configuration.conf).update(vars(sdk_configuration.initialize_config()))
    settings.initialize()


if __name__ == "__main__":
    _main()
