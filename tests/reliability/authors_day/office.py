"""A whole Airflow beside the real local endpoint, in which rows do what an author does. What they do: ``rows``."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from airflow_sm_pipelines.local_endpoint import child_environment
from tests.reliability.laboratory import LIVELY, ROLE, WARM_UP
from tests.system.cluster import AirflowCluster
from tests.system.endpoint import ServedEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.reliability.surroundings import Surroundings

    Script = Callable[["Day"], Iterator[Callable[[], object]]]

ROW_SECONDS = 420.0
AT_ONCE_SECONDS = 40.0
"""How soon an execution must be told to stop: the trigger asks every ten seconds whether its task still waits."""

OVER = ("success", "failed")


class OtherwiseError(AssertionError):
    """A row came out otherwise than expected."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that an author does.

    :param key: names it on the command line.
    :param what: what is done, for people.
    :param expected: what must come of it.
    :param script: does it. Each condition that it yields is asked again until it holds.
    :param phase: rows of a later phase begin when the earlier ones are over.
    """

    key: str
    what: str
    expected: str
    script: Script
    phase: int = 0


class Day:
    """An Airflow and an endpoint to work with. The pipelines' Callback steps end when a row says so.

    :param airflow: runs with ``dag_file`` among its DAG files.
    :param endpoint_url: the real local endpoint that it talks to.
    :param folder: where the DAG file looks for flags.
    :param python: the interpreter of Airflow's commands.
    """

    def __init__(
        self,
        airflow: AirflowCluster,
        endpoint_url: str,
        *,
        folder: Path,
        python: str = sys.executable,
        tell: Callable[[str], None] = print,
    ) -> None:
        self.airflow = airflow
        self.folder = folder
        self.flags = folder / "flags"
        self.flags.mkdir(exist_ok=True)
        self._python = python
        self._tell = tell
        self._is_closing = threading.Event()
        self._messages: list[dict[str, Any]] = []
        self._answered: set[str] = set()
        self.automatic: set[str] = set()
        client = {
            "endpoint_url": endpoint_url,
            "region_name": "us-east-1",
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
            "config": Config(retries={"mode": "standard", "total_max_attempts": 8}),
        }
        self.sagemaker: Any = boto3.client("sagemaker", **client)
        sqs: Any = boto3.client("sqs", **client)
        self._queue = sqs.create_queue(QueueName="authors-day")["QueueUrl"]
        self._listener = threading.Thread(target=self._listen, args=(sqs,), daemon=True)

    def __enter__(self) -> Day:
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closing.set()
        self._listener.join()

    def _listen(self, sqs: Any) -> None:
        """Take the steps' messages; say of steps that are to stop that their workers are done."""
        while not self._is_closing.wait(0.3):
            with suppress(ClientError, BotoCoreError):
                for message in sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", ()):
                    body = json.loads(message["Body"])
                    pipeline = body["pipelineExecutionArn"].split("/")[1]
                    if body["status"] == "Stopping":
                        self._send(body, is_success=False)
                    elif pipeline in self.automatic:
                        self._send(body, is_success=True)
                    else:
                        self._messages.append(body)
                    sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])

    def _send(self, body: Mapping[str, Any], *, is_success: bool) -> None:
        if is_success:
            rows = [{"Name": "rows", "Value": "7"}]
            self.sagemaker.send_pipeline_execution_step_success(CallbackToken=body["token"], OutputParameters=rows)
        else:
            self.sagemaker.send_pipeline_execution_step_failure(CallbackToken=body["token"], FailureReason="told to")

    # --- SageMaker --------------------------------------------------------------------------------------------------

    def make_pipelines(self, *names: str) -> None:
        """Pipelines with one Callback step, which gets the parameter ``Day``."""
        step = {
            "Name": "Work",
            "Type": "Callback",
            "SqsQueueUrl": self._queue,
            "Arguments": {"day": {"Get": "Parameters.Day"}},
            "OutputParameters": [{"OutputName": "rows", "OutputType": "Integer"}],
        }
        parameters = [{"Name": "Day", "Type": "String", "DefaultValue": "none"}]
        text = json.dumps({"Version": "2020-12-01", "Parameters": parameters, "Steps": [step]})
        for name in names:
            self.sagemaker.create_pipeline(PipelineName=name, RoleArn=ROLE, PipelineDefinition=text)

    def executions(self, pipeline: str) -> list[dict[str, Any]]:
        """The executions of a pipeline, newest first."""
        answer = self.sagemaker.list_pipeline_executions(PipelineName=pipeline, MaxResults=100)
        found: list[dict[str, Any]] = answer["PipelineExecutionSummaries"]
        return found

    def statuses(self, pipeline: str) -> list[str]:
        """Their statuses, oldest first."""
        return [one["PipelineExecutionStatus"] for one in reversed(self.executions(pipeline))]

    def waiting(self, pipeline: str) -> list[dict[str, Any]]:
        """The messages of the pipeline's steps that wait for an answer and belong to a running execution."""
        running = {
            one["PipelineExecutionArn"]
            for one in self.executions(pipeline)
            if one["PipelineExecutionStatus"] == "Executing"
        }
        return [
            body
            for body in self._messages
            if body["pipelineExecutionArn"] in running and body["token"] not in self._answered
        ]

    def answer(self, pipeline: str, *, is_success: bool = True, day: str | None = None) -> None:
        """End the steps that wait; with a day, only the step that was started for it."""
        for body in self.waiting(pipeline):
            if day in (None, body["arguments"]["day"]):
                self._answered.add(body["token"])
                self._send(body, is_success=is_success)

    # --- Airflow ----------------------------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One REST call; None where Airflow has no such thing."""
        try:
            return self.airflow.call(method, path, body)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise OtherwiseError(f"{method} {path}: {error.code} {error.read()[:300]!r}") from error
            return None

    def trigger(self, dag_id: str, *, run_id: str | None = None, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run of a DAG; its path."""
        self.airflow.call("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        body = {"logical_date": None, "conf": dict(conf or {}), **({"dag_run_id": run_id} if run_id else {})}
        run = self.airflow.call("POST", f"/dags/{dag_id}/dagRuns", body)
        return f"/dags/{dag_id}/dagRuns/{quote(run['dag_run_id'])}"

    def runs(self, dag_id: str) -> dict[str, str]:
        """The states of a DAG's runs by their path."""
        found = self.airflow.call("GET", f"/dags/{dag_id}/dagRuns?limit=100")["dag_runs"]
        return {f"/dags/{dag_id}/dagRuns/{quote(one['dag_run_id'])}": one["state"] for one in found}

    def state(self, run: str, task_id: str = "train", index: int = -1) -> str | None:
        """The state of a task; ``gone`` where there is no such row."""
        found = self.call("GET", f"{run}/taskInstances/{task_id}{f'/{index}' if index >= 0 else ''}")
        return "gone" if found is None else found["state"]

    def clear(self, run: str, *task_ids: str, **options: Any) -> None:
        """Clear tasks of a run."""
        dag_id, run_id = run.split("/")[2], unquote(run.rpartition("/")[2])
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": list(task_ids), "only_failed": False, **options}
        self.airflow.call("POST", f"/dags/{dag_id}/clearTaskInstances", body)

    def mark(self, run: str, task_id: str, state: str) -> None:
        """Mark a task."""
        self.airflow.call("PATCH", f"{run}/taskInstances/{task_id}", {"new_state": state})

    def command(self, *arguments: str, timeout_seconds: float = 240, **environment: str) -> str:
        """Run a command of ``airflow`` beside the running Airflow; its output."""
        done = subprocess.run(
            [self._python, "-m", "airflow", *arguments],
            env={**self.airflow.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_seconds,
        )
        if done.returncode:
            raise OtherwiseError(f"airflow {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-1500:]}")
        return done.stdout + done.stderr

    def in_thread(self, work: Callable[[], object]) -> Callable[[], object]:
        """Begin something that takes a while, and give the condition that it has ended well."""
        failures: list[BaseException] = []

        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def is_over() -> bool:
            if failures:
                raise failures[0]
            return not thread.is_alive()

        return is_over

    # --- the rows ---------------------------------------------------------------------------------------------------

    def run(self, rows: Sequence[Row]) -> dict[str, str]:
        """Do these rows, those of a phase at the same time; what is wrong by key, empty where nothing is."""
        outcomes: dict[str, str] = {}
        self.airflow.wait_for(
            lambda: self.call("GET", "/dags/marked"), "the DAG file to be parsed", timeout_seconds=240
        )
        for pool, slots, is_counted in (("narrow", 1, False), ("counted", 1, True), ("closed", 0, False)):
            self.airflow.call("POST", "/pools", {"name": pool, "slots": slots, "include_deferred": is_counted})
        for phase in sorted({row.phase for row in rows}):
            self._run_phase([row for row in rows if row.phase == phase], outcomes)
        return outcomes

    def _run_phase(self, rows: Sequence[Row], outcomes: dict[str, str]) -> None:
        scripts = {row.key: [row.script(self), None] for row in rows}
        began = told = time.monotonic()
        while scripts:
            for row in [row for row in rows if row.key in scripts]:
                wrong = self._advance(scripts[row.key])
                if wrong is None and time.monotonic() - began > ROW_SECONDS:
                    wrong = f"not over after {ROW_SECONDS:.0f} s, at line {scripts[row.key][0].gi_frame.f_lineno}"
                if wrong is not None:
                    del scripts[row.key]
                    outcomes[row.key] = wrong
                    self._tell(f"{row.key}: {wrong or 'as expected'}")
            if scripts and time.monotonic() - told > 30:
                told = time.monotonic()
                self._tell(f"not over: {', '.join(scripts)}")
            self._is_closing.wait(1.0)

    def _advance(self, script: list[Any]) -> str | None:
        """Go on with a row; None while it is not over, then what is wrong."""
        steps, condition = script
        try:
            while condition is None or condition():
                condition = script[1] = next(steps)
        except StopIteration:
            return ""
        except (OtherwiseError, ClientError, urllib.error.HTTPError, subprocess.TimeoutExpired) as error:
            return f"{type(error).__name__}: {error}"
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        return None


def expect(found: object, wanted: object, what: str) -> None:
    """Compare; raises what is otherwise."""
    if found != wanted:
        raise OtherwiseError(f"{what}: {found!r} instead of {wanted!r}")


@contextmanager
def open_day(folder: Path, surroundings: Surroundings, *, tell: Callable[[str], None]) -> Iterator[Day]:
    """A whole Airflow of its own, whose XComs are in object storage.

    :param folder: an empty directory.
    """
    (folder / "dags").mkdir()
    copy_dag_file(folder / "dags")
    (folder / "home" / "config").mkdir(parents=True)
    (folder / "home" / "config" / "airflow_local_settings.py").write_text(WARM_UP)
    endpoint = ServedEndpoint(folder / "sagemaker")
    try:
        endpoint.start()
        environment = {
            **child_environment({}, endpoint.url, "us-east-1", secret="s"),
            **LIVELY,
            **surroundings.environment,
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"file://{folder}/xcoms",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "0",
            "AIRFLOW__CORE__XCOM_BACKEND": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
        }
        cluster = AirflowCluster(
            folder / "home",
            dags=folder / "dags",
            environment=environment,
            components=surroundings.components,
            python=surroundings.python,
        )
        with cluster, Day(cluster, endpoint.url, folder=folder, python=surroundings.python, tell=tell) as day:
            yield day
    finally:
        endpoint.close()


def copy_dag_file(dags: Path) -> None:
    """Put the rows' DAG file into a DAGs folder; it is told where its flags are, and which day it is."""
    text = Path(__file__).with_name("dag_file.py").read_text()
    text = text.replace('"FLAGS"', repr(str(dags.parent / "flags")))
    text = text.replace('"NOW"', repr(datetime.now(timezone.utc).isoformat()))
    (dags / "authors_day.py").write_text(text)
