"""The tasks of migrated DAGs, beside stand-ins for what Airflow and AWS give them."""

from __future__ import annotations

import io
import json
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from airflow_sm_pipelines import migrated_tasks
from airflow_sm_pipelines.airflow_names import AirflowFailException, AirflowSkipException, TaskDeferred
from airflow_sm_pipelines.migrated_queries import query_json
from airflow_sm_pipelines.migrated_tasks import (
    NumberItemsOperator,
    ReadItemsOperator,
    UploadComponentsOperator,
    WaitOperator,
    answer_text,
    bind_definition,
    choose_by_outcome,
    collect_items,
    find_member,
    fit_arguments,
    holds,
    list_items,
    make_call,
    only_if_chosen,
    wait_for,
)

if TYPE_CHECKING:
    from pathlib import Path


class Ti(SimpleNamespace):
    """A task instance that knows how other tasks ended."""

    def __init__(self, **states: str) -> None:
        super().__init__(dag_id="flow", run_id="run", map_index=-1, states=states, pushed={})

    def get_task_states(
        self, *, dag_id: str, map_index: int | None, task_ids: list[str], run_ids: list[str]
    ) -> dict[str, Any]:
        assert (dag_id, map_index, run_ids) == ("flow", None, ["run"])
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
    database = SimpleNamespace(
        type_name="structure", members={"DBInstanceIdentifier": SimpleNamespace(type_name="string")}
    )
    assert fit_arguments({"DbInstanceIdentifier": "d"}, database) == {"DBInstanceIdentifier": "d"}
    assert fit_arguments({"jobs": "id"}, jobs) == {"jobs": ["id"]}
    sqs = session.get_service_model("sqs").operation_model("SendMessage").input_shape
    assert fit_arguments({"MessageBody": {"a": 1}, "DelaySeconds": "3"}, sqs) == {
        "MessageBody": '{"a": 1}',
        "DelaySeconds": 3,
    }
    model = session.get_service_model("bedrock-runtime").operation_model("InvokeModel").input_shape
    assert fit_arguments({"ModelId": "m", "Body": {"a": 1}}, model) == {"modelId": "m", "body": '{"a": 1}'}
    assert find_member({"Jobs": [{"Status": "DONE"}]}, "Jobs.0.Status") == "DONE"


def end_of(monkeypatch: pytest.MonkeyPatch, **container: Any) -> Any:
    """What a sensor says of an ECS task that has stopped, with one container."""
    client = botocore.session.get_session().create_client(
        "ecs", "us-east-1", aws_access_key_id="none", aws_secret_access_key="none"
    )
    answer = {"tasks": [{"lastStatus": "STOPPED", "containers": [container, {"name": "not started"}]}]}
    monkeypatch.setattr(client, "_make_api_call", lambda *_: answer)
    monkeypatch.setattr(migrated_tasks, "_make_client", lambda _: client)
    return wait_for.function(
        {"Tasks": [{"TaskArn": "arn"}]},
        "ecs",
        "describe_tasks",
        {"cluster": "Cluster", "tasks": "Tasks.0.TaskArn"},
        {"TaskDefinition": "t"},
        "Tasks.0.LastStatus",
        ["STOPPED"],
        [],
        "Tasks.0.Containers.*.ExitCode",
    )


def test_a_task_of_containers_is_good_if_each_ended_with_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    assert end_of(monkeypatch, name="a", exitCode=0).is_done
    with pytest.raises(AirflowFailException, match="ExitCode is \\[3\\] instead of 0"):
        end_of(monkeypatch, name="a", exitCode=3)


def test_the_items_of_a_loop_are_a_list_or_its_text() -> None:
    assert [list_items.function(one) for one in ([1], "[1]", '"[1]"')] == [[1]] * 3


@pytest.mark.parametrize("items", [["a", "b"], []])
def test_a_loop_gives_what_its_items_came_to(items: list[str]) -> None:
    ti = SimpleNamespace(xcom_pull=lambda *, task_ids, map_indexes: [f"{task_ids} {one}" for one in map_indexes])
    assert collect_items.function(items, "r", ti) == [f"r {index}" for index, _ in enumerate(items)]


@pytest.mark.parametrize(
    ("path", "found"),
    [("$[?(@.n > 1)].name", ["b"]), ("$[*].n", [1, 2]), ("$[0:1].name", ["a"]), ("$..name", ["a", "b"])],
)
def test_a_path_finds_several_values(path: str, found: Any) -> None:
    assert query_json([{"name": "a", "n": 1}, {"name": "b", "n": 2}], path) == found


def test_a_member_of_an_answer_is_text_for_a_test() -> None:
    answer = {"Payload": {"a": [1]}}
    assert [answer_text(answer, "Payload", *path) for path in (("a", 0), ("b",), ("a", 2), ("a", "c"))] == [
        *("1", "null", "null", "null")
    ]


@pytest.mark.parametrize(
    ("body", "options", "items"),
    [
        (b'[{"a": 1}, {"a": 2}]', {"kind": "JSON"}, [{"a": 1}, {"a": 2}]),
        (b'{"a": 1}\n\n{"a": 2}\n', {"kind": "JSONL"}, [{"a": 1}, {"a": 2}]),
        (b"\xef\xbb\xbfa,b\n1,2\n", {"kind": "CSV"}, [{"a": "1", "b": "2"}]),
        (b"1,2\n3,4\n", {"kind": "CSV", "headers": ["a", "b"], "max_items": 1}, [{"a": "1", "b": "2"}]),
    ],
    ids=["JSON", "lines", "table", "table without names"],
)
def test_items_are_read_from_an_object(body: bytes, options: Any, items: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = SimpleNamespace(get_object=lambda **given: {"Body": io.BytesIO(body)} if given["Key"] == "k" else None)
    monkeypatch.setattr(migrated_tasks, "_make_client", lambda _: client)
    context: Any = {}
    assert ReadItemsOperator(task_id="read", bucket="b", key="k", **options).execute(context) == items


def test_objects_are_items(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
    pages = [
        {"Contents": [{"Key": "p/a", "LastModified": moment}]},
        {},
        {"Contents": [{"Key": "p/b", "LastModified": moment}]},
    ]
    client = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda *, Bucket, Prefix: pages))  # noqa: N803
    monkeypatch.setattr(migrated_tasks, "_make_client", lambda _: client)
    context: Any = {}
    read = ReadItemsOperator(task_id="read", kind="OBJECTS", bucket="b", prefix="p/").execute(context)
    assert read == [{"Key": key, "LastModified": moment.timestamp()} for key in ("p/a", "p/b")]


def test_a_loop_that_was_skipped_is_skipped() -> None:
    with pytest.raises(AirflowSkipException):
        collect_items.function(None)


@pytest.mark.parametrize(("chosen", "runs"), [(["work"], True), ("work", True), (["other"], False), (None, False)])
def test_a_task_in_a_mapped_group_runs_only_if_it_was_chosen(chosen: Any, runs: bool) -> None:
    ti = SimpleNamespace(task_id="work", map_index=2, xcom_pull=lambda *, task_ids, map_indexes: chosen)
    check = only_if_chosen("choice")
    context: Any = {"ti": ti}
    if runs:
        check(context)
    else:
        with pytest.raises(AirflowSkipException, match="choice has chosen another branch"):
            check(context)


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
