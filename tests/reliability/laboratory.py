"""A whole Airflow beside the real local endpoint, with a fault-injecting proxy between them; and what came of it all.

Belongs here: putting it together, running the cases' scripts, asking the endpoint and Airflow for the truth at the end.
Does not belong here: which faults there are (``cases``), how a call is disturbed (``proxy``), the page (``page``).
"""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
import urllib.error
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from airflow_sm_pipelines.local_endpoint import child_environment
from tests.reliability.cases import HEARTBEAT_SECONDS, READ_TIMEOUT_SECONDS
from tests.reliability.injections import Injection, Script
from tests.reliability.proxy import open_proxy
from tests.system.cluster import AirflowCluster, free_port
from tests.system.endpoint import ServedEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tests.reliability.cases import Case
    from tests.reliability.surroundings import Surroundings

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
PHASE_SECONDS = 900.0
LIVELY = {
    "AIRFLOW__API__MAXIMUM_PAGE_LIMIT": "1000",
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "600",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "600",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_SECONDS),
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "20",
}
"""Airflow's own settings: a dead worker is noticed in less than a minute instead of five.

A scheduler that is slow, on a busy machine, must not take itself for dead: it would reset every task that runs.
"""


WARM_UP = """
import boto3
import airflow.providers.amazon.aws.hooks.base_aws
import airflow_sm_pipelines.hooks.sagemaker_pipelines
import airflow_sm_pipelines.operators.run
import airflow_sm_pipelines.runs.submitter
import airflow_sm_pipelines.triggers.execution
"""
"""Airflow's local settings: the scheduler imports what tasks need before it forks its workers, so that each is fast."""


@dataclass
class Subject:
    """One task instance with a pipeline of its own."""

    laboratory: Laboratory
    case: Case
    mode: str
    number: int
    pipeline: str
    state: str | None = None
    tries: int = 0
    is_ready: bool = False
    tokens: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    marked_at: float | None = None
    ended_after: float | None = None
    is_script_over: bool = False

    @property
    def dag_id(self) -> str:
        """The DAG of the case and mode."""
        return f"{self.case.key}-{self.mode}"

    @property
    def task_id(self) -> str:
        """The task of this subject."""
        return "subject" if self.mode == "mapped" else f"subject_{self.number}"

    @property
    def map_index(self) -> int:
        """-1 where it is not mapped."""
        return self.number if self.mode == "mapped" else -1

    @property
    def faults(self) -> Script:
        """What happens to its calls."""
        return self.laboratory.proxy.scripts[self.pipeline]

    @property
    def is_injected(self) -> bool:
        """Whether all its faults have happened."""
        return self.faults.is_over

    @property
    def token(self) -> str | None:
        """The newest step that waits for an answer."""
        return self.tokens[-1] if self.tokens else None

    @property
    def is_waiting(self) -> bool:
        """Whether its task waits for the execution: somebody has looked at it, a worker or the triggerer."""
        accepted = self.laboratory.proxy.accepted
        if self.state == "deferred":
            return accepted[self.pipeline, "triggerer"] > 0
        is_looking = accepted[self.pipeline, "ListPipelineExecutionSteps"] > 0
        return self.state == "running" and self.mode not in ("deferred", "mapped") and is_looking

    @property
    def is_run_over(self) -> bool:
        """Whether Airflow counts its DAG run as ended."""
        return self.laboratory.airflow.call("GET", self.laboratory.run_path(self))["state"] in ("success", "failed")

    @property
    def is_execution_over(self) -> bool:
        """Whether its newest execution has ended."""
        executions = self.laboratory.executions_of(self.pipeline)
        return bool(executions) and executions[0]["PipelineExecutionStatus"] not in ("Executing", "Stopping")

    @property
    def is_started(self) -> bool:
        """Whether SageMaker has accepted its start call."""
        return self.laboratory.proxy.accepted[self.pipeline, "StartPipelineExecution"] > 0

    @property
    def executions(self) -> int:
        """How many executions have started."""
        return len(self.laboratory.executions_of(self.pipeline))

    @property
    def seconds_since_mark(self) -> float:
        """How long ago a person marked it."""
        return 0.0 if self.marked_at is None else time.monotonic() - self.marked_at

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.is_script_over and self.state in ("success", "failed", "skipped", "deleted")

    def answer(self, *, is_success: bool = True) -> None:
        """End the newest waiting step."""
        token = self.tokens.pop()
        client = self.laboratory.sagemaker
        if is_success:
            outputs = [{"Name": "rows", "Value": str(self.number)}]
            client.send_pipeline_execution_step_success(CallbackToken=token, OutputParameters=outputs)
        else:
            client.send_pipeline_execution_step_failure(CallbackToken=token, FailureReason="told to fail")

    def inject(self, injection: Injection) -> None:
        """One more fault."""
        self.faults.add(injection)

    def stop_execution(self) -> None:
        """Stop the newest execution as somebody outside of Airflow does."""
        arn = self.laboratory.executions_of(self.pipeline)[0]["PipelineExecutionArn"]
        self.laboratory.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
        self.tokens.clear()

    def mark(self, state: str) -> None:
        """Mark the task through the REST API."""
        index = f"/{self.map_index}" if self.map_index >= 0 else ""
        path = f"{self.laboratory.run_path(self)}/taskInstances/{self.task_id}{index}"
        self.laboratory.airflow.call("PATCH", path, {"new_state": state})
        self.marked_at = time.monotonic()

    def mark_run(self, state: str) -> None:
        """Mark the DAG run through the REST API."""
        self.laboratory.airflow.call("PATCH", self.laboratory.run_path(self), {"state": state})

    def clear(self) -> None:
        """Clear the task through the REST API."""
        self._clear(self.task_id)
        self.state = None

    def clear_another(self) -> None:
        """Clear a task of the same DAG run that has nothing to do with it."""
        self._clear("other")

    def _clear(self, task_id: str) -> None:
        body = {"dry_run": False, "dag_run_id": self.laboratory.runs[self.dag_id], "task_ids": [task_id]}
        body |= {"only_failed": False, "only_running": False}
        self.laboratory.airflow.call("POST", f"/dags/{self.dag_id}/clearTaskInstances", body)

    def pause(self, *, is_paused: bool) -> None:
        """Pause its DAG, or let it go on."""
        self.laboratory.airflow.call("PATCH", f"/dags/{self.dag_id}", {"is_paused": is_paused})

    def delete_run(self) -> bool:
        """Delete the DAG run, which Airflow allows while it is queued; False if it has gone on meanwhile."""
        try:
            self.mark_run("queued")
            self.laboratory.airflow.call("DELETE", self.laboratory.run_path(self))
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise
            return False
        self.state = "deleted"
        return True

    def delete_dag(self) -> None:
        """Delete the DAG with its runs."""
        self.laboratory.airflow.call("DELETE", f"/dags/{self.dag_id}")
        self.state = "deleted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one subject.

    :ivar faults: how many happened to it.
    :ivar executions: how many the endpoint has.
    :ivar problems: what is not as it must be, in words.
    """

    case: Case
    mode: str
    faults: int
    executions: int
    duplicates: int
    lost: int
    is_false_green: bool
    tries: int
    problems: tuple[str, ...]


class Laboratory:
    """The processes and the loop that drives the subjects.

    :param folder: an empty directory.
    :param seed: of the random moments.
    :param surroundings: the database and the executor.
    :param examples: a folder of DAG files to have beside the faults.
    :param tell: told how it goes on.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        surroundings: Surroundings,
        examples: Path | None = None,
        tell: Callable[[str], None] = print,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._random = Random(seed)
        self._surroundings = surroundings
        self._examples = examples
        self._tell = tell
        self._messages: dict[str, list[str]] = {}
        self.token_executions: dict[str, str] = {}
        self._closing = ExitStack()
        self._is_closing = threading.Event()
        self.runs: dict[str, str] = {}
        self.is_disaster_over = False
        self.endpoint = ServedEndpoint(folder / "sagemaker")

    def __enter__(self) -> Laboratory:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closing.set()
        self._closing.close()

    def run(self, chosen: Sequence[tuple[Case, str, int]]) -> list[Outcome]:
        """Put these (case, mode, count) through their faults; one outcome for each subject."""
        subjects = [
            Subject(self, case, mode, number, f"{case.key.replace('_', '-')}-{mode}-{number}")
            for case, mode, count in chosen
            for number in range(count)
        ]
        self._open(subjects)
        for phase in dict.fromkeys(subject.case.phase for subject in subjects):
            self._run_phase(phase, [subject for subject in subjects if subject.case.phase == phase])
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(self._judge, subjects))

    def executions_of(self, pipeline: str) -> list[dict[str, Any]]:
        """The executions of a pipeline as the endpoint has them, newest first."""
        answer = self.sagemaker.list_pipeline_executions(PipelineName=pipeline, MaxResults=100)
        found: list[dict[str, Any]] = answer["PipelineExecutionSummaries"]
        return found

    def run_path(self, subject: Subject) -> str:
        """The REST path of the subject's DAG run."""
        return f"/dags/{subject.dag_id}/dagRuns/{self.runs[subject.dag_id]}"

    # --- before -----------------------------------------------------------------------------------------------------

    def _open(self, subjects: Sequence[Subject]) -> None:
        self._closing.callback(self.endpoint.close)
        self.endpoint.start()
        config = Config(retries={"mode": "standard", "total_max_attempts": 8}, max_pool_connections=20)
        client = {
            "endpoint_url": self.endpoint.url,
            "region_name": "us-east-1",
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
            "config": config,
        }
        self.sagemaker: Any = boto3.client("sagemaker", **client)
        sqs: Any = boto3.client("sqs", **client)
        self.proxy = self._closing.enter_context(open_proxy(self.endpoint.url))
        queue = sqs.create_queue(QueueName="work")["QueueUrl"]
        for subject in subjects:
            self.proxy.scripts[subject.pipeline] = Script(subject.case.planned_injections(self._random))
            self.sagemaker.create_pipeline(
                PipelineName=subject.pipeline,
                RoleArn=ROLE,
                PipelineDefinition=json.dumps(make_definition(subject.case.pipeline, queue)),
            )
        listener = threading.Thread(target=self._listen, args=(sqs, queue), daemon=True)
        listener.start()
        self._closing.callback(listener.join)
        self._closing.callback(self._is_closing.set)
        dags = self._folder / "dags"
        if self._examples is not None:
            shutil.copytree(self._examples, dags)
        dags.mkdir(exist_ok=True)
        shutil.copy(Path(__file__).with_name("dag_file.py"), dags / "faults.py")
        (self._folder / "home" / "config").mkdir(parents=True)
        (self._folder / "home" / "config" / "airflow_local_settings.py").write_text(WARM_UP)
        (dags / "plan.json").write_text(json.dumps(make_plan(subjects)))
        given = self._surroundings
        cluster = AirflowCluster(
            self._folder / "home",
            dags=dags,
            environment={
                **child_environment({}, self.proxy.url, "us-east-1", secret="s"),
                **LIVELY,
                **given.environment,
            },
            components=given.components,
            python=given.python,
        )
        self.airflow = self._closing.enter_context(cluster)
        self._tell(f"Airflow answers; {len(subjects)} tasks, each with a pipeline of its own")

    def _listen(self, sqs: Any, queue: str) -> None:
        """Take the steps' messages; the endpoint may be away for a while."""
        while not self._is_closing.wait(0.2):
            with suppress(ClientError, BotoCoreError):
                for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ()):
                    body = json.loads(message["Body"])
                    pipeline = body["pipelineExecutionArn"].split("/")[1]
                    tokens = self._messages.setdefault(pipeline, [])
                    if body["status"] == "Stopping":
                        # An execution is stopped only when its Callback steps' workers have said that they are done.
                        self.sagemaker.send_pipeline_execution_step_failure(
                            CallbackToken=body["token"], FailureReason="told to stop"
                        )
                    elif body["token"] not in tokens:
                        tokens.append(body["token"])
                        self.token_executions[body["token"]] = body["pipelineExecutionArn"]
                    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    # --- meanwhile --------------------------------------------------------------------------------------------------

    def _run_phase(self, phase: str, subjects: Sequence[Subject]) -> None:
        self.is_disaster_over = False
        for dag_id in dict.fromkeys(subject.dag_id for subject in subjects):
            self.runs[dag_id] = self.airflow.trigger(dag_id, {})
        scripts = {subject.pipeline: [subject.case.script(subject), None] for subject in subjects}
        seen: dict[str, int] = {}
        deadline = time.monotonic() + PHASE_SECONDS
        told = time.monotonic()
        while not all(subject.is_over for subject in subjects):
            if time.monotonic() > deadline:
                for subject in subjects:
                    if not subject.is_over:
                        subject.problems.append(f"did not end: {subject.state}, script over: {subject.is_script_over}")
                return
            self._look(subjects, seen)
            for subject in subjects:
                if not subject.is_script_over:
                    self._advance(subject, scripts[subject.pipeline])
            if phase and not self.is_disaster_over and all(subject.is_ready for subject in subjects):
                self._tell(f"{len(subjects)} tasks wait: {phase}")
                _DISASTERS[phase](self)
                self.is_disaster_over = True
            if time.monotonic() - told > 20:
                told = time.monotonic()
                left = [subject for subject in subjects if not subject.is_over]
                names = ", ".join(f"{one.pipeline} {one.state}" for one in left[:4])
                self._tell(f"{len(subjects) - len(left)} of {len(subjects)} are over; left: {names}")
            self._is_closing.wait(1.5)

    def _look(self, subjects: Sequence[Subject], seen: dict[str, int]) -> None:
        """Learn the tasks' states and the steps that wait."""
        subjects = [subject for subject in subjects if not subject.is_over]
        body = {"dag_ids": list({subject.dag_id for subject in subjects}), "page_limit": 1000}
        try:
            found = self.airflow.call("POST", "/dags/~/dagRuns/~/taskInstances/list", body)["task_instances"]
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return
        states = {(one["dag_id"], one["task_id"], one["map_index"]): one for one in found}
        for subject in subjects:
            one = states.get((subject.dag_id, subject.task_id, subject.map_index))
            if one is not None and subject.state != "deleted":
                subject.state, subject.tries = one["state"], one["try_number"]
            tokens = self._messages.get(subject.pipeline, [])
            subject.tokens.extend(tokens[seen.get(subject.pipeline, 0) :])
            seen[subject.pipeline] = len(tokens)

    def _advance(self, subject: Subject, script: list[Any]) -> None:
        steps, condition = script
        try:
            while condition is None or condition():
                condition = script[1] = next(steps)
        except StopIteration:
            subject.is_script_over = True
        except (ClientError, urllib.error.HTTPError) as error:
            subject.problems.append(f"the script broke off: {error}")
            subject.is_script_over = True

    # --- after ------------------------------------------------------------------------------------------------------

    def _judge(self, subject: Subject) -> Outcome:
        case, problems = subject.case, list(subject.problems)
        executions = self.executions_of(subject.pipeline)
        statuses = [one["PipelineExecutionStatus"] for one in executions]
        running = sum(status in ("Executing", "Stopping") for status in statuses)
        last = statuses[0] if statuses else "none"
        stops = self.proxy.accepted[subject.pipeline, "StopPipelineExecution"]
        resumes = self.proxy.accepted[subject.pipeline, "RetryPipelineExecution"]
        fewest = case.executions if case.fewest is None else case.fewest
        if not fewest <= len(executions) <= case.executions:
            problems.append(f"{len(executions)} executions instead of {case.executions}")
        if running:
            problems.append(f"{running} executions still running")
        for what, found, wanted in (
            ("task", subject.state, case.state),
            ("execution", last, case.status),
            ("stops", bool(stops), bool(stops) if case.stops is None else bool(case.stops)),
            ("resumes", bool(resumes), bool(case.resumes)),
        ):
            if found != wanted:
                problems.append(f"{what}: {found} instead of {wanted}")
        is_unknown = (
            subject.state == "success" and case.done_by_hand == 0 and not self._is_published(subject, executions)
        )
        if is_unknown:
            problems.append("the task's XComs do not name the execution and its output")
        is_random = any(one.action == "kill" and one.delay_seconds for one in case.injections)
        if not subject.is_injected and not is_random:
            problems.append("not all of its faults happened")
        return Outcome(
            case=case,
            mode=subject.mode,
            faults=subject.faults.done + case.done_by_hand,
            executions=len(executions),
            duplicates=max(0, len(executions) - case.executions),
            lost=max(0, fewest - len(executions)) + running + is_unknown,
            is_false_green=subject.state == "success" and (case.state != "success" or last != case.status),
            tries=subject.tries,
            problems=tuple(f"{subject.pipeline}: {problem}" for problem in problems),
        )

    def _must_publish(self, subject: Subject) -> bool:
        """Whether the task itself came to its end, instead of being marked by a person."""
        return subject.state == "success" and subject.marked_at is None

    def _is_published(self, subject: Subject, executions: Sequence[Mapping[str, Any]]) -> bool:
        path = f"{self.run_path(subject)}/taskInstances/{subject.task_id}/xcomEntries"
        wanted = {"pipeline_execution_arn": executions[0]["PipelineExecutionArn"] if executions else None}
        if subject.case.pipeline == "callback":
            wanted["rows"] = subject.number
        with suppress(urllib.error.HTTPError):
            return all(
                self.airflow.call("GET", f"{path}/{key}?map_index={subject.map_index}")["value"] == value
                for key, value in wanted.items()
            )
        return False

    # --- disasters ----------------------------------------------------------------------------------------------------

    def _kill_endpoint(self) -> None:
        self.endpoint.kill()
        self._is_closing.wait(4)
        self.endpoint.start()

    def _kill_triggerer(self) -> None:
        self.airflow.signal("triggerer", signal.SIGKILL)
        self.airflow.start("triggerer")

    def _stall_triggerer(self) -> None:
        """Hang the triggerer until its waits belong to a second one; then let it wake up."""
        before = self._triggerers()
        self.airflow.signal("triggerer", signal.SIGSTOP)
        self.airflow.start(
            "triggerer", name="second triggerer", AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=str(free_port())
        )
        self.airflow.wait_for(
            lambda: not (self._triggerers() & (before | {None})),
            "the second triggerer to take over",
            timeout_seconds=120,
        )
        self.airflow.signal("triggerer", signal.SIGCONT)
        self._is_closing.wait(8)

    def _triggerers(self) -> set[int | None]:
        """Who holds the deferred tasks."""
        body = {"state": ["deferred"], "page_limit": 1000}
        found = self.airflow.call("POST", "/dags/~/dagRuns/~/taskInstances/list", body)["task_instances"]
        return {(one["trigger"] or {}).get("triggerer_id") for one in found}

    def _kill_api_server(self) -> None:
        self.airflow.signal("api-server", signal.SIGKILL)
        self._is_closing.wait(3)
        self.airflow.start("api-server")
        self.airflow.wait_for(self.airflow.is_answering, "the api-server to answer", timeout_seconds=120)

    def _kill_scheduler(self) -> None:
        self.airflow.signal("scheduler", signal.SIGKILL)
        # What the dead one had is taken over by the next as soon as its own heartbeat is missed.
        self.airflow.start(
            "scheduler",
            AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL="15",
            AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD="45",
        )


_DISASTERS: dict[str, Callable[[Laboratory], None]] = {
    "endpoint": Laboratory._kill_endpoint,
    "triggerer": Laboratory._kill_triggerer,
    "stall": Laboratory._stall_triggerer,
    "api-server": Laboratory._kill_api_server,
    "scheduler": Laboratory._kill_scheduler,
}


def make_plan(subjects: Iterable[Subject]) -> list[dict[str, Any]]:
    """What the DAG file is to build: one entry for each case and mode."""
    plans: dict[str, dict[str, Any]] = {}
    for subject in subjects:
        case = subject.case
        plan = plans.setdefault(
            subject.dag_id,
            {
                "dag_id": subject.dag_id,
                "pipelines": [],
                "arguments": case.arguments,
                "retries": case.retries,
                "deferrable": subject.mode in ("deferred", "mapped"),
                "is_mapped": subject.mode == "mapped",
                "has_outputs": case.pipeline == "callback",
                "botocore_config": {
                    "read_timeout": READ_TIMEOUT_SECONDS,
                    **({"retries": {"total_max_attempts": 1}} if subject.mode == "bare" else {}),
                },
            },
        )
        plan["pipelines"].append(subject.pipeline)
    return list(plans.values())


def make_definition(kind: str, queue: str) -> dict[str, Any]:
    """A pipeline whose steps end when the laboratory says so."""
    step: dict[str, Any] = {
        "Name": "Work",
        "Type": "Callback",
        "SqsQueueUrl": queue,
        "Arguments": {"number": {"Get": "Parameters.Number"}},
        "OutputParameters": [{"OutputName": "rows", "OutputType": "Integer"}],
    }
    steps = [step]
    if kind == "handled":
        tidy = {**step, "Name": "TidyUp", "DependsOn": [{"Step": "Work", "Trigger": "Failed"}]}
        steps.append(tidy)
    if kind == "for_each":
        body = {"IterableItems": ["a", "b", "c"], "MaxConcurrency": 3, "ForEachBody": [step]}
        steps = [{"Name": "Each", "Type": "ForEach", "Arguments": body}]
    return {
        "Version": "2020-12-01",
        "Parameters": [{"Name": "Number", "Type": "Integer", "DefaultValue": 0}],
        "Steps": steps,
    }


def choose(cases: Iterable[Case], *, is_sample: bool) -> Iterator[tuple[Case, str, int]]:
    """How many subjects of which case in which mode; a sample takes the modes in turn."""
    for number, case in enumerate(cases):
        if is_sample:
            turns = Counter(case.modes[(number + turn) % len(case.modes)] for turn in range(case.sample))
            yield from ((case, mode, count) for mode, count in turns.items())
        else:
            yield from ((case, mode, case.count) for mode in case.modes)
