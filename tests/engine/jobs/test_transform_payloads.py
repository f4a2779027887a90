"""Records of a batch transform: split, filtered, batched, joined, assembled; all by value."""

from __future__ import annotations

import io
from typing import Any

import pytest

from airflow_sm_pipelines.engine.jobs.failures import JobFailure
from airflow_sm_pipelines.engine.jobs.transform_payloads import (
    Payload,
    TransformPlan,
    parse_record_path,
    plan_transform,
)


def plan(
    *,
    content_type: str = "text/csv",
    split: str = "Line",
    assemble: str = "Line",
    accept: str | None = None,
    **rest: Any,
) -> TransformPlan:
    output: dict[str, Any] = {"S3OutputPath": "s3://bucket/out", "AssembleWith": assemble}
    return plan_transform(
        {
            "TransformInput": {"ContentType": content_type, "SplitType": split},
            "TransformOutput": output | ({"Accept": accept} if accept else {}),
            **rest,
        }
    )


def payloads(plan: TransformPlan, body: bytes) -> list[bytes]:
    return [payload.body for payload in plan.iter_payloads(io.BytesIO(body), "a.csv")]


def test_lines_go_together_until_the_payload_is_full() -> None:
    line = b"x" * 600_000
    body = b"\n".join([line] * 3) + b"\n"
    assert [len(one) for one in payloads(plan(MaxPayloadInMB=1), body)] == [600_000] * 3
    assert [len(one) for one in payloads(plan(MaxPayloadInMB=2), body)] == [1_800_002]
    assert [len(one) for one in payloads(plan(MaxPayloadInMB=0), body)] == [1_800_002]


def test_single_record_sends_a_line_at_a_time_and_without_a_split_the_file_is_one_payload() -> None:
    assert payloads(plan(BatchStrategy="SingleRecord"), b"1,2\r\n\n3,4") == [b"1,2", b"3,4"]
    assert payloads(plan(split="None", BatchStrategy="SingleRecord"), b"1,2\n3,4\n") == [b"1,2\n3,4\n"]
    assert payloads(plan(split="None"), b"") == []


def test_a_record_over_the_limit_fails_with_what_to_change() -> None:
    with pytest.raises(JobFailure, match=r"'a.csv' has a payload of 1048577 bytes.*Set SplitType to Line"):
        payloads(plan(split="None", MaxPayloadInMB=1), b"x" * (1024 * 1024 + 1))


@pytest.mark.parametrize(
    ("path", "record", "selected"),
    [
        ("$", [1, 2], [1, 2]),
        ("$[1:]", ["a", "b", "c"], ["b", "c"]),
        ("$[:-1]", ["a", "b", "c"], ["a", "b"]),
        ("$[0,-1]", ["a", "b", "c"], ["a", "c"]),
        ("$[-1]", ["a", "b"], "b"),
        ("$.features", {"features": [1], "id": 2}, [1]),
        ("$['id','features']", {"features": [1], "id": 2, "x": 0}, {"id": 2, "features": [1]}),
        ("$.a.['b','c']", {"a": {"b": 1, "c": 2, "d": 3}}, {"b": 1, "c": 2}),
        ("$.a[0].b", {"a": [{"b": 7}]}, 7),
        ("$.*", {"a": 1, "b": 2}, [1, 2]),
    ],
)
def test_a_filter_selects(path: str, record: Any, selected: Any) -> None:
    assert parse_record_path(path).select(record) == selected


@pytest.mark.parametrize("path", ["features", "$[", "$..a", "$[?(@.x)]", "$['a'", "$[1:2:3]"])
def test_a_filter_outside_the_subset_is_refused(path: str) -> None:
    with pytest.raises(JobFailure, match="filter"):
        parse_record_path(path)


def test_a_filter_that_finds_nothing_says_so_with_the_record() -> None:
    with pytest.raises(JobFailure, match=r"\$\.features.*finds nothing.*'id': 1"):
        parse_record_path("$.features").select({"id": 1})


def test_columns_are_left_out_joined_and_chosen_as_in_the_developer_guide() -> None:
    """Its example: leave the ID out of what the model sees, and give the ID with the prediction."""
    given = plan(DataProcessing={"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"})
    (payload,) = given.iter_payloads(io.BytesIO(b'7,1,"a,b"\n8,2,c\n'), "a.csv")
    assert payload.body == b'1,"a,b"\n2,c'
    assert given.assemble(payload, b"0.5\n0.25\n") == b"7,0.5\n8,0.25\n"


def test_json_lines_get_the_result_as_an_attribute() -> None:
    given = plan(content_type="application/jsonlines", DataProcessing={"InputFilter": "$.x", "JoinSource": "Input"})
    (payload,) = given.iter_payloads(io.BytesIO(b'{"id":1,"x":[1,2]}\n'), "a")
    assert payload.body == b"[1,2]"
    assert given.assemble(payload, b'{"score":0.5}') == b'{"id":1,"x":[1,2],"SageMakerOutput":{"score":0.5}}\n'
    whole = plan(content_type="application/json", split="None", DataProcessing={"JoinSource": "Input"})
    assert whole.assemble(Payload((b"[1]",), b"[1]"), b"3") == b'{"SageMakerInput":[1],"SageMakerOutput":3}\n'


def test_joining_needs_one_result_for_each_record() -> None:
    given = plan(DataProcessing={"JoinSource": "Input"})
    with pytest.raises(JobFailure, match="1 results for 2 records"):
        given.assemble(Payload((b"1", b"2"), b"1\n2"), b"0.5,0.6")


def test_answers_end_in_one_line_end_when_assembled_by_line_and_as_they_are_otherwise() -> None:
    payload = Payload((b"1",), b"1")
    assert plan().assemble(payload, b"0.5") == b"0.5\n"
    assert plan().assemble(payload, b"0.5\n") == b"0.5\n"
    assert plan(assemble="None").assemble(payload, b"0.5") == b"0.5"


@pytest.mark.parametrize(
    ("request_parts", "message"),
    [
        ({"split": "RecordIO"}, "SplitType RecordIO"),
        ({"content_type": "image/png", "DataProcessing": {"InputFilter": "$[0]"}}, "content type is 'image/png'"),
        ({"accept": "application/json", "DataProcessing": {"JoinSource": "Input"}}, "must be of the same kind"),
    ],
)
def test_what_does_not_go_together_is_refused_before_the_model_runs(request_parts: Any, message: str) -> None:
    with pytest.raises(JobFailure, match=message):
        plan(**request_parts)
