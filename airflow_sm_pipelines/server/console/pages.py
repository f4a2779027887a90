"""How the console's pages look: pure functions from the API's answers to HTML. Every value is escaped."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

_STYLE = """
:root { color-scheme: light dark; --line: #d8dde3; --soft: #f4f6f8; --text: #17202a; --dim: #5b6774; --link: #0b5cad;
  --good: #1a7f4b; --bad: #c02b2b; --busy: #a86400; --off: #6b7681; }
@media (prefers-color-scheme: dark) { :root { --line: #39424d; --soft: #20262d; --text: #e6eaef; --dim: #9aa6b2;
  --link: #78b7ff; --good: #4cc38a; --bad: #ff7b72; --busy: #e3a23c; --off: #8b97a3; } body { background: #15191e; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); margin: 0 auto; max-width: 68rem; padding: 1.5rem; }
nav { color: var(--dim); margin-bottom: 1rem; } a { color: var(--link); } h1 { font-size: 1.4rem; margin: 0 0 .75rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; } table { border-collapse: collapse; width: 100%; }
th { text-align: left; color: var(--dim); font-weight: 500; } td, th { border-bottom: 1px solid var(--line);
  padding: .4rem .75rem .4rem 0; vertical-align: top; white-space: nowrap; }
td:last-child { white-space: normal; overflow-wrap: anywhere; min-width: 12rem; }
dl { display: grid; grid-template-columns: max-content 1fr;
  gap: .2rem 1.25rem; margin: 0; } dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
.Succeeded { color: var(--good); } .Failed, .CompletedWithFailures { color: var(--bad); }
.Stopped { color: var(--off); }
.Executing, .Starting, .Stopping { color: var(--busy); } .status { font-weight: 600; }
.chart { width: 14rem; } .bar { display: block; height: .8rem; margin-top: .35rem; min-width: 3px;
  border-radius: 2px; background: currentColor; } .reason { color: var(--bad); }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding: 1rem; overflow-x: auto;
  font: 13px/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
time, .dim { color: var(--dim); }
"""
_JOB_METADATA = ("ProcessingJob", "TrainingJob", "TransformJob")


@dataclass(frozen=True, slots=True)
class PipelinePage:
    """A pipeline with its versions and executions: answers of DescribePipeline and of the two list operations."""

    pipeline: Mapping[str, Any]
    versions: Sequence[Mapping[str, Any]]
    executions: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ExecutionPage:
    """An execution with its steps, oldest first, and parameters.

    :param now: where the bar of a running step ends.
    """

    pipeline_name: str
    execution_id: str
    execution: Mapping[str, Any]
    steps: Sequence[Mapping[str, Any]]
    parameters: Sequence[Mapping[str, Any]]
    now: datetime


@dataclass(frozen=True, slots=True)
class LogPage:
    """A job's log lines: instance, time, text.

    :param is_cut: whether there are more lines than these.
    """

    group: str
    job: str
    lines: Sequence[tuple[str, datetime, str]]
    is_cut: bool


def render_pipelines(summaries: Sequence[Mapping[str, Any]]) -> str:
    """The page of all pipelines."""
    rows = [
        [_link(_pipeline_path(row["PipelineName"]), row["PipelineName"]), _time(row.get("LastExecutionTime")),
         _time(row.get("LastModifiedTime"))]
        for row in summaries
    ]  # fmt: skip
    body = _table(["Pipeline", "Last execution", "Last change"], rows, empty="No pipeline has been deployed here yet.")
    return _document("Pipelines", [], f"<h1>Pipelines</h1>{body}")


def render_pipeline(page: PipelinePage) -> str:
    """The page of one pipeline: its executions, then its versions."""
    name = page.pipeline["PipelineName"]
    executions = [
        [_link(_execution_path(name, _last(row["PipelineExecutionArn"])), _last(row["PipelineExecutionArn"])),
         _status(row["PipelineExecutionStatus"]), escape(str(row.get("PipelineExecutionDisplayName", ""))),
         _time(row.get("StartTime"))]
        for row in page.executions
    ]  # fmt: skip
    versions = [
        [escape(str(row["PipelineVersionId"])), _time(row.get("CreationTime")),
         escape(str(row.get("PipelineVersionDescription", "")))]
        for row in page.versions
    ]  # fmt: skip
    body = f"<h1>{escape(name)}</h1>" + _facts({"ARN": escape(page.pipeline["PipelineArn"])})
    body += "<h2>Executions</h2>" + _table(
        ["Execution", "Status", "Display name", "Started"], executions, empty="It has not been run yet."
    )
    body += "<h2>Versions</h2>" + _table(["Version", "Made", "Description"], versions, empty="None.")
    return _document(name, [("Pipelines", "/_console")], body)


def render_execution(page: ExecutionPage) -> str:
    """The page of one execution: its state, its steps in time, its parameters; it renews itself while it runs."""
    execution, status = page.execution, str(page.execution["PipelineExecutionStatus"])
    is_open = status in ("Executing", "Stopping")
    facts = {
        "Status": _status(status),
        "Started": _time(execution.get("CreationTime")),
        "Version": escape(str(execution.get("PipelineVersionId", ""))),
        "Display name": escape(str(execution.get("PipelineExecutionDisplayName", ""))),
        "Description": escape(str(execution.get("PipelineExecutionDescription", ""))),
        "ARN": escape(str(execution["PipelineExecutionArn"])),
    }
    if execution.get("FailureReason"):
        facts["Reason"] = f'<span class="reason">{escape(execution["FailureReason"])}</span>'
    begin = min((step["StartTime"] for step in page.steps if step.get("StartTime")), default=page.now)
    end = max((step.get("EndTime") or page.now for step in page.steps), default=page.now)
    rows = [_step_row(step, begin, max((end - begin).total_seconds(), 0.001), page.now) for step in page.steps]
    body = f"<h1>{escape(page.pipeline_name)} <span class='dim'>{escape(page.execution_id)}</span></h1>{_facts(facts)}"
    body += "<h2>Steps</h2>" + _table(
        ["Step", "Type", "Status", "Seconds", "", "What it made or why it failed"], rows, empty="No step has started."
    )
    parameters = [[escape(str(row["Name"])), escape(str(row["Value"]))] for row in page.parameters]
    body += "<h2>Parameters</h2>" + _table(["Name", "Value"], parameters, empty="None.")
    trail = [("Pipelines", "/_console"), (page.pipeline_name, _pipeline_path(page.pipeline_name))]
    return _document(page.execution_id, trail, body, refresh_seconds=3 if is_open else None)


def render_log(page: LogPage) -> str:
    """The page of one job's log."""
    hosts = {host for host, _, _ in page.lines}
    text = "\n".join(
        f"{when:%H:%M:%S}  {host + '  ' if len(hosts) > 1 else ''}{message}" for host, when, message in page.lines
    )
    body = f"<h1>{escape(page.job)}</h1><p class='dim'>{escape(page.group)}</p>"
    body += f"<pre>{escape(text)}</pre>" if page.lines else "<p>It has written nothing yet.</p>"
    if page.is_cut:
        body += "<p class='dim'>There are more lines: read them through the CloudWatch Logs API of this endpoint.</p>"
    return _document(page.job, [("Pipelines", "/_console")], body)


def render_missing(message: str) -> str:
    """The page where there is none."""
    return _document("Not found", [("Pipelines", "/_console")], f"<h1>Not found</h1><p>{escape(message)}</p>")


def _step_row(step: Mapping[str, Any], begin: datetime, total_seconds: float, now: datetime) -> list[str]:
    status = str(step.get("StepStatus", ""))
    started, ended = step.get("StartTime"), step.get("EndTime") or now
    kind, metadata = next(iter((step.get("Metadata") or {}).items()), ("", {}))
    seconds = bar = ""
    if started is not None:
        duration = max((ended - started).total_seconds(), 0.0)
        left = 100 * (started - begin).total_seconds() / total_seconds
        width = min(100 * duration / total_seconds, 100 - left)
        seconds = f"{duration:.1f}"
        bar = f'<span class="bar {escape(status)}" style="margin-left:{left:.2f}%;width:{width:.2f}%"></span>'
    return [
        escape(str(step["StepName"])),
        escape(kind),
        _status(status),
        seconds,
        f'<div class="chart">{bar}</div>',
        _step_result(step, kind, metadata),
    ]


def _step_result(step: Mapping[str, Any], kind: str, metadata: Mapping[str, Any]) -> str:
    parts = []
    arn = str(metadata.get("Arn", ""))
    if kind in _JOB_METADATA and "/" in arn:
        job_kind, _, job = arn.rpartition(":")[2].partition("/")
        parts.append(_link(f"/_console/logs/{quote(job_kind)}/{quote(job)}", "log"))
    elif arn:
        parts.append(escape(arn))
    if "Outcome" in metadata:
        parts.append(escape(f"outcome: {metadata['Outcome']}"))
    parts += [escape(f"{row['Name']} = {row['Value']}") for row in metadata.get("OutputParameters") or ()]
    if step.get("FailureReason"):
        parts.append(f'<span class="reason">{escape(step["FailureReason"])}</span>')
    return "<br>".join(parts)


def _document(title: str, trail: Iterable[tuple[str, str]], body: str, *, refresh_seconds: int | None = None) -> str:
    refresh = f'<meta http-equiv="refresh" content="{refresh_seconds}">' if refresh_seconds else ""
    links = " / ".join(_link(path, name) for name, path in trail)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{refresh}<title>{escape(title)} · local SageMaker</title><style>{_STYLE}</style></head>"
        f"<body><nav>Local SageMaker endpoint {links}</nav>{body}</body></html>"
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> str:
    if not rows:
        return f"<p class='dim'>{escape(empty)}</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _facts(facts: Mapping[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in facts.items()) + "</dl>"


def _status(status: str) -> str:
    return f'<span class="status {escape(status)}">{escape(status)}</span>'


def _time(when: datetime | None) -> str:
    return "" if when is None else f"<time>{when:%Y-%m-%d %H:%M:%S} UTC</time>"


def _link(path: str, text: str) -> str:
    return f'<a href="{escape(path)}">{escape(text)}</a>'


def _pipeline_path(name: str) -> str:
    return f"/_console/pipelines/{quote(name)}"


def _execution_path(name: str, execution_id: str) -> str:
    return f"{_pipeline_path(name)}/executions/{quote(execution_id)}"


def _last(arn: str) -> str:
    return arn.rpartition("/")[2]
