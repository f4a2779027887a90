"""Writing a plan: as plain text, as JSON, and as Markdown for a comment on a pull request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import render_changes
from airflow_sm_pipelines.policy import render_findings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.compiler import CompiledPipeline
    from airflow_sm_pipelines.definition import Change, JsonObject, JsonValue
    from airflow_sm_pipelines.planning.deployment_plan import DeploymentPlan
    from airflow_sm_pipelines.policy import Finding

MARKER = "<!-- sm-pipelines plan -->"
"""The first line of the Markdown, by which CI finds its own comment and replaces it."""

_ACTIONS = {
    "create": "would be created",
    "update": "would get a new version",
    "none": "would stay as it is",
}
_SIGNS = {"hit": "hit", "miss": "miss", "off": "off", "unknown": "?"}


def render_plan(plan: DeploymentPlan) -> str:
    """Write the plan for a terminal."""
    lines = [f"Pipeline {plan.name!r} {_ACTIONS[plan.action]}."]
    if plan.names_only:
        lines.append(str(plan.names_only))
    if plan.changes:
        lines += ["", f"Changes ({len(plan.changes)}):", *_indent(render_changes(plan.changes))]
    if plan.filled_in:
        lines += ["", f"Filled in by the team's policy: {_count_filled_in(plan)}."]
    if plan.findings:
        lines += ["", f"Findings ({_count(plan)}):", *_indent(render_findings(plan.findings))]
    if plan.cache:
        lines += ["", "Cache:", *(f"  {line}" for line in _cache_lines(plan))]
    for title, entries in _build_sections(plan.build):
        lines += ["", f"{title} ({len(entries)}):", *(f"  {entry}" for entry in entries)]
    lines += ["", f"Limits: {_limits(plan)}."]
    if plan.errors:
        lines += ["", "The deployment would be refused."]
    return "\n".join(lines)


def render_plan_markdown(plan: DeploymentPlan) -> str:
    """Write the plan as a comment on a pull request; it begins with :data:`MARKER`."""
    verdict = " ❌ **The deployment would be refused.**" if plan.errors else ""
    lines = [MARKER, f"### Pipeline `{plan.name}` {_ACTIONS[plan.action]}", ""]
    lines += [f"{_summary(plan)}.{verdict}", ""]
    if plan.names_only:
        lines += [str(plan.names_only), ""]
    if plan.changes:
        lines += _details(f"{len(plan.changes)} changes", _as_diff(plan.changes), language="diff")
    if plan.filled_in:
        lines += [f"Filled in by the team's policy: {_count_filled_in(plan)}.", ""]
    if plan.findings:
        lines += ["| | Where | What | Rule |", "|---|---|---|---|"]
        lines += [_finding_row(finding) for finding in (*plan.errors, *plan.warnings)]
        lines.append("")
    if plan.cache:
        lines += ["| Step | Cache | Because |", "|---|---|---|"]
        for forecast in plan.cache:
            reasons = "<br>".join(_cell(reason) for reason in forecast.reasons)
            lines.append(f"| {_cell(forecast.step)} ({forecast.type}) | {_SIGNS[forecast.outcome]} | {reasons} |")
        lines.append("")
    for title, entries in _build_sections(plan.build):
        lines += _details(f"{title}: {len(entries)}", entries, language="text", is_open=False)
    lines.append(f"<sub>{_limits(plan)} · definition `{plan.definition_hash[:12]}`</sub>")
    return "\n".join(lines) + "\n"


def write_plan(plan: DeploymentPlan) -> JsonObject:
    """Write the plan as JSON values."""
    return {
        "pipeline": plan.name,
        "action": plan.action,
        "is_refused": bool(plan.errors),
        "definition_hash": plan.definition_hash,
        "changes": _changes_json(plan.changes),
        "filled_in": _changes_json(plan.filled_in),
        "findings": [
            {
                "severity": finding.severity.value,
                "rule": finding.rule,
                "path": finding.path,
                "message": finding.message,
                "fix": finding.fix,
            }
            for finding in plan.findings
        ],
        "cache": [
            {
                "step": forecast.step,
                "type": forecast.type,
                "outcome": forecast.outcome,
                "reasons": list(forecast.reasons),
            }
            for forecast in plan.cache
        ],
        "limits": [{"name": use.name, "used": use.used, "limit": use.limit} for use in plan.limits],
        "names_only": None
        if plan.names_only is None
        else {"recomputed": list(plan.names_only.recomputed), "unread": list(plan.names_only.unread)},
        **_write_build(plan.build),
    }


def _write_build(build: CompiledPipeline | None) -> JsonObject:
    if build is None:
        return {"uploads": [], "not_sent": [], "aws_changes": []}
    return {
        "uploads": [
            {"address": upload.uri, "size_bytes": upload.size_bytes, "is_there": upload.uri not in build.sent}
            for upload in build.uploads
        ],
        "not_sent": list(build.not_sent),
        "aws_changes": list(build.aws_changes),
    }


def _build_sections(build: CompiledPipeline | None) -> list[tuple[str, list[str]]]:
    """What the build has done in AWS: a title each, and its lines. Empty ones are left out."""
    if build is None:
        return []
    width = max((len(f"{upload.size_bytes:,}") for upload in build.uploads), default=0)
    uploads = [
        f"{upload.size_bytes:>{width},} bytes  {'new          ' if upload.uri in build.sent else 'already there'}  "
        f"{upload.uri}"
        for upload in build.uploads
    ]
    sections = (
        ("Uploaded to S3 by the build", uploads),
        ("Changed in AWS by the build", [*build.aws_changes]),
        ("Called by the script, answered without being sent", [*build.not_sent]),
    )
    return [(title, entries) for title, entries in sections if entries]


def _changes_json(changes: Sequence[Change]) -> list[JsonValue]:
    return [
        {"kind": change.kind, "path": change.path, "before": change.before, "after": change.after} for change in changes
    ]


def _indent(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]


def _count(plan: DeploymentPlan) -> str:
    counts = ((len(plan.errors), "error"), (len(plan.warnings), "warning"))
    return ", ".join(f"{count} {noun}{'s' * (count != 1)}" for count, noun in counts if count)


def _count_filled_in(plan: DeploymentPlan) -> str:
    closed = sum(change.path.startswith("Parameters.") for change in plan.filled_in)
    steps = {change.path.split(".")[1] for change in plan.filled_in if change.path.startswith("Steps.")}
    text = f"{len(plan.filled_in) - closed} values in {len(steps)} step{'s' * (len(steps) != 1)}"
    return f"{text}, and the choices of {closed} parameter{'s' * (closed != 1)}" if closed else text


def _summary(plan: DeploymentPlan) -> str:
    parts = []
    if plan.changes:
        parts.append(f"{len(plan.changes)} change{'s' * (len(plan.changes) != 1)}")
    parts.append(_count(plan) or "no findings")
    hits = sum(forecast.outcome == "hit" for forecast in plan.cache)
    if hits:
        parts.append(f"{hits} of {len(plan.cache)} jobs from the cache")
    text = ", ".join(parts)
    return text[0].upper() + text[1:]


def _cache_lines(plan: DeploymentPlan) -> list[str]:
    width = max(len(forecast.step) for forecast in plan.cache)
    lines = []
    for forecast in plan.cache:
        first, *rest = forecast.reasons or ("",)
        lines.append(f"{forecast.step:<{width}}  {_SIGNS[forecast.outcome]:<4}  {first}".rstrip())
        lines += [f"{'':<{width}}        {reason}" for reason in rest]
    return lines


def _limits(plan: DeploymentPlan) -> str:
    return ", ".join(
        f"{use.used} {use.name}" if use.limit is None else f"{use.used} of {use.limit} {use.name}"
        for use in plan.limits
    )


def _as_diff(changes: Sequence[Change]) -> list[str]:
    """The lines of the changes as Markdown's ``diff`` colours them: ``!`` for what changed."""
    return ["!" + line[1:] if line.startswith("~") else line for line in render_changes(changes).splitlines()]


def _details(title: str, lines: list[str], *, language: str, is_open: bool = True) -> list[str]:
    fence = "`" * max([3, *(len(run) + 1 for line in lines for run in re.findall("`+", line))])
    start = f"<details{' open' * is_open}><summary>{title}</summary>"
    return [start, "", f"{fence}{language}", *lines, fence, "", "</details>", ""]


def _finding_row(finding: Finding) -> str:
    sign = "❌" if finding.severity.value == "error" else "⚠️"
    what = " ".join(filter(None, (finding.message, finding.fix)))
    return f"| {sign} | `{_cell(finding.path)}` | {_cell(what)} | {finding.rule} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
