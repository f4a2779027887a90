"""SageMaker's requests and answers by botocore's model: what passes, what is refused, and in which words."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import botocore.session
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sm_pipelines.server.sagemaker_codec import InvalidAnswerError, RequestRefusedError, SageMakerCodec
from airflow_sm_pipelines.service_model.patterns import compile_pattern

CODEC = SageMakerCodec()
MODEL = botocore.session.Session().get_service_model("sagemaker")
ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
CREATE: dict[str, Any] = {
    "PipelineName": "train",
    "RoleArn": ROLE,
    "ClientRequestToken": "t" * 32,
    "PipelineDefinition": "{}",
}


def refusal(operation: str, document: Any) -> RequestRefusedError:
    with pytest.raises(RequestRefusedError) as caught:
        CODEC.decode(operation, document if isinstance(document, bytes) else json.dumps(document).encode())
    return caught.value


def test_a_good_request_comes_out_as_it_went_in() -> None:
    assert CODEC.decode("CreatePipeline", json.dumps(CREATE).encode()) == CREATE


def test_an_empty_body_is_an_empty_request() -> None:
    assert CODEC.decode("ListPipelines", b"") == {}


def test_a_null_member_is_absent() -> None:
    assert CODEC.decode("ListPipelines", b'{"PipelineNamePrefix": null}') == {}


def test_a_timestamp_becomes_an_aware_datetime() -> None:
    request = CODEC.decode("ListPipelines", b'{"CreatedAfter": 1735689600.5}')
    assert request["CreatedAfter"] == datetime(2025, 1, 1, 0, 0, 0, 500000, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"PipelineName": "bad name"},
            (
                "1 validation error detected: Value 'bad name' at 'pipelineName' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,255}"
            ),
        ),
        (
            {"PipelineName": None},
            (
                "1 validation error detected: Value null at 'pipelineName' failed to satisfy constraint: "
                "Member must not be null"
            ),
        ),
        (
            {"ClientRequestToken": "short"},
            (
                "1 validation error detected: Value 'short' at 'clientRequestToken' failed to satisfy constraint: "
                "Member must have length greater than or equal to 32"
            ),
        ),
        (
            {"ParallelismConfiguration": {"MaxParallelExecutionSteps": 0}},
            (
                "1 validation error detected: Value '0' at 'parallelismConfiguration.maxParallelExecutionSteps' "
                "failed to satisfy constraint: Member must have value greater than or equal to 1"
            ),
        ),
        (
            {"Tags": [{"Key": "a", "Value": "b"}, {"Key": "", "Value": "b"}]},
            (
                "1 validation error detected: Value '' at 'tags.2.member.key' failed to satisfy constraint: "
                "Member must have length greater than or equal to 1"
            ),
        ),
    ],
    ids=["pattern", "missing", "length", "value", "nested"],
)
def test_a_broken_constraint_is_told_in_the_services_words(change: dict[str, Any], message: str) -> None:
    error = refusal("CreatePipeline", {**CREATE, **change})
    assert (error.code, error.message) == ("ValidationException", message)


def test_an_unknown_enum_value_is_told_with_the_known_ones() -> None:
    error = refusal("ListPipelines", {"SortOrder": "Upwards"})
    assert error.message.endswith("Member must satisfy enum value set: [Ascending, Descending]")


def test_all_broken_constraints_are_told_at_once() -> None:
    error = refusal("CreatePipeline", {"PipelineName": "bad name"})
    assert error.message.startswith("3 validation errors detected: ")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        ([], "can not be converted to Structure"),
        ({"MaxResults": "10"}, "'10' (str) at 'maxResults' can not be converted to Integer"),
        ({"MaxResults": True}, "can not be converted to Integer"),
        ({"MaxResults": 2**40}, "not in the range of Integer"),
        ({"PipelineNamePrefix": 1}, "can not be converted to String"),
        ({"CreatedAfter": "2025-01-01"}, "can not be converted to Timestamp"),
        ({"CreatedAfter": 1e300}, "can not be converted to Timestamp"),
        ({"PipelineNamePrefix": "\ud800"}, "surrogate"),
        ({"PipelineName": "x"}, "Unexpected member 'PipelineName'"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_value_of_the_wrong_type_is_a_serialization_exception(document: Any, message: str) -> None:
    error = refusal("ListPipelines", document)
    assert error.code == "SerializationException"
    assert message in error.message


def test_a_long_value_is_not_repeated_in_full() -> None:
    error = refusal("CreatePipeline", {**CREATE, "PipelineName": "x" * 1_000_000})
    assert len(error.message) < 2_000


def test_an_answer_is_encoded_with_epoch_seconds_and_without_absent_members() -> None:
    moment = datetime(2025, 1, 1, 0, 0, 0, 123456, tzinfo=timezone.utc)
    text = CODEC.encode("DescribePipeline", {"PipelineName": "a", "CreationTime": moment, "PipelineDescription": None})
    assert json.loads(text) == {"PipelineName": "a", "CreationTime": 1735689600.123}


@pytest.mark.parametrize(
    "answer",
    [
        {"PipelineStatus": "Alive"},
        {"Unknown": 1},
        {"CreationTime": datetime(2025, 1, 1)},  # noqa: DTZ001 - the fault under test
        {"CreationTime": 1.0},
        {"PipelineArn": 1},
    ],
    ids=repr,
)
def test_an_answer_that_does_not_fit_the_model_is_our_own_fault(answer: dict[str, Any]) -> None:
    with pytest.raises(InvalidAnswerError, match="DescribePipeline"):
        CODEC.encode("DescribePipeline", answer)


def test_an_operation_without_an_answer_takes_none() -> None:
    assert CODEC.encode("DeleteModel", {}) == "{}"
    with pytest.raises(InvalidAnswerError):
        CODEC.encode("DeleteModel", {"a": 1})


def test_a_steps_arguments_can_be_judged_without_a_request() -> None:
    assert CODEC.find_violations("CreateModel", {"ModelName": "m"}) is None
    assert "modelName" in str(CODEC.find_violations("CreateModel", {}))
    assert "Structure" in str(CODEC.find_violations("CreateModel", {"ModelName": "m", "PrimaryContainer": 1}))


def test_members_that_do_not_go_together_are_refused_but_where_a_steps_call_may_differ() -> None:
    tagged = {"ModelPackageGroupName": "group", "Tags": [{"Key": "a", "Value": "b"}]}
    assert refusal("CreateModelPackage", tagged).message.startswith("A versioned model package uses the tags of its")
    assert CODEC.find_violations("CreateModelPackage", tagged) is None


def test_nearly_every_pattern_of_the_model_is_checked() -> None:
    patterns = {MODEL.shape_for(name).metadata.get("pattern") for name in MODEL.shape_names} - {None}
    unreadable = {pattern for pattern in patterns if compile_pattern(pattern) is None}
    assert len(patterns) > 200
    assert len(unreadable) <= 4, unreadable


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
PIPELINE_OPERATIONS = sorted(name for name in CODEC.operation_names if "Pipeline" in name)


@given(operation=st.sampled_from(PIPELINE_OPERATIONS), data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_json_is_read_or_refused_with_a_typed_error(operation: str, data: st.DataObject) -> None:
    names = st.sampled_from(sorted(MODEL.operation_model(operation).input_shape.members))
    document = data.draw(st.dictionaries(names, json_values, max_size=4) | json_values)
    refused: RequestRefusedError | None = None
    try:
        CODEC.decode(operation, json.dumps(document).encode())
    except RequestRefusedError as error:
        refused = error
    assert refused is None or (refused.code in {"SerializationException", "ValidationException"} and refused.message)
