"""The tasks of migrated DAGs, beside stand-ins for what Airflow and AWS give them."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from airflow_sm_pipelines import migrated_tasks
from airflow_sm_pipelines.airflow_names import AirflowFailException, AirflowSkipException, TaskDeferred
from airflow_sm_pipelines.migrated_tasks import (
    NumberItemsOperator,
    UploadComponentsOperator,
    WaitOperator,
    bind_definition,
    choose_by_outcome,
    find_member,
    fit_arguments,
    holds,
    make_call,
)

if TYPE_CHECKING:
    from pathlib import Path


class Ti(SimpleNamespace):
    """A task instance that knows how other tasks ended."""

    def __init__(self, **states: str) -> None:
        super().__init__(dag_id="flow", run_id="run", states=states, pushed={})

    def get_task_states(self, *, dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, Any]:
        assert (dag_id, run_ids) == ("flow", ["run"])
        return {"run": {name: self.states[name] for name in task_ids if name in self.states}}

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.mark.parametrize(
    ("states", "chosen"),
    [
        ({"a": "success", "b": "success"}, ["next"]),
        ({"a": "success", "b": "skipped"}, ["next"]),
        ({"a": "failed", "b": "upstream_failed"}, ["handler"]),
        ({"a": "success", "b": "failed"}, ["handler"]),
        ({"a": "upstream_failed", "b": "upstream_failed"}, AirflowFailException),
        ({"a": "skipped", "b": "skipped"}, AirflowSkipException),
    ],
    ids=str,
)
def test_what_follows_work_depends_on_its_end(states: dict[str, str], chosen: Any) -> None:
    ti = Ti(**states)

    def choose() -> list[str]:
        return choose_by_outcome(ti, tasks=["a", "b"], succeeded=["next"], failed=["handler"])

    if isinstance(chosen, list):
        assert choose() == chosen
        assert ("error" in ti.pushed) is (chosen == ["handler"])
    else:
        with pytest.raises(chosen):
            choose()


@pytest.mark.parametrize(
    ("test", "value", "other", "expected"),
    [
        ("IsPresent", 0, None, True),
        ("IsPresent", None, None, False),
        ("IsNull", None, None, True),
        ("IsString", "a", None, True),
        ("IsNumeric", True, None, False),
        ("IsNumeric", 1.5, None, True),
        ("IsBoolean", False, None, True),
        ("IsTimestamp", "2026-01-01T00:00:00Z", None, True),
        ("IsTimestamp", "soon", None, False),
        ("Matches", "train-1.csv", "train-*.csv", True),
        ("Matches", "a[b]c", "a[b]*", True),
        ("Matches", 5, "*", False),
        ("Before", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+00:00", True),
        ("After", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", False),
    ],
    ids=str,
)
def test_a_test_of_step_functions_holds(test: str, value: Any, other: Any, expected: bool) -> None:
    given = [json.dumps(value), *([] if other is None else [json.dumps(other)])]
    assert holds(test, *given) is expected


def test_arguments_get_the_types_and_names_of_the_api() -> None:
    session = botocore.session.get_session()
    batch = session.get_service_model("batch").operation_model("SubmitJob").input_shape
    given = {"JobName": "j", "ArrayProperties": {"Size": "5"}, "Parameters": "{'a': 'b'}", "JobQueue": 7}
    assert fit_arguments(given, batch) == {
        "jobName": "j",
        "arrayProperties": {"size": 5},
        "parameters": {"a": "b"},
        "jobQueue": "7",
    }
    jobs = session.get_service_model("batch").operation_model("DescribeJobs").input_shape
    assert fit_arguments({"jobs": "id"}, jobs) == {"jobs": ["id"]}
    sqs = session.get_service_model("sqs").operation_model("SendMessage").input_shape
    assert fit_arguments({"MessageBody": {"a": 1}, "DelaySeconds": "3"}, sqs) == {
        "MessageBody": '{"a": 1}',
        "DelaySeconds": 3,
    }
    model = session.get_service_model("bedrock-runtime").operation_model("InvokeModel").input_shape
    assert fit_arguments({"ModelId": "m", "Body": {"a": 1}}, model) == {"modelId": "m", "body": '{"a": 1}'}
    assert find_member({"Jobs": [{"Status": "DONE"}]}, "Jobs.0.Status") == "DONE"


def test_structures_are_put_into_a_definition(tmp_path: Path) -> None:
    definition = {"Steps": [{"Arguments": {"Environment": "${env}", "Text": "${other} ${env}"}}]}
    (tmp_path / "flow.json").write_text(json.dumps(definition), encoding="utf-8")
    dag = SimpleNamespace(fileloc=str(tmp_path / "dag.py"))
    bound = bind_definition.function("flow.json", {"env": '{"A": "${env}"}'}, dag=dag)
    assert bound == {"Steps": [{"Arguments": {"Environment": {"A": "${env}"}, "Text": "${other} ${env}"}}]}


def test_a_wait_is_the_triggerers_unless_it_is_over() -> None:
    with pytest.raises(TaskDeferred):
        WaitOperator(task_id="wait", seconds="60").execute({})  # type: ignore[typeddict-item]
    WaitOperator(task_id="over", until="2020-01-01T00:00:00Z").execute({})  # type: ignore[typeddict-item]


def test_an_answer_is_json_with_the_names_of_step_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    session = botocore.session.get_session()
    client = SimpleNamespace(
        meta=SimpleNamespace(
            service_model=session.get_service_model("sagemaker-runtime"),
            method_to_api_mapping={"invoke_endpoint": "InvokeEndpoint"},
        ),
        invoke_endpoint=lambda **given: {"Body": io.BytesIO(given["Body"].encode()), "ResponseMetadata": {}},
    )
    monkeypatch.setattr(migrated_tasks, "_make_client", lambda _: client)
    assert make_call("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e", "Body": "b"}) == {"Body": "b"}


def test_the_items_of_a_loop_are_numbered() -> None:
    text = NumberItemsOperator(task_id="number", items='["a", {"n": 1}]').execute(context={})  # type: ignore[arg-type]
    assert json.loads(text) == [
        {"index": "0", "value": "a"},
        {"index": "1", "value": '{"n": 1}', "field_n": "1"},
    ]


def test_each_component_is_uploaded_with_what_runs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects: dict[str, bytes] = {}

    def put_object(**given: Any) -> None:
        objects[f"{given['Bucket']}/{given['Key']}"] = given["Body"]

    monkeypatch.setattr(migrated_tasks, "_make_client", lambda service: SimpleNamespace(put_object=put_object))
    (tmp_path / "p.components.json").write_text(json.dumps({"a-1": {"task": "a"}, "b-2": {"shell": "true"}}))
    dag = SimpleNamespace(fileloc=str(tmp_path / "p.py"), dag_id="p")
    task = UploadComponentsOperator(task_id="up", components="p.components.json", pipeline_root="s3://b/root/")
    assert task.execute(context={"dag": dag}) == {"root": "s3://b/root"}  # type: ignore[arg-type, typeddict-item]
    assert json.loads(objects["b/root/components/a-1/component.json"]) == {"task": "a"}
    assert b"KFP" in objects["b/root/components/a-1/component_launcher.py"]
    assert objects["b/root/components/b-2/component.sh"] == b"true"
    assert len(objects) == 3
