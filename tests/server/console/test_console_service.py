"""What the console's pages show, of an engine and logs that a test makes up."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.server.console import ConsoleService, console_service
from airflow_sm_pipelines.server.http.messages import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.server.http.messages import Response

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
JOB = "arn:aws:sagemaker:us-east-1:123456789012"
HOSTILE = "<b>\"&'</b>\x1b[2J\u202e"


class RefusedError(Exception):
    message = "There is no <such> pipeline."


class NoGroupError(Exception):
    pass


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def step(name: str, start: float | None = 0, end: float | None = 10, **rest: Any) -> dict[str, Any]:
    times = {"StartTime": start, "EndTime": end}
    made = {key: at(seconds) for key, seconds in times.items() if seconds is not None}
    return {"StepName": name, "StepStatus": "Succeeded", **made, **rest}


@dataclass
class World:
    """Answers the engine's operations and CloudWatch Logs from what a test puts in."""

    execution: dict[str, Any] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    streams: dict[str, int] = field(default_factory=dict)
    definition: str = "no definition"
    exceptions = SimpleNamespace(ResourceNotFoundException=NoGroupError)

    def call(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        name = request.get("PipelineName", HOSTILE)
        if name == "none":
            raise RefusedError
        answers: dict[str, Any] = {
            "ListPipelines": {"PipelineSummaries": [{"PipelineName": name}]},
            "DescribePipeline": {"PipelineName": name, "PipelineArn": f"{JOB}:pipeline/{name}"},
            "ListPipelineExecutions": {
                "PipelineExecutionSummaries": [
                    {
                        "PipelineExecutionArn": f"{JOB}:pipeline/p/execution/{HOSTILE}",
                        "PipelineExecutionStatus": HOSTILE,
                        "PipelineExecutionDisplayName": HOSTILE,
                    }
                ]
            },
            "ListPipelineVersions": {
                "PipelineVersionSummaries": [{"PipelineVersionId": 1, "PipelineVersionDescription": HOSTILE}]
            },
            "DescribePipelineExecution": {
                "PipelineExecutionArn": request.get("PipelineExecutionArn"),
                "PipelineExecutionStatus": "Failed",
                "PipelineExecutionDescription": HOSTILE,
                "FailureReason": HOSTILE,
                "LastModifiedTime": at(20),
                **self.execution,
            },
            "DescribePipelineDefinitionForExecution": {"PipelineDefinition": self.definition},
            "ListPipelineExecutionSteps": {"PipelineExecutionSteps": self.steps},
            "ListPipelineParametersForExecution": {"PipelineParameters": [{"Name": HOSTILE, "Value": HOSTILE}]},
        }
        return dict(answers[operation])

    def get_paginator(self, operation: str) -> Any:
        assert operation == "describe_log_streams"
        pages = [{"logStreams": [{"logStreamName": name}]} for name in self.streams]
        return SimpleNamespace(paginate=lambda **_: pages)

    def get_log_events(self, **request: Any) -> dict[str, Any]:
        count = min(request["limit"], self.streams[request["logStreamName"]])
        return {"events": [{"timestamp": 1000 * second, "message": HOSTILE} for second in range(count)]}

    def ask(self, path: str, method: str = "GET") -> Response:
        service = ConsoleService(self, refusals=RefusedError, logs=self)
        return service.call(Request({"REQUEST_METHOD": method, "PATH_INFO": f"/_console{path}"}, b""))

    def page(self, path: str) -> str:
        answer = self.ask(path)
        assert answer.status == 200
        return answer.body.decode()


EXECUTION = "/pipelines/p/executions/e"


@pytest.mark.parametrize("path", ["", "/pipelines/<b>", EXECUTION, f"{EXECUTION}<b>", "/logs/training-job/<b>"])
def test_every_value_is_escaped(path: str) -> None:
    metadata = {"Lambda": {"Arn": HOSTILE, "OutputParameters": [{"Name": HOSTILE, "Value": HOSTILE}]}}
    hostile = step(HOSTILE, Metadata=metadata, FailureReason=HOSTILE)
    page = World(steps=[{**hostile, "StepStatus": HOSTILE}], streams={"j/algo-1": 1}).page(path)
    assert "<b>" not in page
    assert not re.search("[\x1b\u202e]", page)
    assert "&lt;b&gt;" in page


def test_bars_show_when_steps_ran_and_stay_when_the_execution_has_ended() -> None:
    world = World(
        execution={"PipelineExecutionStatus": "Stopped"}, steps=[step("a"), step("b", 10, None), step("c", None, None)]
    )
    page = world.page(EXECUTION)
    assert [float(one) for one in re.findall(r'width="([0-9.]+)" height="18.0"', page)] == [280.0, 280.0]
    assert re.findall(r"<td>(\d+\.\d)</td>", page) == ["10.0", "10.0"]
    assert "refresh" not in page


def test_the_graph_of_the_definition_is_shown_with_what_its_steps_did() -> None:
    steps = [
        {"Name": HOSTILE, "Type": "Lambda", "FunctionArn": "f"},
        {"Name": "b", "Type": "Lambda", "FunctionArn": "f"},
    ]
    world = World(steps=[step(HOSTILE)], definition=json.dumps({"Version": "2020-12-01", "Steps": steps}))
    page = world.page(EXECUTION)
    assert "Succeeded · 10 s" in page
    assert "&lt;b&gt;" in page
    assert page.count("<svg") == 2
    assert World(steps=[step("a")], definition="no definition").page(EXECUTION).count("<svg") == 1


def test_a_running_execution_renews_its_page() -> None:
    world = World(execution={"PipelineExecutionStatus": "Executing"}, steps=[step("a", 0, None)])
    assert '<meta http-equiv="refresh" content="3">' in world.page(EXECUTION)


@pytest.mark.parametrize(
    ("metadata", "shown"),
    [
        ({"TrainingJob": {"Arn": f"{JOB}:training-job/j"}}, '<a href="/_console/logs/training-job/j">log</a>'),
        (
            {"QualityCheck": {"CheckJobArn": f"{JOB}:processing-job/j"}},
            '<a href="/_console/logs/processing-job/j">log</a>',
        ),
        ({"Model": {"Arn": f"{JOB}:model/m"}}, f"{JOB}:model/m"),
        ({"Condition": {"Outcome": "True"}}, "outcome: True"),
        ({"Fail": {}}, "no"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_step_shows_what_it_made(metadata: dict[str, Any], shown: str) -> None:
    page = World(steps=[step("a", Metadata=metadata, FailureReason="no")]).page(EXECUTION)
    assert shown in page
    assert f"<td>{next(iter(metadata))}</td>" in page


def test_each_instance_of_a_job_is_shown_up_to_a_limit_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_service, "_MAX_LOG_EVENTS", 3)
    whole = World(streams={f"j/algo-{number}": 3 for number in range(4)}).page("/logs/training-job/j")
    assert whole.count("algo-") == 12
    assert "more lines" not in whole
    cut = World(streams={"j/algo-1": 4}).page("/logs/training-job/j")
    assert cut.count("00:00:0") == 3
    assert "There are more lines" in cut


def test_a_path_is_decoded_once() -> None:
    assert "<h1>50%25</h1>" in World(streams={"j/algo-1": 1}).page("/logs/training-job/50%25")


def test_an_ended_execution_says_what_may_differ_on_aws() -> None:
    """The newest stream counts: an execution that was retried has several."""
    said = World(streams={"e/may-differ-on-aws/1": 0, "e/may-differ-on-aws/2": 1}).page(EXECUTION)
    assert "<h2>May differ on AWS</h2>" in said
    assert "May differ" not in World().page(EXECUTION)


@pytest.mark.parametrize("path", ["/pipelines/none", "/elsewhere", "/logs/other-job/x", f"{EXECUTION}/more"])
def test_what_is_not_there_is_not_found(path: str) -> None:
    answer = World().ask(path)
    assert answer.status == 404
    assert b"<h1>Not found</h1>" in answer.body
    assert (b"no &lt;such&gt; pipeline" in answer.body) == (path == "/pipelines/none")


def test_pages_are_only_read() -> None:
    answer = World().ask("", method="POST")
    assert answer.status == 405
    assert ("Allow", "GET, HEAD") in answer.headers
    assert b"Not found" not in answer.body


class PagedWorld(World):
    """Answers lists one entry at a time, and steps newest first unless asked otherwise, as the engine does."""

    def call(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = dict(super().call(operation, request))
        for key, entries in answer.items():
            if operation.startswith("List"):
                assert request["MaxResults"] == 100
                ordered = entries[:: 1 if request.get("SortOrder") == "Ascending" else -1]
                start = int(request.get("NextToken", 0))
                more = {"NextToken": str(start + 1)} if start + 1 < len(entries) else {}
                return {key: ordered[start : start + 1], **more}
        return answer


def test_all_pages_of_steps_are_shown_in_the_order_they_ran() -> None:
    page = PagedWorld(steps=[step("first"), step("second", 10, 20), step("third", 20, 30)]).page(EXECUTION)
    assert re.findall(r"<td>(first|second|third)</td>", page) == ["first", "second", "third"]


def test_a_page_asks_for_what_its_address_names() -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    class Noting(World):
        def call(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
            asked.append((operation, {key: value for key, value in request.items() if key != "MaxResults"}))
            return super().call(operation, request)

    world = Noting()
    world.page("/pipelines/p")
    by_name = {"PipelineName": "p"}
    assert asked == [
        ("DescribePipeline", by_name),
        ("ListPipelineExecutions", by_name),
        ("ListPipelineVersions", by_name),
    ]
    asked.clear()
    world.page(EXECUTION)
    by_arn = {"PipelineExecutionArn": f"{JOB}:pipeline/p/execution/e"}
    assert sorted(asked, key=lambda one: one[0]) == [
        ("DescribePipeline", by_name),
        ("DescribePipelineDefinitionForExecution", by_arn),
        ("DescribePipelineExecution", by_arn),
        ("ListPipelineExecutionSteps", {**by_arn, "SortOrder": "Ascending"}),
        ("ListPipelineParametersForExecution", by_arn),
    ]


def test_a_log_is_of_its_own_group_and_job_from_its_start_in_order_of_time() -> None:
    asked: list[dict[str, Any]] = []

    class Noting(World):
        def get_paginator(self, operation: str) -> Any:
            pages = super().get_paginator(operation)

            def paginate(**request: Any) -> Any:
                asked.append(request)
                return pages.paginate(**request)

            return SimpleNamespace(paginate=paginate)

        def get_log_events(self, **request: Any) -> dict[str, Any]:
            asked.append(request)
            odd = request["logStreamName"].endswith("2")
            return {"events": [{"timestamp": 1000 * (2 * second + odd), "message": f"m{second}"} for second in (0, 1)]}

    page = Noting(streams={"j/algo-1": 2, "j/algo-2": 2}).page("/logs/processing-job/j")
    group = {"logGroupName": "/aws/sagemaker/ProcessingJobs"}
    assert asked[0] == {**group, "logStreamNamePrefix": "j/"}
    assert [{key: one[key] for key in one if key != "limit"} for one in asked[1:]] == [
        {**group, "logStreamName": name, "startFromHead": True} for name in ("j/algo-1", "j/algo-2")
    ]
    assert re.findall(r"00:00:0(\d)  (algo-\d)  (m\d)", page) == [
        ("0", "algo-1", "m0"),
        ("1", "algo-2", "m0"),
        ("2", "algo-1", "m1"),
        ("3", "algo-2", "m1"),
    ]


def test_a_job_without_a_log_has_written_nothing_yet() -> None:
    class Missing(World):
        def get_paginator(self, operation: str) -> Any:
            raise NoGroupError

    assert "It has written nothing yet." in Missing().page("/logs/training-job/j")
