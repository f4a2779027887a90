"""Runs a DAG file with SageMaker operators and the migrated one, both in Airflow. Started as a module, with two files.

No job runs. A Create call of the amazon provider's operators is noted, and what it would make is described as ended;
the steps of the migrated DAG get the same descriptions. All other tasks do their work, their calls reach the local
endpoint. The process belongs to one comparison, so it may change what it has imported.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow_sm_pipelines.comparison.api_shapes import find_operation, make_sample
from airflow_sm_pipelines.comparison.dag_worker import (
    Run,
    ScriptedStage,
    answer_sagemaker_calls,
    load_dag,
    make_quick,
    patch_calls,
)
from airflow_sm_pipelines.comparison.scripts import find_arn_kind, make_slug
from airflow_sm_pipelines.migrate.job_requests import REQUEST_KINDS, RequestKind

_BY_CREATE = {f"Create{kind.noun}": kind for kind in REQUEST_KINDS}
_BY_DESCRIBE = {f"Describe{kind.noun}": kind for kind in REQUEST_KINDS}
_QUICK = {"check_interval": 0.01, "print_log": False, "deferrable": False, "poke_interval": 0.01, "mode": "poke"}
_DEPTH = 3
"""What others read of a description is not deeper."""

_ERROR = "It is made to fail, to compare what follows."


def describe(kind: RequestKind, task: str, *, is_failure: bool = False) -> dict[str, Any]:
    """What the API would say of a thing that a task has made, but for its name."""
    shape = find_operation("sagemaker", f"describe_{kind.noun}").output_shape
    text = json.dumps(_make_whole(shape, kind.noun)).replace("s3://bucket/", f"s3://bucket/{task}/")
    described: dict[str, Any] = json.loads(text)
    for name, member in shape.members.items():
        values = getattr(member, "enum", ())
        good = next((one for one in ("Completed", "InService") if one in values), None)
        if name.endswith("Status") and good is not None:
            described[name] = "Failed" if is_failure else good
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:{find_arn_kind(kind.noun)}/{make_slug(task)}"
    return {**described, kind.arn_member: arn, "FailureReason": _ERROR if is_failure else ""}


def _make_whole(shape: Any, name: str, depth: int = 0) -> Any:
    """A sample with members that the API does not require, too."""
    if shape.type_name == "structure" and depth < _DEPTH:
        return {key: _make_whole(inner, key, depth + 1) for key, inner in shape.members.items()}
    return make_sample(shape, name, is_capital=False, depth=depth)


def _has_status(kind: RequestKind) -> bool:
    """Whether a thing takes its time to be made; others are there at once, perhaps since before the run."""
    shape = find_operation("sagemaker", f"describe_{kind.noun}").output_shape
    return any(name.endswith("Status") for name in shape.members)


class OperatorCalls:
    """Answers the calls of SageMaker's operators while the source runs.

    :ivar run: where they are noted; None while something else runs.
    :ivar described: what was made, by task and noun.
    """

    def __init__(self) -> None:
        self.run: Run | None = None
        self.failing = ""
        self._made: dict[str, dict[str, Any]] = {}
        self._named = ""
        self.described: dict[str, dict[str, Any]] = {}

    def begin(self, failing: str) -> Run:
        """Begin a run of the source."""
        self.run, self.failing, self._made, self.described = Run(), failing, {}, {}
        self._named = ""
        return self.run

    def answer(self, operation: str, given: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to a call; None if it is none of these.

        :raises ClientError: what is described was not made, or the task is made to fail.
        """
        from airflow.sdk import get_current_context
        from botocore.exceptions import ClientError

        if self.run is None:
            return None
        done = {"ResponseMetadata": {"HTTPStatusCode": 200}}
        # An Endpoint step creates an endpoint or updates it.
        kind = _BY_CREATE.get("CreateEndpoint" if operation == "UpdateEndpoint" else operation)
        if kind is not None:
            task = get_current_context()["ti"].task_id
            is_failure = task == self.failing
            self.run.note(f"{task} {kind.noun}", f"step {kind.step_type}", given, is_failure=is_failure)
            self._named += json.dumps(given, default=str)
            described = describe(kind, task, is_failure=is_failure)
            described |= {key: value for key, value in given.items() if key in described}
            if kind.noun == "TrainingJob":  # others may name its artifact by where it will be
                folder = str(given.get("OutputDataConfig", {}).get("S3OutputPath")).rstrip("/")
                artifact = f"{folder}/{described[kind.name_member]}/output/model.tar.gz"
                described["ModelArtifacts"] = {"S3ModelArtifacts": artifact}
            self._made[f"{kind.noun} {given.get(kind.name_member)}"] = described
            self.described[f"{task} {kind.noun}"] = described
            if is_failure and not _has_status(kind):
                raise ClientError({"Error": {"Code": "ValidationException", "Message": _ERROR}}, operation)
            return {kind.arn_member: described[kind.arn_member], **done}
        kind = _BY_DESCRIBE.get(operation)
        if kind is not None:
            made = self._made.get(f"{kind.noun} {given.get(kind.name_member)}")
            # What a request has named was there before the run; any other name is still free.
            is_named = json.dumps(given.get(kind.name_member)) in self._named
            if made is None and not _has_status(kind) and is_named:
                return {**describe(kind, "before"), kind.name_member: given.get(kind.name_member), **done}
            if made is None:
                raise ClientError(
                    {"Error": {"Code": "ValidationException", "Message": "Could not find it."}}, operation
                )
            return {**made, **done}
        if operation.startswith("List"):
            shape = find_operation("sagemaker", operation).output_shape
            return {**make_sample(shape, operation, is_capital=False), "NextToken": None, **done}
        return None

    def patch(self) -> None:
        """Put this before what boto3 sends."""
        from airflow.providers.amazon.aws.hooks.sagemaker import SageMakerHook

        def check_s3_url(self: SageMakerHook, s3url: str) -> bool:
            return True  # no job reads it

        SageMakerHook.check_s3_url = check_s3_url  # type: ignore[method-assign]
        answer_sagemaker_calls(self.answer)


def _make_answers(
    steps: dict[str, dict[str, str]], failing: str, described: dict[str, dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """For each step, what stands in for its work: what its operator was told, if it ran."""
    answers: dict[str, list[dict[str, Any]]] = {}
    for name, one in steps.items():
        kind = _BY_CREATE[f"Create{one['noun']}"]
        is_failure = one["task"] == failing
        known = described.get(f"{one['task']} {one['noun']}")
        outputs = known or describe(kind, one["task"], is_failure=is_failure)
        error = "Failed" if is_failure else None
        answers[name] = [
            {"error": error, "cause": _ERROR, "outputs": outputs, "names": [kind.name_member], "arn": kind.arn_member}
        ]
    return answers


_OWN = (
    "airflow_sm_pipelines",
    "airflow.providers.amazon.aws.operators.sagemaker",
    "airflow.providers.amazon.aws.sensors.sagemaker",
    "airflow.providers.standard.operators.empty",
)
"""The modules of tasks that do their work in any case."""


def _play(task: Any) -> None:
    """Have a task give a made-up text in place of doing its work; branches decide, and SageMaker's tasks are noted."""
    is_branch = any("Branch" in base.__name__ or "ShortCircuit" in base.__name__ for base in type(task).__mro__)
    if not type(task).__module__.startswith(_OWN) and not is_branch and hasattr(task, "execute"):
        task.execute = lambda context: f"made-up-{task.task_id}"


def _test(file: Path, given: dict[str, Any], moment: datetime, *, plays_others: bool) -> dict[str, Any]:
    from airflow import settings

    os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = settings.DAGS_FOLDER = str(file.parent)
    sys.path.insert(0, str(file.parent))
    dag = load_dag(file)
    make_quick(dag)
    for task in dag.tasks:
        for name, value in _QUICK.items():
            if hasattr(task, name) and "airflow_sm_pipelines" not in type(task).__module__:
                setattr(task, name, value)
        if plays_others:
            _play(task)
        connection = getattr(task, "aws_conn_id", None)
        if isinstance(connection, str):  # all calls stay on this machine, whatever account they were for
            os.environ.setdefault(f"AIRFLOW_CONN_{connection.upper()}", json.dumps({"conn_type": "aws"}))
    above = {task.task_id: sorted(task.get_flat_relative_ids(upstream=True)) for task in dag.tasks}
    ended = dag.test(run_conf=given, logical_date=moment)
    states = {f"{one.task_id} {one.map_index}": str(one.state) for one in ended.get_task_instances()}
    return {"end": str(ended.state), "states": states, "upstream": above}


def _run(script: dict[str, Any], file: Path, stage: ScriptedStage, calls: OperatorCalls) -> dict[str, Any]:
    moment = datetime.now(timezone.utc)  # a DAG may begin shortly before now
    noted = calls.begin(script["failing"])
    source = {
        **_test(Path(script["source"]), script["input"], moment, plays_others=script["plays_others"]),
        "events": noted.events,
    }
    calls.run = None
    stage.run = Run(answers=_make_answers(script["steps"], script["failing"], calls.described))
    migrated = {**_test(file, script["input"], moment, plays_others=script["plays_others"]), "events": stage.run.events}
    return {"source": source, "dag": migrated}


def main() -> None:
    """Read the request, run both DAGs for each script, and write what the runs did."""
    from airflow_sm_pipelines.server import serve

    request, answer = (Path(argument) for argument in sys.argv[1:])
    stage, calls = ScriptedStage(), OperatorCalls()
    found: list[dict[str, Any]] = []
    with serve(request.parent / "state", region="us-east-1", adapt_services=stage.adapt) as server:
        os.environ.update(server.environment())
        os.environ.setdefault("AIRFLOW_VAR_SAGEMAKER_ROLE_ARN", "arn:aws:iam::123456789012:role/pipelines")
        patch_calls(stage)
        calls.patch()
        for one in json.loads(request.read_text(encoding="utf-8")):
            try:
                found.append({"runs": [_run(script, Path(one["file"]), stage, calls) for script in one["scripts"]]})
            except Exception as error:  # noqa: BLE001 - a DAG file may fail in any way, and the other side says so
                found.append({"problem": f"{type(error).__name__}: {error}"})
    answer.write_text(json.dumps(found, default=str), encoding="utf-8")


if __name__ == "__main__":
    main()
