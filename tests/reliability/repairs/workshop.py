"""A whole Airflow beside the real local endpoint, in which rows break pipelines and repair them by clearing tasks.

What the rows do: ``rows``. The pipelines' Callback steps end when a row says so.
"""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
import urllib.error
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.definition.shape import make_shape, render_shape
from airflow_sm_pipelines.local_endpoint import child_environment
from tests.reliability.injections import Injection, Script
from tests.reliability.laboratory import LIVELY, ROLE, WARM_UP
from tests.reliability.proxy import open_proxy
from tests.system.cluster import AirflowCluster
from tests.system.endpoint import ServedEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.reliability.surroundings import Surroundings

    Steps = Iterator[Callable[[], object]]

ROW_SECONDS = 1800.0
"""A row takes a minute where the machine has nothing else to do."""
OVER = ("success", "failed", "skipped", "upstream_failed")
PREFIX = "group."


class OtherwiseError(AssertionError):
    """A row came out otherwise than expected."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that a person does to a group.

    :param key: names it, its DAG and its pipeline.
    :param what: what is done, for people.
    :param expected: what must come of it.
    :param script: does it. Each condition that it yields is asked again until it holds.
    :param steps: of the pipeline; see :func:`call`, :func:`branch`.
    :param actions: how many clears, marks and kills it makes.
    :param phase: rows of a later phase begin when the earlier ones are over.
    """

    key: str
    what: str
    expected: str
    script: Callable[[Run], Steps]
    steps: tuple[dict[str, Any], ...]
    actions: int = 1
    phase: int = 0
    arguments: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    run_seconds: float | None = None
    is_mapped: bool = False


def call(name: str, *after: Any) -> dict[str, Any]:
    """A Callback step, which ends when its row says so; the queue is filled in later."""
    return {
        "Name": name,
        "Type": "Callback",
        "DependsOn": list(after),
        "SqsQueueUrl": "",
        "Arguments": {"step": name, "day": {"Get": "Parameters.Day"}},
        "OutputParameters": [{"OutputName": "rows", "OutputType": "Integer"}],
    }


def branch(name: str, *after: str, yes: Sequence[dict[str, Any]] = (), no: Sequence[dict[str, Any]] = ()) -> Any:
    """A Condition step, which takes the first branch while the parameter ``Day`` is ``monday``."""
    condition = {"Type": "Equals", "LeftValue": {"Get": "Parameters.Day"}, "RightValue": "monday"}
    arguments = {"Conditions": [condition], "IfSteps": list(yes), "ElseSteps": list(no)}
    return {"Name": name, "Type": "Condition", "DependsOn": list(after), "Arguments": arguments}


class Workshop:
    """The processes, and the loop that drives the rows.

    :param folder: an empty directory.
    """

    def __init__(self, folder: Path, surroundings: Surroundings, *, tell: Callable[[str], None] = print) -> None:
        self._folder = folder
        self._surroundings = surroundings
        self._tell = tell
        self._closing = ExitStack()
        self._is_closing = threading.Event()
        self.messages: list[dict[str, Any]] = []
        self.answered: set[str] = set()
        self.row_seconds = ROW_SECONDS
        self.endpoint = ServedEndpoint(folder / "sagemaker")

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closing.set()
        self._closing.close()

    def run(self, rows: Sequence[Row]) -> dict[str, str]:
        """Do these rows; what is otherwise than expected by row, empty where nothing is."""
        self._open(rows)
        outcomes: dict[str, str] = {}
        for phase in sorted({row.phase for row in rows}):
            self._run_phase([row for row in rows if row.phase == phase], outcomes)
        return outcomes

    def _open(self, rows: Sequence[Row]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._closing.callback(self.endpoint.close)
        self.endpoint.start()
        client = {
            "endpoint_url": self.endpoint.url,
            "region_name": "us-east-1",
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
            "config": Config(retries={"mode": "standard", "total_max_attempts": 8}, max_pool_connections=20),
        }
        self.sagemaker: Any = boto3.client("sagemaker", **client)
        sqs: Any = boto3.client("sqs", **client)
        self.proxy = self._closing.enter_context(open_proxy(self.endpoint.url))
        self.queue = sqs.create_queue(QueueName="work")["QueueUrl"]
        dags = self._folder / "dags"
        dags.mkdir()
        shutil.copy(Path(__file__).with_name("dag_file.py"), dags / "repairs.py")
        names = ("key", "arguments", "outputs", "run_seconds", "is_mapped")
        (dags / "plan.json").write_text(json.dumps([{name: getattr(row, name) for name in names} for row in rows]))
        for row in rows:
            self.proxy.scripts[row.key] = Script()
            text = self.make_definition(row.steps)
            (dags / f"{row.key}.shape.json").write_text(render_shape(make_shape(parse_definition(text))))
            self.sagemaker.create_pipeline(PipelineName=row.key, RoleArn=ROLE, PipelineDefinition=text)
        listener = threading.Thread(target=self._listen, args=(sqs,), daemon=True)
        listener.start()
        self._closing.callback(listener.join)
        self._closing.callback(self._is_closing.set)
        (self._folder / "home" / "config").mkdir(parents=True)
        (self._folder / "home" / "config" / "airflow_local_settings.py").write_text(WARM_UP)
        given = self._surroundings
        environment = {
            **child_environment({}, self.proxy.url, "us-east-1", secret="s"),
            **LIVELY,
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",  # on a busy machine the default five seconds are too few
            **given.environment,
        }
        cluster = AirflowCluster(
            self._folder / "home",
            dags=dags,
            environment=environment,
            components=given.components,
            python=given.python,
        )
        self.airflow = self._closing.enter_context(cluster)
        self._tell(f"Airflow answers; {len(rows)} rows, each with a DAG and a pipeline of its own")

    def make_definition(self, steps: Sequence[Mapping[str, Any]], *, day: str = "monday") -> str:
        """The definition of these steps, JSON text."""
        text = json.dumps(
            {
                "Version": "2020-12-01",
                "Parameters": [{"Name": "Day", "Type": "String", "DefaultValue": day}],
                "Steps": list(steps),
            }
        )
        return text.replace('"SqsQueueUrl": ""', f'"SqsQueueUrl": "{self.queue}"')

    def _listen(self, sqs: Any) -> None:
        """Take the steps' messages; say of steps that are to stop that their workers are done."""
        while not self._is_closing.wait(0.2):
            with suppress(ClientError, BotoCoreError):
                for message in sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", ()):
                    body = json.loads(message["Body"])
                    if body["status"] == "Stopping":
                        self.send(body["token"], is_success=False)
                    else:
                        self.messages.append(body)
                    sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])

    def send(self, token: str, *, is_success: bool) -> None:
        """End a step."""
        if is_success:
            outputs = [{"Name": "rows", "Value": "7"}]
            self.sagemaker.send_pipeline_execution_step_success(CallbackToken=token, OutputParameters=outputs)
        else:
            self.sagemaker.send_pipeline_execution_step_failure(CallbackToken=token, FailureReason="told to fail")

    def replace_triggerer(self) -> None:
        """Kill the triggerer with SIGKILL, and start another."""
        self.airflow.signal("triggerer", signal.SIGKILL)
        self.airflow.start("triggerer")

    def _run_phase(self, rows: Sequence[Row], outcomes: dict[str, str]) -> None:
        runs = {row.key: Run(self, row) for row in rows}
        scripts = {row.key: [row.script(runs[row.key]), None] for row in rows}
        for run in runs.values():
            run.path = self._trigger(run.row.key)
        began = told = time.monotonic()
        while scripts:
            self._look(runs)
            for run in [run for key, run in runs.items() if key in scripts]:
                wrong = self._advance(run, scripts[run.row.key])
                if wrong is None and time.monotonic() - began > self.row_seconds:
                    line = scripts[run.row.key][0].gi_frame.f_lineno
                    wrong = f"not over after {self.row_seconds:.0f} s, at line {line}: {run.states}, {run.statuses}"
                if wrong is not None:
                    del scripts[run.row.key]
                    outcomes[run.row.key] = wrong
                    self._tell(f"{run.row.key}: {wrong or 'as expected'}")
            if scripts and time.monotonic() - told > 30:
                told = time.monotonic()
                self._tell(f"not over: {', '.join(scripts)}")
            self._is_closing.wait(1.0)

    def _look(self, runs: Mapping[str, Run]) -> None:
        """Ask Airflow for the states of all rows at once."""
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            body = {"dag_ids": list(runs), "page_limit": 1000}
            tasks = self.airflow.call("POST", "/dags/~/dagRuns/~/taskInstances/list", body)["task_instances"]
            for one in self.airflow.call("POST", "/dags/~/dagRuns/list", body)["dag_runs"]:
                runs[one["dag_id"]].state = one["state"]
            for one in tasks:
                runs[one["dag_id"]].record(one)

    def _trigger(self, dag_id: str) -> str:
        return f"/dags/{dag_id}/dagRuns/{quote(self.airflow.trigger(dag_id, {}))}"

    def _advance(self, run: Run, script: list[Any]) -> str | None:
        """Go on with a row; None while it is not over, then what is wrong."""
        steps, condition = script
        try:
            while condition is None or condition():
                condition = script[1] = next(steps)
        except StopIteration:
            return ""
        except (OtherwiseError, ClientError) as error:
            return f"{type(error).__name__}: {error} (tasks: {run.states}, executions: {run.statuses})"
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        return None


class Run:
    """One row's DAG run.

    :ivar states: of its tasks, by step name for steps; ``run`` and ``ended`` for the others.
    :ivar tries: their tries.
    """

    def __init__(self, workshop: Workshop, row: Row) -> None:
        self.workshop = workshop
        self.row = row
        self.path = ""
        self.states: dict[str, str | None] = {}
        self.tries: dict[str, int] = {}
        self.state = ""

    def record(self, one: Mapping[str, Any]) -> None:
        """Note the state of a task, as Airflow's REST API has it."""
        name = one["task_id"].partition(PREFIX)[2].removeprefix("steps.")
        name = name if one["map_index"] < 0 else f"{name}[{one['map_index']}]"
        self.states[name], self.tries[name] = one["state"], one["try_number"]

    # --- SageMaker --------------------------------------------------------------------------------------------------

    @property
    def executions(self) -> list[dict[str, Any]]:
        """The executions of its pipeline, oldest first."""
        answer = self.workshop.sagemaker.list_pipeline_executions(PipelineName=self.row.key, MaxResults=100)
        found: list[dict[str, Any]] = answer["PipelineExecutionSummaries"]
        return found[::-1]

    @property
    def statuses(self) -> list[str]:
        """Their statuses."""
        return [one["PipelineExecutionStatus"] for one in self.executions]

    def asked(self, step: str) -> int:
        """How often a step has been started."""
        return sum(self._is_of(body, step) for body in self.workshop.messages)

    def waits(self, step: str) -> bool:
        """Whether a step waits for an answer."""
        return bool(self._waiting(step))

    def answer(self, *steps: str, is_success: bool = True) -> None:
        """End steps that wait."""
        for step in steps:
            for body in self._waiting(step):
                self.workshop.answered.add(body["token"])
                self.workshop.send(body["token"], is_success=is_success)

    def give_up(self, step: str) -> None:
        """Answer a step of a stopped execution no more."""
        self.workshop.answered.update(body["token"] for body in self._waiting(step))

    def _waiting(self, step: str) -> list[dict[str, Any]]:
        known = self.workshop.answered
        return [body for body in self.workshop.messages if self._is_of(body, step) and body["token"] not in known]

    def _is_of(self, body: Mapping[str, Any], step: str) -> bool:
        is_own = body["pipelineExecutionArn"].split("/")[1] == self.row.key
        return is_own and body["arguments"]["step"] == step

    def accepted(self, operation: str) -> int:
        """How many calls of the group the endpoint has accepted."""
        return self.workshop.proxy.accepted[self.row.key, operation]

    def inject(self, injection: Injection) -> None:
        """One fault of the next such call."""
        self.workshop.proxy.scripts[self.row.key].add(injection)

    def parameters(self, number: int) -> dict[str, str]:
        """The parameters of an execution."""
        arn = self.executions[number]["PipelineExecutionArn"]
        found = self.workshop.sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
        return {one["Name"]: one["Value"] for one in found["PipelineParameters"]}

    def describe(self, number: int) -> dict[str, Any]:
        """An execution."""
        arn = self.executions[number]["PipelineExecutionArn"]
        found: dict[str, Any] = self.workshop.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        return found

    def selected(self, number: int) -> set[str]:
        """The steps that an execution was asked to run."""
        config = self.describe(number).get("SelectiveExecutionConfig") or {}
        return {one["StepName"] for one in config.get("SelectedSteps", ())}

    # --- Airflow ----------------------------------------------------------------------------------------------------

    def task_id(self, name: str) -> str:
        """The id of a step's task, or of another one of the group."""
        return f"{PREFIX}{name}" if name in ("run", "ended") else f"{PREFIX}steps.{name}"

    def clear(self, *names: str, downstream: bool = True) -> None:
        """Clear tasks."""
        body = {"dry_run": False, "dag_run_id": self.run_id, "task_ids": [self.task_id(name) for name in names]}
        body |= {"only_failed": False, "only_running": False, "include_downstream": downstream}
        self.workshop.airflow.call("POST", f"/dags/{self.row.key}/clearTaskInstances", body)
        self.states = dict.fromkeys(self.states)
        self.state = "queued"

    def mark(self, name: str, state: str) -> None:
        """Mark a task."""
        path = f"{self.path}/taskInstances/{self.task_id(name)}"
        self.workshop.airflow.call("PATCH", path, {"new_state": state})

    def mark_run(self, state: str) -> None:
        """Mark the DAG run."""
        self.workshop.airflow.call("PATCH", self.path, {"state": state})

    def delete(self) -> bool:
        """Delete the DAG run, which Airflow allows while it is queued; False if it has gone on meanwhile."""
        try:
            self.mark_run("queued")
            self.workshop.airflow.call("DELETE", self.path)
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise
            return False
        return True

    @property
    def run_id(self) -> str:
        """The DAG run's id."""
        from urllib.parse import unquote

        return unquote(self.path.rpartition("/")[2])

    @property
    def is_over(self) -> bool:
        """Whether the DAG run has ended, and all its tasks with it."""
        return self.state in ("success", "failed") and all(state in OVER for state in self.states.values())

    def log(self, name: str) -> str:
        """The log of a task's last attempt."""
        path = f"{self.path}/taskInstances/{self.task_id(name)}/logs/{self.tries[name]}?full_content=true"
        return str(self.workshop.airflow.call("GET", path))

    def xcom(self, name: str, key: str) -> Any:
        """An XCom; None where there is none."""
        try:
            return self.workshop.airflow.call(
                "GET", f"{self.path}/taskInstances/{self.task_id(name)}/xcomEntries/{key}"
            )["value"]
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    # --- what must be -----------------------------------------------------------------------------------------------

    def expect(self, found: object, wanted: object, what: str) -> None:
        """Compare; raises what is otherwise."""
        if found != wanted:
            raise OtherwiseError(f"{what}: {found!r} instead of {wanted!r}")

    def expect_states(self, **wanted: str) -> None:
        """Compare the states of these tasks."""
        self.expect({name: self.states.get(name) for name in wanted}, wanted, "tasks")

    def expect_log(self, name: str, text: str) -> None:
        """Find a text in a task's log."""
        if text not in (log := self.log(name)):
            raise OtherwiseError(f"the log of {name} lacks {text!r}: {log[-1500:]}")
