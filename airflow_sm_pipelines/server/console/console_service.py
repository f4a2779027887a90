"""Answers the console's addresses: which page a path is, and what it shows. How it looks is in ``templates``.

Pages only read, so none needs a token against forged requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airflow_sm_pipelines.definition import inspect_definition
from airflow_sm_pipelines.definition.arns import parse_arn
from airflow_sm_pipelines.definition.status import ExecutionStatus
from airflow_sm_pipelines.engine.rules.job_documents import JOB_KINDS
from airflow_sm_pipelines.local_endpoint import (
    CONSOLE_PATH,
    DIFFERENCES_STREAM,
    EXECUTION_LOG_GROUP,
    make_log_page_url,
    make_pipeline_page_url,
)
from airflow_sm_pipelines.printable_text import clean
from airflow_sm_pipelines.server.http.messages import Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jinja2 import Environment

    from airflow_sm_pipelines.server.http.messages import Request

_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
_METHODS = ("GET", "HEAD")
_LOG_GROUPS = {kind.resource: kind.log_group for kind in JOB_KINDS.values() if kind.log_group}
_MAX_LOG_EVENTS = 5000
"""So many lines of each instance's log are shown."""

_REFRESH_SECONDS = 3
"""How often the page of a running execution renews itself."""


class SageMakerOperations(Protocol):
    """The engine, as far as the console knows it."""

    def call(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer to an API operation."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """One line of what a step made, or why it failed.

    :param href: where the text leads; None where it is no link.
    """

    text: str
    href: str | None = None
    is_reason: bool = False


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step as the page of its execution shows it.

    :param kind: what the step is, as its metadata say: ``TrainingJob``; empty where they say nothing.
    :param seconds: how long it ran; empty before its start.
    """

    name: str
    kind: str
    status: str
    seconds: str
    results: Sequence[StepResult]


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a job's log.

    :param instance: such as ``algo-1``.
    """

    instance: str
    time: datetime
    text: str


class ConsoleService:
    """Answers requests for pages.

    :param engine: knows pipelines and executions.
    :param refusals: the engine's class of typed errors, with ``message``.
    :param logs: a boto3 client of CloudWatch Logs on this endpoint.
    """

    def __init__(self, engine: SageMakerOperations, *, refusals: type[Exception], logs: Any) -> None:
        self._engine = engine
        self._refusals = refusals
        self._logs = logs

    def call(self, request: Request) -> Response:
        """The page at the request's path.

        :param request: a request whose path begins with :data:`.local_endpoint.CONSOLE_PATH`.
        """
        if request.method not in _METHODS:
            html = self._render("no_page.html", heading="Not allowed", message="Pages are only read here.")
            return Response(405, html.encode(), (*_HEADERS, ("Allow", ", ".join(_METHODS))))
        parts = [part for part in request.path.removeprefix(CONSOLE_PATH).split("/") if part]
        try:
            found = self._page(parts)
        except self._refusals as error:
            found, message = None, str(getattr(error, "message", error))
        else:
            message = "There is no such page."
        html = found or self._render("no_page.html", heading="Not found", message=message)
        return Response(200 if found else 404, html.encode(), _HEADERS)

    def _page(self, parts: list[str]) -> str | None:
        match parts:
            case [] | ["pipelines"]:
                pipelines = list(self._iter_pages("ListPipelines", "PipelineSummaries"))
                return self._render("pipelines.html", pipelines=pipelines)
            case ["pipelines", name]:
                return self._pipeline(name)
            case ["pipelines", name, "executions", execution_id]:
                return self._execution(name, execution_id)
            case ["logs", kind, job] if kind in _LOG_GROUPS:
                return self._log(_LOG_GROUPS[kind], job)
        return None

    def _pipeline(self, name: str) -> str:
        return self._render(
            "pipeline.html",
            pipeline=self._engine.call("DescribePipeline", {"PipelineName": name}),
            executions=list(
                self._iter_pages("ListPipelineExecutions", "PipelineExecutionSummaries", PipelineName=name)
            ),
            versions=list(self._iter_pages("ListPipelineVersions", "PipelineVersionSummaries", PipelineName=name)),
        )

    def _execution(self, name: str, execution_id: str) -> str:
        pipeline = self._engine.call("DescribePipeline", {"PipelineName": name})
        arn = f"{pipeline['PipelineArn']}/execution/{execution_id}"
        execution = self._engine.call("DescribePipelineExecution", {"PipelineExecutionArn": arn})
        steps = list(
            self._iter_pages(
                "ListPipelineExecutionSteps", "PipelineExecutionSteps", PipelineExecutionArn=arn, SortOrder="Ascending"
            )
        )
        parameters = self._iter_pages(
            "ListPipelineParametersForExecution", "PipelineParameters", PipelineExecutionArn=arn
        )
        is_open = not ExecutionStatus(execution["PipelineExecutionStatus"]).is_terminal
        until = datetime.now(timezone.utc) if is_open else execution["LastModifiedTime"]
        return self._render(
            "execution.html",
            pipeline_name=name,
            execution_id=execution_id,
            execution=execution,
            steps=[_make_step_row(step, until) for step in steps],
            pictures=self._draw(arn, steps, until),
            parameters=list(parameters),
            differences=[] if is_open else self._read_differences(execution_id),
            **({"refresh_seconds": _REFRESH_SECONDS} if is_open else {}),
        )

    def _draw(self, arn: str, steps: Sequence[Mapping[str, Any]], until: datetime) -> list[str]:
        """The graph, and the steps over time once one has started, as SVG without its style."""
        from airflow_sm_pipelines.render import parse_step_runs, render_gantt_svg, render_graph_svg, without_style

        answer = self._engine.call("DescribePipelineDefinitionForExecution", {"PipelineExecutionArn": arn})
        definition = inspect_definition(str(answer.get("PipelineDefinition", "")))[0]
        runs = parse_step_runs(steps)
        found = [] if definition is None else [render_graph_svg(definition, runs=runs, now=until)]
        if any(run.started is not None for run in runs):
            found.append(render_gantt_svg(runs, now=until))
        return [without_style(picture) for picture in found]

    def _read_differences(self, execution_id: str) -> list[str]:
        """What the execution relied on that may differ on AWS; the last lines on it, if it was retried."""
        streams = self._list_streams(EXECUTION_LOG_GROUP, f"{execution_id}/{DIFFERENCES_STREAM}/")
        lines = self._read_stream(EXECUTION_LOG_GROUP, max(streams))[0] if streams else []
        return [line.text for line in lines]

    def _log(self, group: str, job: str) -> str:
        lines: list[LogLine] = []
        is_cut = False
        for stream in self._list_streams(group, f"{job}/"):
            found, has_more = self._read_stream(group, stream)
            lines += found
            is_cut = is_cut or has_more
        lines.sort(key=lambda line: line.time)
        has_instances = len({line.instance for line in lines}) > 1
        return self._render("log.html", group=group, job=job, lines=lines, has_instances=has_instances, is_cut=is_cut)

    def _list_streams(self, group: str, prefix: str) -> list[str]:
        """The names of the streams of a log group that begin so; none if there is no such group."""
        try:
            pages = self._logs.get_paginator("describe_log_streams")
            found = list(pages.paginate(logGroupName=group, logStreamNamePrefix=prefix))
        except self._logs.exceptions.ResourceNotFoundException:
            return []
        return [stream["logStreamName"] for page in found for stream in page["logStreams"]]

    def _read_stream(self, group: str, name: str) -> tuple[list[LogLine], bool]:
        """The first lines of a stream, and whether it has more."""
        answer = self._logs.get_log_events(
            logGroupName=group, logStreamName=name, startFromHead=True, limit=_MAX_LOG_EVENTS + 1
        )
        instance = name.rpartition("/")[2]
        lines = [
            LogLine(instance, datetime.fromtimestamp(event["timestamp"] / 1000, timezone.utc), event["message"])
            for event in answer["events"]
        ]
        return lines[:_MAX_LOG_EVENTS], len(lines) > _MAX_LOG_EVENTS

    def _iter_pages(self, operation: str, key: str, **request: Any) -> Iterator[Mapping[str, Any]]:
        token: dict[str, str] = {}
        while True:
            answer = self._engine.call(operation, {**request, "MaxResults": 100, **token})
            yield from answer.get(key, ())
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    def _render(self, template: str, **values: Any) -> str:
        return self._environment.get_template(template).render(values)

    @cached_property
    def _environment(self) -> Environment:
        from jinja2 import Environment, FileSystemLoader

        from airflow_sm_pipelines.render import STYLE

        templates = FileSystemLoader(Path(__file__).with_name("templates"))
        environment = Environment(
            loader=templates, autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_clean_text
        )
        environment.globals["picture_style"] = STYLE
        environment.globals["console_path"] = CONSOLE_PATH
        environment.globals["page_of"] = partial(make_pipeline_page_url, CONSOLE_PATH)
        return environment


def _clean_text(value: Any) -> Any:
    """What a template shows, with control characters and marks that reorder text as text."""
    return clean(value) if type(value) is str else value


def _make_step_row(step: Mapping[str, Any], until: datetime) -> StepRow:
    kind, metadata = next(iter((step.get("Metadata") or {}).items()), ("", {}))
    seconds = ""
    if step.get("StartTime"):
        duration = max(((step.get("EndTime") or until) - step["StartTime"]).total_seconds(), 0.0)
        seconds = f"{duration:.1f}"
    results = list(_iter_results(step, metadata))
    return StepRow(str(step["StepName"]), kind, str(step.get("StepStatus", "")), seconds, results)


def _iter_results(step: Mapping[str, Any], metadata: Mapping[str, Any]) -> Iterator[StepResult]:
    arn = str(metadata.get("Arn") or metadata.get("CheckJobArn") or "")
    parsed = parse_arn(arn)
    if parsed is not None and parsed.kind in _LOG_GROUPS:
        yield StepResult("log", href=make_log_page_url(CONSOLE_PATH, arn))
    elif arn:
        yield StepResult(arn)
    if "Outcome" in metadata:
        yield StepResult(f"outcome: {metadata['Outcome']}")
    for output in metadata.get("OutputParameters") or ():
        yield StepResult(f"{output['Name']} = {output['Value']}")
    if step.get("FailureReason"):
        yield StepResult(str(step["FailureReason"]), is_reason=True)
