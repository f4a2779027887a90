"""Each method makes one call of the API with these arguments, and gives what its answer says."""

from __future__ import annotations

import io
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.client import calls as calls_module
from airflow_sm_pipelines.client.calls import DeployedPipeline, PipelineSummary, PipelineVersion, SageMakerCalls
from airflow_sm_pipelines.client.reports import parse_execution, parse_execution_summary, parse_step
from airflow_sm_pipelines.exceptions import PipelineApiError, PipelineRequestError, PipelineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

PIPELINE = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p"
ARN = f"{PIPELINE}/execution/e1"
WHEN, LATER = datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 2, tzinfo=timezone.utc)
EXECUTION = {"PipelineExecutionArn": ARN, "PipelineExecutionStatus": "Executing", "PipelineArn": PIPELINE}
STEP = {"StepName": "A", "StepStatus": "Executing"}
NEWEST_FIRST = {"SortBy": "CreationTime", "SortOrder": "Descending"}


class Calls(SageMakerCalls):
    """Calls whose answers the test gives, and which are noted: operation, target and request."""

    answer_pauses = ()

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.made: list[tuple[str, str, dict[str, Any]]] = []
        self.options: list[dict[str, Any]] = []

    def _note(self, operation: str, target: str, options: dict[str, Any]) -> Any:
        request = {name: value for name, value in options.items() if name[0].isupper()}
        self.options.append({name: value for name, value in options.items() if not name[0].isupper()})
        self.made.append((operation, target, request))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask(self, operation: str, target: str, **options: Any) -> Any:  # type: ignore[override]
        return self._note(operation, target, options)

    def _pages(self, operation: str, member: str, target: str, **options: Any) -> Any:
        return iter(self._note(operation, target, {**options, "member": member}))


VERSION = {
    "PipelineVersionId": "2",
    "PipelineVersionAliases": ["prod"],
    "PipelineVersionDisplayName": "two",
    "PipelineVersionDescription": "the second",
    "CreationTime": WHEN,
    "LastExecutionPipelineExecutionArn": ARN,
}
DEPLOYED = {
    "PipelineName": "p",
    "PipelineArn": PIPELINE,
    "PipelineDefinition": "{}",
    "RoleArn": "arn:r",
    "PipelineDescription": "what for",
    "PipelineDisplayName": "P",
    "ParallelismConfiguration": {"MaxParallelExecutionSteps": 2},
}
FOUND = DeployedPipeline("p", PIPELINE, "{}", "arn:r", "what for", "P", {"MaxParallelExecutionSteps": 2})
BARE = DeployedPipeline("p", PIPELINE, "{}", None, None, None, None)

CASES: dict[str, tuple[Callable[[Calls], Any], Any, tuple[str, str, dict[str, Any]], Any]] = {
    "a pipeline": (
        lambda calls: calls.describe_pipeline("p"),
        DEPLOYED,
        ("describe_pipeline", "p", {"PipelineName": "p"}),
        FOUND,
    ),
    "a version of it": (
        lambda calls: calls.describe_pipeline("p", version="2"),
        {"PipelineArn": PIPELINE, "PipelineDefinition": "{}"},
        ("describe_pipeline", "p version 2", {"PipelineName": "p", "PipelineVersionId": 2}),
        BARE,
    ),
    "its alias": (
        lambda calls: calls.describe_pipeline("p", version="prod"),
        DEPLOYED,
        ("describe_pipeline", "p version prod", {"PipelineName": "p", "PipelineVersionAlias": "prod"}),
        FOUND,
    ),
    "its versions": (
        lambda calls: calls.list_versions("p"),
        [{"PipelineVersionId": 1}, VERSION],
        ("list_pipeline_versions", "p", {"PipelineName": "p"}),
        [PipelineVersion(2, ("prod",), "two", "the second", WHEN, ARN), PipelineVersion(1, ())],
    ),
    "a new one": (
        lambda calls: calls.create_pipeline("p", RoleArn="arn:r"),
        {"PipelineArn": PIPELINE},
        ("create_pipeline", "p", {"PipelineName": "p", "RoleArn": "arn:r"}),
        PIPELINE,
    ),
    "an update": (
        lambda calls: calls.update_pipeline("p", PipelineDefinition="{}"),
        {"PipelineArn": PIPELINE, "PipelineVersionId": "4"},
        ("update_pipeline", "p", {"PipelineName": "p", "PipelineDefinition": "{}"}),
        (PIPELINE, 4),
    ),
    "an update without a version": (
        lambda calls: calls.update_pipeline("p"),
        {"PipelineArn": PIPELINE},
        ("update_pipeline", "p", {"PipelineName": "p"}),
        (PIPELINE, None),
    ),
    "aliases": (
        lambda calls: calls.update_version_aliases(PIPELINE, 3, add=("a",), remove=("b",)),
        {"PipelineArn": PIPELINE, "PipelineVersionId": 3},
        (
            "update_pipeline_version",
            f"{PIPELINE} version 3",
            {
                "PipelineArn": PIPELINE,
                "PipelineVersionId": 3,
                "PipelineVersionAliasOperations": {"Add": ["a"], "Remove": ["b"]},
            },
        ),
        None,
    ),
    "an alias less": (
        lambda calls: calls.update_version_aliases(PIPELINE, 3, remove=("b",)),
        {"PipelineArn": PIPELINE, "PipelineVersionId": 3},
        (
            "update_pipeline_version",
            f"{PIPELINE} version 3",
            {
                "PipelineArn": PIPELINE,
                "PipelineVersionId": 3,
                "PipelineVersionAliasOperations": {"Remove": ["b"]},
            },
        ),
        None,
    ),
    "labels": (
        lambda calls: calls.update_version_labels(PIPELINE, 3, display_name="n", description=None),
        {"PipelineArn": PIPELINE, "PipelineVersionId": 3},
        (
            "update_pipeline_version",
            f"{PIPELINE} version 3",
            {"PipelineArn": PIPELINE, "PipelineVersionId": 3, "PipelineVersionDisplayName": "n"},
        ),
        None,
    ),
    "all pipelines": (
        lambda calls: calls.list_pipelines(),
        [{"PipelineName": "p", "PipelineArn": PIPELINE, "CreationTime": WHEN, "LastExecutionTime": LATER}],
        ("list_pipelines", "*", NEWEST_FIRST),
        [PipelineSummary("p", PIPELINE, WHEN, LATER)],
    ),
    "pipelines of a prefix": (
        lambda calls: calls.list_pipelines(prefix="p"),
        [{"PipelineName": "p", "PipelineArn": PIPELINE}],
        ("list_pipelines", "p", {**NEWEST_FIRST, "PipelineNamePrefix": "p"}),
        [PipelineSummary("p", PIPELINE, None, None)],
    ),
    "executions": (
        lambda calls: list(calls.list_executions("p")),
        [EXECUTION],
        ("list_pipeline_executions", "p", {"PipelineName": "p", **NEWEST_FIRST}),
        [parse_execution_summary(EXECUTION)],
    ),
    "a page of them": (
        lambda calls: calls.list_executions_page(PipelineName="p"),
        {"PipelineExecutionSummaries": [EXECUTION], "NextToken": "next"},
        ("list_pipeline_executions", "p", {"PipelineName": "p", **NEWEST_FIRST, "MaxResults": 100}),
        ([EXECUTION], "next"),
    ),
    "the page after it": (
        lambda calls: calls.list_executions_page(token="next", PipelineName="p"),
        {"PipelineExecutionSummaries": []},
        (
            "list_pipeline_executions",
            "p",
            {"PipelineName": "p", **NEWEST_FIRST, "MaxResults": 100, "NextToken": "next"},
        ),
        ([], None),
    ),
    "a deletion": (
        lambda calls: calls.delete_pipeline("p", token="t"),
        {"PipelineArn": PIPELINE},
        ("delete_pipeline", "p", {"PipelineName": "p", "ClientRequestToken": "t"}),
        None,
    ),
    "tags": (
        lambda calls: calls.list_tags(PIPELINE),
        [{"Key": "a", "Value": "b"}, {"Key": "c"}],
        ("list_tags", PIPELINE, {"ResourceArn": PIPELINE}),
        {"a": "b", "c": ""},
    ),
    "more tags": (
        lambda calls: calls.add_tags(PIPELINE, {"a": 1}),  # type: ignore[dict-item]
        {"Tags": []},
        ("add_tags", PIPELINE, {"ResourceArn": PIPELINE, "Tags": [{"Key": "a", "Value": "1"}]}),
        None,
    ),
    "an execution": (
        lambda calls: calls.describe_execution(ARN),
        EXECUTION,
        ("describe_pipeline_execution", ARN, {"PipelineExecutionArn": ARN}),
        parse_execution(EXECUTION),
    ),
    "its times": (
        lambda calls: calls.describe_execution_times(ARN),
        {**EXECUTION, "CreationTime": WHEN, "LastModifiedTime": LATER},
        ("describe_pipeline_execution", ARN, {"PipelineExecutionArn": ARN}),
        (parse_execution(EXECUTION), WHEN, LATER),
    ),
    "its start": (
        lambda calls: calls.describe_execution_start(ARN),
        {**EXECUTION, "CreationTime": WHEN, "LastModifiedTime": LATER},
        ("describe_pipeline_execution", ARN, {"PipelineExecutionArn": ARN}),
        (parse_execution(EXECUTION), WHEN),
    ),
    "its steps": (
        lambda calls: calls.describe_execution_steps(ARN),
        [STEP],
        ("list_pipeline_execution_steps", ARN, {"PipelineExecutionArn": ARN, "SortOrder": "Ascending"}),
        (parse_step(STEP),),
    ),
    "its parameters": (
        lambda calls: calls.list_execution_parameters(ARN),
        [{"Name": "a", "Value": "1"}],
        ("list_pipeline_parameters_for_execution", ARN, {"PipelineExecutionArn": ARN}),
        {"a": "1"},
    ),
    "its definition": (
        lambda calls: calls.describe_execution_definition(ARN),
        {"PipelineDefinition": "{}"},
        ("describe_pipeline_definition_for_execution", ARN, {"PipelineExecutionArn": ARN}),
        "{}",
    ),
    "a start": (
        lambda calls: calls.start_execution({"PipelineName": "p", "RoleArn": "r"}, token="t"),
        {"PipelineExecutionArn": ARN},
        ("start_pipeline_execution", "p", {"PipelineName": "p", "RoleArn": "r", "ClientRequestToken": "t"}),
        ARN,
    ),
    "a resume": (
        lambda calls: calls.retry_execution(ARN, token="t"),
        {"PipelineExecutionArn": ARN},
        ("retry_pipeline_execution", ARN, {"PipelineExecutionArn": ARN, "ClientRequestToken": "t"}),
        None,
    ),
    "a resume of a few steps at once": (
        lambda calls: calls.retry_execution(ARN, token="t", parallelism={"MaxParallelExecutionSteps": 2}),
        {"PipelineExecutionArn": ARN},
        (
            "retry_pipeline_execution",
            ARN,
            {
                "PipelineExecutionArn": ARN,
                "ClientRequestToken": "t",
                "ParallelismConfiguration": {"MaxParallelExecutionSteps": 2},
            },
        ),
        None,
    ),
    "a stop": (
        lambda calls: calls.stop_execution(ARN, token="t"),
        {"PipelineExecutionArn": ARN},
        ("stop_pipeline_execution", ARN, {"PipelineExecutionArn": ARN, "ClientRequestToken": "t"}),
        True,
    ),
    "a job": (
        lambda calls: calls.describe_resource("describe_training_job", "TrainingJobName", "j"),
        {"TrainingJobName": "j", "ResponseMetadata": {}},
        ("describe_training_job", "j", {"TrainingJobName": "j"}),
        {"TrainingJobName": "j"},
    ),
    "tuned jobs": (
        lambda calls: calls.list_tuned_jobs("h"),
        [{"TrainingJobName": "h-1"}],
        (
            "list_training_jobs_for_hyper_parameter_tuning_job",
            "h",
            {"HyperParameterTuningJobName": "h", **NEWEST_FIRST},
        ),
        ["h-1"],
    ),
    "tuned jobs that failed": (
        lambda calls: calls.list_tuned_jobs("h", status="Failed"),
        [],
        (
            "list_training_jobs_for_hyper_parameter_tuning_job",
            "h",
            {"HyperParameterTuningJobName": "h", **NEWEST_FIRST, "StatusEquals": "Failed"},
        ),
        [],
    ),
    "a text in S3": (
        lambda calls: calls.read_s3_text("s3://b/k/l"),
        {"Body": io.BytesIO("ü".encode())},
        ("get_object", "s3://b/k/l", {"Bucket": "b", "Key": "k/l"}),
        "ü",
    ),
    "a text to S3": (
        lambda calls: calls.write_s3_text("s3://b/k", "ü"),
        {"ETag": "e"},
        ("put_object", "s3://b/k", {"Bucket": "b", "Key": "k", "Body": "ü".encode()}),
        None,
    ),
}
ONCE = {
    "a new one",
    "an update",
    "an update without a version",
    "aliases",
    "an alias less",
    "labels",
    "a deletion",
    "a stop",
}
"""The calls that are not made again by themselves after an unreadable answer: they would not mean the same."""


@pytest.mark.parametrize("case", CASES)
def test_a_method_makes_one_call_and_gives_what_its_answer_says(case: str) -> None:
    method, answer, made, expected = CASES[case]
    calls = Calls(answer)
    assert method(calls) == expected
    assert calls.made == [made]
    (options,) = calls.options
    assert options.get("is_repeatable", True) is (case not in ONCE)
    assert options.get("service", "sagemaker") == ("s3" if "S3" in case else "sagemaker")


def test_an_update_that_is_answered_for_another_version_is_none() -> None:
    with pytest.raises(PipelineUnavailableError, match="version 3' was answered for version 4"):
        Calls({"PipelineArn": PIPELINE, "PipelineVersionId": 4}).update_version_aliases(PIPELINE, 3, add=("a",))


@pytest.mark.parametrize(
    ("error", "status", "is_raised"),
    [
        (PipelineRequestError("ended", code="ValidationException"), "Succeeded", False),
        (PipelineRequestError("wrong", code="ValidationException"), "Executing", True),
        (PipelineUnavailableError("odd", code=calls_module.UNREADABLE_ANSWER), "Stopping", False),
        (PipelineUnavailableError("odd", code=calls_module.UNREADABLE_ANSWER), "Executing", True),
        (PipelineUnavailableError("busy", code="ThrottlingException"), "Stopping", True),
    ],
)
def test_whether_a_refused_stop_was_one_is_told_by_the_execution(
    error: PipelineApiError, status: str, is_raised: bool
) -> None:
    calls = Calls(error, {**EXECUTION, "PipelineExecutionStatus": status})
    if is_raised:
        with pytest.raises(type(error), match=str(error)):
            calls.stop_execution(ARN, token="t")
    else:
        assert calls.stop_execution(ARN, token="t") is isinstance(error, PipelineUnavailableError)


def test_what_is_no_text_is_named() -> None:
    with pytest.raises(PipelineApiError, match="'s3://b/k' is no text") as caught:
        Calls({"Body": io.BytesIO(b"\xff")}).read_s3_text("s3://b/k")
    assert caught.value.code == "NotText"


def test_a_call_is_made_with_the_client_of_its_service_and_asked_again_only_where_it_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(calls_module, "ask", lambda *given, **named: asked.append((*given, named)))
    one = SageMakerCalls()
    one.conn, one.answer_pauses = "sagemaker client", (1.0,)
    monkeypatch.setattr(one, "client_of", lambda service: f"{service} client")
    one.ask("describe_x", "x", X=1)
    one.ask("create_x", "x", is_repeatable=False)
    one.ask("get_object", "y", service="s3")
    assert asked == [
        ("sagemaker client", "describe_x", "x", {"pauses": (1.0,), "X": 1}),
        ("sagemaker client", "create_x", "x", {"pauses": ()}),
        ("s3 client", "get_object", "y", {"pauses": (1.0,)}),
    ]


def test_a_log_is_read_with_the_client_of_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_sm_pipelines.client import job_logs

    monkeypatch.setattr(job_logs, "read_stream_tail", lambda *given, max_lines: [*given, max_lines])
    one = SageMakerCalls()
    monkeypatch.setattr(one, "client_of", lambda service: service)
    assert one.read_log_tail("group", "prefix", max_lines=3) == ["logs", "group", "prefix", 3]
