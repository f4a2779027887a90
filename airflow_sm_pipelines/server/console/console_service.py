"""Answers the console's addresses: which page a path is, and what it needs of the engine. How it looks is in `pages`.

Reading only: no page changes anything, so none needs a token against forged requests.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from airflow_sm_pipelines.server.console.pages import (
    ExecutionPage,
    LogPage,
    PipelinePage,
    render_execution,
    render_log,
    render_missing,
    render_pipeline,
    render_pipelines,
)
from airflow_sm_pipelines.server.http.messages import Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.server.http.messages import Request

#: No bucket's name may hold an underscore, so these addresses are never an S3 object's.
CONSOLE_PATH = "/_console"

_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
_LOG_GROUPS = {"processing-job": "ProcessingJobs", "training-job": "TrainingJobs", "transform-job": "TransformJobs"}
_MAX_LOG_EVENTS = 5000


class SageMakerOperations(Protocol):
    """The engine, as far as the console knows it."""

    def call(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer to an API operation."""


class Console:
    """Shows what the endpoint holds.

    :param engine: answers SageMaker's operations.
    :param refusals: the engine's class of typed errors.
    :param logs: a boto3 CloudWatch Logs client of this endpoint.
    """

    def __init__(self, engine: SageMakerOperations, *, refusals: type[Exception], logs: Any) -> None:
        self._engine = engine
        self._refusals = refusals
        self._logs = logs

    def call(self, request: Request) -> Response:
        """The page at the request's path.

        :param request: a request whose path begins with :data:`CONSOLE_PATH`.
        """
        if request.method not in ("GET", "HEAD"):
            return _page(405, render_missing("Pages are only read here."))
        parts = [unquote(part) for part in request.path.removeprefix(CONSOLE_PATH).split("/") if part]
        try:
            html = self._render(parts)
        except self._refusals as error:
            return _page(404, render_missing(str(getattr(error, "message", error))))
        if html is None:
            return _page(404, render_missing("There is no such page."))
        return _page(200, html)

    def _render(self, parts: list[str]) -> str | None:
        match parts:
            case [] | ["pipelines"]:
                return render_pipelines(list(self._pages("ListPipelines", "PipelineSummaries")))
            case ["pipelines", name]:
                return self._pipeline(name)
            case ["pipelines", name, "executions", execution_id]:
                return self._execution(name, execution_id)
            case ["logs", kind, job] if kind in _LOG_GROUPS:
                return self._log(kind, job)
        return None

    def _pipeline(self, name: str) -> str:
        pipeline = self._engine.call("DescribePipeline", {"PipelineName": name})
        executions = self._pages("ListPipelineExecutions", "PipelineExecutionSummaries", PipelineName=name)
        versions = self._pages("ListPipelineVersions", "PipelineVersionSummaries", PipelineName=name)
        return render_pipeline(PipelinePage(pipeline, list(versions), list(executions)))

    def _execution(self, name: str, execution_id: str) -> str:
        pipeline = self._engine.call("DescribePipeline", {"PipelineName": name})
        arn = f"{pipeline['PipelineArn']}/execution/{execution_id}"
        execution = self._engine.call("DescribePipelineExecution", {"PipelineExecutionArn": arn})
        steps = self._pages(
            "ListPipelineExecutionSteps", "PipelineExecutionSteps", PipelineExecutionArn=arn, SortOrder="Ascending"
        )
        parameters = self._pages("ListPipelineParametersForExecution", "PipelineParameters", PipelineExecutionArn=arn)
        return render_execution(
            ExecutionPage(name, execution_id, execution, list(steps), list(parameters), datetime.now(timezone.utc))
        )

    def _log(self, kind: str, job: str) -> str:
        group = f"/aws/sagemaker/{_LOG_GROUPS[kind]}"
        lines: list[tuple[str, datetime, str]] = []
        try:
            answer = self._logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")
            for stream in answer["logStreams"]:
                lines += self._stream(group, stream["logStreamName"])
        except self._logs.exceptions.ResourceNotFoundException:
            pass
        lines.sort(key=lambda line: line[1])
        return render_log(LogPage(group, job, lines, is_cut=len(lines) >= _MAX_LOG_EVENTS))

    def _stream(self, group: str, name: str) -> list[tuple[str, datetime, str]]:
        answer = self._logs.get_log_events(
            logGroupName=group, logStreamName=name, startFromHead=True, limit=_MAX_LOG_EVENTS
        )
        host = name.rpartition("/")[2]
        return [
            (host, datetime.fromtimestamp(event["timestamp"] / 1000, timezone.utc), event["message"])
            for event in answer["events"]
        ]

    def _pages(self, operation: str, key: str, **request: Any) -> Iterator[Mapping[str, Any]]:
        token: dict[str, str] = {}
        while True:
            answer = self._engine.call(operation, {**request, "MaxResults": 100, **token})
            yield from answer.get(key, ())
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}


def _page(status: int, html: str) -> Response:
    return Response(status, html.encode(), _HEADERS)
