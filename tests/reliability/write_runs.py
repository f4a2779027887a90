"""Puts one fault into one write of one caller, as often as there are cells, and asks the endpoint what came of it.

Callers run in processes of their own against one real local endpoint, each through a proxy of its own. What Airflow
does about an attempt that fails is done here in its stead: up to three retries, and none after a final error. A person
clears a task that failed for good, and gives a command once more that said an error.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import signal
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from airflow_sm_pipelines.client.session_calls import SessionCalls
from airflow_sm_pipelines.local_endpoint import child_environment
from tests.reliability.injections import Script
from tests.reliability.laboratory import ROLE
from tests.reliability.proxy import ANY_PIPELINE, open_proxy
from tests.reliability.write_cases import BARE, COMMAND, DEFERRED_BARE, SYNC_BARE
from tests.reliability.write_work import READ_TIMEOUT_SECONDS, attempt
from tests.system.endpoint import ServedEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from airflow_sm_pipelines.client.reports import ExecutionReport
    from tests.reliability.proxy import FaultProxy
    from tests.reliability.write_cases import Fault, Write

ATTEMPT_SECONDS = 180.0
SETTLED_SECONDS = 20.0
LOST_CODE = 255
"""What multiprocessing gives for a child whose exit code it could not read."""
MOST_COMMANDS = 3
"""How often a person gives a command that says an error."""


@dataclass
class Cell:
    """One write of one caller with one fault.

    :ivar token: of the Callback step to answer, where there is one.
    """

    write: Write
    fault: Fault
    caller: str
    name: str
    folder: Path
    token: str = ""
    tries: int = 0
    clears: int = 0
    state: str = ""
    errors: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """What the cell is known by."""
        return cell_key(self.write, self.fault, self.caller)

    @property
    def is_bare(self) -> bool:
        """Whether botocore's own retries are off."""
        return self.caller in (BARE, SYNC_BARE, DEFERRED_BARE)


@dataclass(frozen=True)
class CellResult:
    """What came of a cell.

    :ivar ending: ``"at once"``, ``"after a retry"``, ``"after a clear"`` or ``"given again"``.
    """

    key: str
    write: str
    fault: str
    caller: str
    ending: str
    problems: tuple[str, ...]
    errors: tuple[str, ...]


def cell_key(write: Write, fault: Fault, caller: str) -> str:
    """What a cell is known by."""
    return f"{write.key}/{fault.key}/{caller}"


class Endpoint:
    """The real local endpoint, spoken to directly: what is there before, and what there is in the end.

    :ivar answers: what the worker of the Callback steps answers, by pipeline, in turn; it is silent without an entry.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        session = boto3.Session("local", "local", region_name="us-east-1")
        self.calls = SessionCalls(session, endpoint_url=url)
        config = Config(max_pool_connections=20)
        keys = {"endpoint_url": url, "config": config}
        self._sagemaker: Any = session.client("sagemaker", **keys)
        self._sqs: Any = session.client("sqs", **keys)
        self.queue = self._sqs.create_queue(QueueName="work")["QueueUrl"]
        self.answers: dict[str, list[str]] = {}
        self._tokens: dict[str, list[str]] = defaultdict(list)
        self.is_closing = threading.Event()

    def create(self, name: str, definitions: Sequence[dict[str, Any]], aliases: dict[str, int] | None = None) -> None:
        """A pipeline with a version of each definition."""
        first, *others = map(json.dumps, definitions)
        arn = self.calls.create_pipeline(name, PipelineDefinition=first, RoleArn=ROLE)
        for text in others:
            self.calls.update_pipeline(name, PipelineDefinition=text)
        for alias, version in (aliases or {}).items():
            self.calls.update_version_aliases(arn, version, add=[alias])

    def start(self, name: str) -> str:
        """An execution."""
        return self.calls.start_execution({"PipelineName": name}, token=f"started-directly-{name}".ljust(40, "x"))

    def names(self, prefix: str) -> list[str]:
        """The pipelines there are."""
        return sorted(one.name for one in self.calls.list_pipelines(prefix=prefix))

    def await_token(self, name: str) -> str:
        """The token of the pipeline's Callback step, once it waits."""
        deadline = time.monotonic() + SETTLED_SECONDS
        while not self._tokens[name] and time.monotonic() < deadline:
            time.sleep(0.1)
        return self._tokens[name][-1]

    def await_end(self, name: str) -> list[ExecutionReport]:
        """The pipeline's executions, once none runs, or after a while."""
        deadline = time.monotonic() + SETTLED_SECONDS
        while True:
            found = list(self.calls.list_executions(name))
            if all(one.status != "Executing" for one in found) or time.monotonic() > deadline:
                return found
            time.sleep(0.3)

    def work(self) -> None:
        """Be the worker of all Callback steps, until it is closed."""
        while not self.is_closing.wait(0.2):
            with suppress(ClientError, BotoCoreError):
                found = self._sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", ())
                for message in found:
                    self._take(json.loads(message["Body"]))
                    self._sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])

    def _take(self, message: dict[str, Any]) -> None:
        name, token = message["pipelineExecutionArn"].split("/")[1], message["token"]
        is_stopping = message["status"] == "Stopping"
        if not is_stopping and token in self._tokens[name]:
            return
        self._tokens[name].append(token)
        answer = "fail" if is_stopping else next(iter(self.answers.get(name, ())), None)
        if not is_stopping and answer:
            del self.answers[name][0]
        if answer == "fail":
            self._sagemaker.send_pipeline_execution_step_failure(CallbackToken=token, FailureReason="told to fail")
        elif answer == "succeed":
            outputs = [{"Name": "rows", "Value": "7"}]
            self._sagemaker.send_pipeline_execution_step_success(CallbackToken=token, OutputParameters=outputs)


@contextmanager
def open_endpoint(folder: Path) -> Iterator[Endpoint]:
    """Serve the real local endpoint in a process of its own."""
    served = ServedEndpoint(folder)
    served.start()
    endpoint = Endpoint(served.url)
    worker = threading.Thread(target=endpoint.work, daemon=True)
    worker.start()
    try:
        yield endpoint
    finally:
        endpoint.is_closing.set()
        worker.join()
        served.close()


class CellRunner:
    """Runs cells, several at a time.

    :param folder: for what the callers write.
    """

    def __init__(self, endpoint: Endpoint, folder: Path) -> None:
        self._endpoint = endpoint
        self._folder = folder
        self._fork = multiprocessing.get_context("forkserver")
        self._fork.set_forkserver_preload(["tests.reliability.write_runs", "tests.reliability.write_preload"])
        self._lock = threading.Lock()
        self._number = 0

    def run(
        self, chosen: Sequence[tuple[Write, Fault, str]], *, at_once: int, done: Callable[[CellResult], None]
    ) -> None:
        """Run the cells; ``done`` is told of each."""
        with ThreadPoolExecutor(at_once) as pool:
            for found in pool.map(lambda one: self._run_cell(*one), chosen):
                done(found)

    def _run_cell(self, write: Write, fault: Fault, caller: str) -> CellResult:
        with self._lock:
            self._number += 1
            name = f"cell-{self._number}-{write.key.replace('_', '-')}"
        folder = self._folder / name
        folder.mkdir(parents=True)
        cell = Cell(write, fault, caller, name, folder)
        write.prepare(self._endpoint, cell)
        with open_proxy(self._endpoint.url) as proxy:
            script = proxy.scripts[ANY_PIPELINE] = Script((fault.injection(write.operation, write.skip),))
            environment = {
                **child_environment({}, proxy.url, "us-east-1", secret="s"),
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            }
            ending = _Caller(cell, self._fork, environment, write.work(cell)).run()
            self._judge(cell, proxy, script)
        if not cell.problems:
            shutil.rmtree(folder)
        return CellResult(cell.key, write.key, fault.key, caller, ending, tuple(cell.problems), tuple(cell.errors))

    def _judge(self, cell: Cell, proxy: FaultProxy, script: Script) -> None:
        if not script.done:
            cell.problems.append("the fault did not happen")
        found = list(cell.write.judge(self._endpoint, cell))
        cell.problems += found
        if cell.state != cell.write.state:
            cell.problems.append(f"state: {cell.state} instead of {cell.write.state}: {cell.errors[-1:]}")
        elif cell.state == "success" and found:
            cell.problems.append("false green: the task is a success all the same")


class _Caller:
    """The attempts of one cell's caller."""

    def __init__(self, cell: Cell, fork: Any, environment: dict[str, str], work: dict[str, Any]) -> None:
        self._cell = cell
        self._fork = fork
        self._environment = environment
        self._work = work
        if cell.caller != COMMAND:
            config: dict[str, Any] = {"read_timeout": READ_TIMEOUT_SECONDS}
            if cell.is_bare:
                config["retries"] = {"total_max_attempts": 1}
            work["arguments"] |= {"botocore_config": config}

    def run(self) -> str:
        """Go on until the caller is done; how it came to its end."""
        cell = self._cell
        if cell.caller == COMMAND:
            while cell.tries < MOST_COMMANDS:
                cell.tries += 1
                cell.state = self._attempt({"kind": "command", **self._work})["state"]
                if cell.state == "success":
                    break
                if cell.fault.key in cell.write.given_once:
                    cell.state = cell.write.state
                    break
            return "given again" if cell.tries > 1 else "at once"
        self._run_task()
        if cell.state == "failed" and cell.write.state != "failed":
            cell.clears += 1
            self._run_task()
            return "after a clear"
        return "after a retry" if cell.tries > 1 and cell.write.key != "retry" else "at once"

    def _run_task(self) -> None:
        """The attempts that Airflow makes until the task has an end."""
        cell = self._cell
        last = cell.tries + cell.write.retries + 1 + cell.fault.kills
        while cell.tries < last:
            cell.tries += 1
            state = self._run_attempt(max_tries=last - 1)
            cell.state = "failed" if state == "up_for_retry" else state
            if state in ("success", "skipped", "failed"):
                return
            time.sleep(0.2)
        if cell.write.state != "failed":
            cell.problems.append(f"lost: {cell.tries} attempts did not do it: {cell.errors[-1:]}")

    def _run_attempt(self, *, max_tries: int) -> str:
        cell = self._cell
        task = {
            **self._work,
            "run_id": cell.name,
            "try_number": cell.tries,
            "max_tries": max_tries,
            "clear_number": cell.clears,
        }
        found = self._attempt({"kind": "operator", **task})
        while found["state"] == "deferred":
            waited = self._attempt({**found, "kind": "trigger"})
            while waited["state"] == "up_for_retry":  # another triggerer takes over
                waited = self._attempt({**found, "kind": "trigger"})
            complete = {"kind": "complete", "event": waited["event"], "resumed": found["resumed"]}
            found = self._attempt({**task, **complete})
        return str(found["state"])

    def _attempt(self, work: dict[str, Any]) -> dict[str, Any]:
        """One process."""
        cell = self._cell
        result = cell.folder / "result.json"
        result.unlink(missing_ok=True)
        process = self._fork.Process(
            target=attempt, args=(str(cell.folder), {**work, "environment": self._environment})
        )
        process.start()
        process.join(ATTEMPT_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
            cell.problems.append(f"hung: an attempt took more than {ATTEMPT_SECONDS:.0f} s")
            return {"state": "failed"}
        if process.exitcode == -signal.SIGKILL or (process.exitcode == LOST_CODE and not result.exists()):
            return {"state": "up_for_retry"}
        if not result.exists():
            text = (cell.folder / "output.txt").read_text()[-2000:]
            cell.problems.append(f"broken: an attempt left with {process.exitcode}: {text}")
            return {"state": "failed"}
        found: dict[str, Any] = json.loads(result.read_text())
        if "error" in found:
            cell.errors.append(found["error"])
        if "raw" in found:
            cell.problems.append(f"raw {found['raw']}: {found['error']}")
        return found


def to_line(result: CellResult) -> str:
    """A result as a line of JSON."""
    return json.dumps(asdict(result))


def from_line(line: str) -> CellResult:
    """The result in a line."""
    found = json.loads(line)
    return CellResult(**{**found, "problems": tuple(found["problems"]), "errors": tuple(found["errors"])})
