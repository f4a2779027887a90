"""Runs a DAG file in Airflow, once for each script. It is started by path of the module, with two files as arguments.

The DAG runs as under ``airflow dags test``, its pipelines on the local endpoint. A script answers for every call of a
task, and stands in for the work of every step. All else (branches, values that pass, the order) is Airflow's
or the engine's. The process belongs to one comparison, so it may change what it has imported.
"""

from __future__ import annotations

import copy
import io
import itertools
import json
import os
import sys
import threading
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.engine import EngineServices

_METADATA = {
    "Training": "TrainingJob",
    "Processing": "ProcessingJob",
    "Transform": "TransformJob",
    "Tuning": "TuningJob",
    "AutoML": "AutoMLJob",
    "Model": "Model",
    "RegisterModel": "RegisterModel",
    "EndpointConfig": "EndpointConfig",
    "Endpoint": "Endpoint",
}
"""The step types that do work, with the key of each one's metadata."""


@dataclass(slots=True)
class Run:
    """One run, while it runs.

    :param answers: for each task or step, its answers in order; the last one repeats.
    """

    answers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    described: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    numbers: Any = field(default_factory=itertools.count)
    lock: Any = field(default_factory=threading.Lock)

    def take(self, name: str) -> dict[str, Any]:
        """The next answer for a task or step."""
        with self.lock:
            index = self.asked.get(name, 0)
            self.asked[name] = index + 1
        known = self.answers.get(name)
        if not known:
            raise LookupError(f"The source has nothing that is called {name}, so nobody knows what answers it.")
        return known[min(index, len(known) - 1)]

    def note(self, task: str, what: str, given: Any, *, is_failure: bool = False) -> None:
        """Keep an event. Calls are instant: its number is when it began and ended."""
        with self.lock:
            event = {"task": task, "what": what, "given": copy.deepcopy(given), "is_failure": is_failure}
            self.events.append({**event, "number": next(self.numbers)})


class ScriptedStage:
    """Puts the scripts in place of services and of the steps' work."""

    def __init__(self) -> None:
        self.run = Run()
        self._clients: dict[str, Any] = {}

    # --- steps ------------------------------------------------------------------------------------------------------

    def adapt(self, services: EngineServices) -> EngineServices:
        """The engine's services with a stand-in for all work, which does not run."""
        from airflow_sm_pipelines.engine.jobs.stand_in_table import StandIn, StandIns

        here = Path(__file__)
        entries = tuple(StandIn(here, "perform", type=kind) for kind in (*_METADATA, "Callback", "Lambda"))
        return replace(services, stand_ins=StandIns(entries), run_function=self._perform)

    def _perform(self, spec: Any, event: Any, context: Any, stop: Any) -> Any:
        from airflow_sm_pipelines.engine.jobs import FunctionOutcome

        step = event["step"]
        name, kind = step["name"], step["type"]
        given = {"Arguments": step["arguments"], **({} if kind in _METADATA else step["attributes"])}
        answer = self.run.take(name)
        error = answer.get("error")
        self.run.note(name, f"step {kind}", given, is_failure=error is not None)
        if error is not None:
            return FunctionOutcome("Failed", error=f"{error}: {answer.get('cause', '')}")
        outputs = dict(answer.get("outputs") or {})
        made = f"made-{name}-{next(self.run.numbers)}"
        key = _METADATA.get(kind)
        for member in answer.get("names", ()):
            outputs[member] = made
        arn = str(outputs.get(answer.get("arn", "")))
        self.run.described |= {made: outputs, arn.rpartition("/")[2]: outputs, arn: outputs}
        result: Any = {"metadata": {key: {"Arn": arn}} if key else {}, "outputs": outputs}
        return FunctionOutcome("Completed", result)

    # --- tasks ------------------------------------------------------------------------------------------------------

    def make_client(self, service: str) -> Any:
        """A client of boto3 that checks each request and takes its answer from the script."""
        import boto3

        if service in self._clients:
            return self._clients[service]
        session = boto3.Session(aws_access_key_id="none", aws_secret_access_key="none", region_name="us-east-1")  # noqa: S106
        client = session.client(service, endpoint_url="http://127.0.0.1:9")

        def call(operation: str, given: dict[str, Any]) -> Any:
            return self._answer(service, client, operation, given)

        client._make_api_call = call
        self._clients[service] = client
        return client

    def _answer(self, service: str, client: Any, operation: str, given: dict[str, Any]) -> Any:
        from airflow.sdk import get_current_context
        from botocore import xform_name
        from botocore.exceptions import ClientError, ParamValidationError
        from botocore.validate import ParamValidator

        method = xform_name(operation)
        name = get_current_context()["ti"].task_id
        model = client.meta.service_model.operation_model(operation)
        shape = model.input_shape
        report = ParamValidator().validate(given, shape) if shape is not None else None
        if report is not None and report.has_errors():
            raise ParamValidationError(report=report.generate_report())
        owner = name.removesuffix("_end")
        if name != owner and name not in self.run.answers:
            # The end of what the task before has started: what Step Functions asks for itself.
            return make_typed(self.run.answers[owner][0]["end"], model.output_shape)
        answer = self.run.take(name)
        error = answer.get("error") if "end" not in answer else None
        self.run.note(name, f"{service} {method}", _make_json(given), is_failure=answer.get("error") is not None)
        if error is not None and (service, method) != ("lambda", "invoke"):
            raise ClientError({"Error": {"Code": error, "Message": answer.get("cause", "")}}, operation)
        if (service, method) == ("lambda", "invoke"):
            failed = {"errorType": error, "errorMessage": answer.get("cause", "")}
            body = json.dumps(failed if error is not None else answer["answer"]).encode()
            mark = {"FunctionError": "Unhandled"} if error is not None else {}
            return {"Payload": io.BytesIO(body), "StatusCode": 200, **mark}
        return make_typed(answer["answer"], model.output_shape)

    def describe(self, operation: str, given: dict[str, Any]) -> Any | None:
        """The description of what a step has made; None if it is a call of another kind."""
        if not operation.startswith("Describe"):
            return None
        names = [value for value in given.values() if isinstance(value, str)]
        return next((self.run.described[name] for name in names if name in self.run.described), None)


def make_typed(value: Any, shape: Any) -> Any:
    """A copy of an answer with times as boto3 gives them."""
    if isinstance(value, dict):
        members = getattr(shape, "members", {})
        return {key: make_typed(item, members.get(key) or getattr(shape, "value", None)) for key, item in value.items()}
    if isinstance(value, list):
        return [make_typed(item, getattr(shape, "member", None)) for item in value]
    is_time = getattr(shape, "type_name", "") == "timestamp" and isinstance(value, str)
    return datetime.fromisoformat(value.replace("Z", "+00:00")) if is_time else value


def _make_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _make_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_make_json(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


def patch_calls(stage: ScriptedStage) -> None:
    """Put the stage in place of what reaches services in this process."""
    from airflow_sm_pipelines import migrated_tasks

    migrated_tasks._make_client = stage.make_client

    def wait(operator: migrated_tasks.WaitOperator, context: Any) -> None:
        given = operator.until if operator.seconds is None else operator.seconds
        stage.run.note(operator.task_id, "wait", given)

    migrated_tasks.WaitOperator.execute = wait  # type: ignore[assignment, method-assign]
    answer_sagemaker_calls(stage.describe)


def answer_sagemaker_calls(answer: Callable[[str, dict[str, Any]], Any | None]) -> None:
    """Put a function before what boto3 sends to SageMaker in this process.

    :param answer: gets an operation and its request; where it gives None, the call is sent.
    """
    from botocore.client import BaseClient

    ask = BaseClient._make_api_call

    def call(client: Any, operation: str, given: dict[str, Any]) -> Any:
        is_sagemaker = client.meta.service_model.service_name == "sagemaker"
        found = answer(operation, given) if is_sagemaker else None
        if found is None:
            return ask(client, operation, given)
        return make_typed(found, client.meta.service_model.operation_model(operation).output_shape)

    BaseClient._make_api_call = call


def load_dag(file: Path) -> Any:
    """The one DAG of a file."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(file), bundle_path=file.parent, bundle_name="dags-folder")
    if bag.import_errors:
        raise ValueError(next(iter(bag.import_errors.values())))
    if len(bag.dags) != 1:
        raise ValueError(f"{file.name} holds {len(bag.dags)} DAGs instead of one.")
    return next(iter(bag.dags.values()))


def make_quick(dag: Any) -> None:
    """Take the waiting out of a DAG: between attempts, between looks, and for the triggerer."""
    for task in dag.tasks:
        changed = {"retries": 0, "poke_interval": 0.0, "mode": "poke", "waiter_delay": 0.1}
        for name, value in changed.items():
            if name in getattr(task, "partial_kwargs", ()):
                task.partial_kwargs[name] = value
            elif not hasattr(task, "partial_kwargs") and hasattr(task, name):
                setattr(task, name, value)


def _run(dag: Any, stage: ScriptedStage, script: dict[str, Any]) -> dict[str, Any]:
    stage.run = run = Run(answers=script["answers"])
    ended = dag.test(run_conf=script["input"])
    states = {f"{one.task_id} {one.map_index}": str(one.state) for one in ended.get_task_instances()}
    return {"events": run.events, "end": str(ended.state), "states": states}


def main() -> None:
    """Read the request, run each DAG for each of its scripts, and write what the runs did."""
    from airflow_sm_pipelines.server import serve

    request, answer = (Path(argument) for argument in sys.argv[1:])
    stage = ScriptedStage()
    found = []
    with serve(request.parent / "state", region="us-east-1", adapt_services=stage.adapt) as server:
        os.environ.update(server.environment())
        patch_calls(stage)
        for one in json.loads(request.read_text(encoding="utf-8")):
            found.append(_run_all(Path(one["file"]), one["scripts"], stage))
    answer.write_text(json.dumps(found, default=str), encoding="utf-8")


def _run_all(file: Path, scripts: list[dict[str, Any]], stage: ScriptedStage) -> dict[str, Any]:
    from airflow import settings

    os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = settings.DAGS_FOLDER = str(file.parent)
    try:
        dag = load_dag(file)
        make_quick(dag)
        files = {path.name: path.read_text(encoding="utf-8") for path in (file, *file.parent.glob("*.definition.json"))}
        before = {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks}
        return {"runs": [_run(dag, stage, script) for script in scripts], "before": before, "files": files}
    except Exception as error:  # noqa: BLE001 - a DAG file may fail in any way, and the other side says so
        return {"problem": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main()
