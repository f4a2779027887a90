"""One attempt of a caller, in a process of its own that may be killed: an operator's method, its trigger, or a command.

Runs in a child that is forked from a process with these modules; what it does is told by a file, and so is its result.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import pkgutil
import sys
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

import airflow_sm_pipelines
import airflow_sm_pipelines.hooks.sagemaker_pipelines
import airflow_sm_pipelines.triggers.execution
from airflow_sm_pipelines.exceptions import SageMakerPipelinesError

READ_TIMEOUT_SECONDS = 2
_PACKAGES = ("airflow_task", "client", "cli", "definition", "deployment", "links", "operators", "runs", "triggers")
RUN_AFTER = datetime(2026, 11, 30, tzinfo=timezone.utc)


class StateFile:
    """Airflow's task state store, as a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> Any:
        """A value; None where there is none."""
        return self._read().get(key)

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        self._write({**self._read(), key: json.loads(json.dumps(value))})

    def delete(self, key: str) -> None:
        """Forget a value."""
        self._write({name: value for name, value in self._read().items() if name != key})

    def _read(self) -> dict[str, Any]:
        return json.loads(self._path.read_text()) if self._path.exists() else {}

    def _write(self, values: dict[str, Any]) -> None:
        write_whole(self._path, values)


def write_whole(path: Path, value: Any) -> None:
    """Write a JSON file so that whoever is killed meanwhile leaves the old one."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(value, default=str))
    draft.replace(path)


def attempt(folder: str, work: dict[str, Any]) -> None:
    """Do one piece of work, and write ``result.json`` into the folder.

    :param work: ``kind``: ``"operator"``, ``"trigger"``, ``"complete"`` or ``"command"``, with what each needs;
        ``environment``: variables of this process.
    """
    with Path(folder, "output.txt").open("a") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        os.environ.update(work["environment"], AWS_SDK_UA_APP_ID=f"task-{os.getpid()}-{os.getppid()}")
        write_whole(Path(folder, "result.json"), _KINDS[work["kind"]](Path(folder), work))
        sys.stdout.flush()
    os._exit(0)


def _run_operator(folder: Path, work: dict[str, Any]) -> dict[str, Any]:
    operator = _make_operator(work)
    return _outcome(lambda: operator.execute(_make_context(folder, work)))


def _complete_operator(folder: Path, work: dict[str, Any]) -> dict[str, Any]:
    operator = _make_operator(work)
    context = _make_context(folder, work)
    return _outcome(lambda: operator.execute_complete(context, event=work["event"], **work["resumed"]))


def _outcome(call: Any) -> dict[str, Any]:
    """How a task's attempt ended, as Airflow would take it."""
    try:
        return {"state": "success", "value": call()}
    except TaskDeferred as deferred:
        path, arguments = deferred.trigger.serialize()
        return {"state": "deferred", "trigger": path, "arguments": arguments, "resumed": deferred.kwargs or {}}
    except AirflowSkipException as error:
        return {"state": "skipped", "error": str(error)}
    except AirflowFailException as error:
        return {"state": "failed", "error": str(error)}
    except SageMakerPipelinesError as error:
        return {"state": "up_for_retry", "error": str(error)}
    except Exception as error:
        return {"state": "up_for_retry", "error": str(error), "raw": type(error).__name__}


def _run_trigger(_: Path, work: dict[str, Any]) -> dict[str, Any]:
    module, _, name = work["trigger"].rpartition(".")
    trigger = getattr(import_module(module), name)(**work["arguments"])

    async def first() -> Any:
        async for event in trigger.run():
            return event.payload
        raise AssertionError("a trigger fires once")

    return {"state": "fired", "event": asyncio.run(first())}


def _run_command(folder: Path, work: dict[str, Any]) -> dict[str, Any]:
    from botocore.config import Config

    from airflow_sm_pipelines.cli.entry_point import main

    # The command has no option for it, and nobody waits a minute here.
    Config.OPTION_DEFAULTS["read_timeout"] = READ_TIMEOUT_SECONDS
    try:
        code = main(work["argv"])
    except SystemExit as left:
        code = int(left.code or 0)
    except Exception as error:
        return {"state": "failed", "error": str(error), "raw": type(error).__name__}
    return {"state": "success" if code == 0 else "failed", "value": code, "error": f"exit code {code}"}


def _make_operator(work: dict[str, Any]) -> Any:
    with DAG("cells", schedule=None):
        return getattr(airflow_sm_pipelines, work["class"])(
            task_id="cell", aws_conn_id=None, do_xcom_push=False, **work["arguments"]
        )


def _make_context(folder: Path, work: dict[str, Any]) -> Any:
    ti = SimpleNamespace(
        dag_id="cells",
        run_id=work["run_id"],
        task_id="cell",
        map_index=-1,
        try_number=work["try_number"],
        max_tries=work["max_tries"],
    )
    run = SimpleNamespace(start_date=None, run_after=RUN_AFTER, clear_number=work["clear_number"])
    return {"ti": ti, "dag_run": run, "task_state_store": StateFile(folder / "store.json")}


def warm_up() -> None:
    """Import what the children need, and make a client, so that each child has little to do."""
    for package in (
        "airflow_task",
        "client",
        "cli",
        "definition",
        "deployment",
        "links",
        "operators",
        "runs",
        "triggers",
    ):
        folder = Path(airflow_sm_pipelines.__file__).parent / package
        for found in pkgutil.walk_packages([str(folder)], f"airflow_sm_pipelines.{package}."):
            if not found.name.endswith("__main__"):
                import_module(found.name)
    boto3.client("sagemaker", "us-east-1", aws_access_key_id="local", aws_secret_access_key="local")
    inspect.stack()


_KINDS = {
    "operator": _run_operator,
    "complete": _complete_operator,
    "trigger": _run_trigger,
    "command": _run_command,
}
