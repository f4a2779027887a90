"""The report of a migration as a page for people, and as JSON for programs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.migrate.report import Record, count_outcomes, render_totals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.migrate.dag_plan.dag import DagPlan
    from airflow_sm_pipelines.migrate.report import Migration
    from airflow_sm_pipelines.policy import Finding


def merge_notes(migration: Migration, plan: DagPlan) -> Migration:
    """The migration with what planning adds to its records."""
    records = []
    for record in migration.records:
        notes = [note for note in plan.notes if note.target and note.target == record.target]
        outcome = record.outcome
        for note in notes:
            if note.outcome is not None and not outcome.is_open:
                outcome = note.outcome
        records.append(replace(record, outcome=outcome, reasons=(*record.reasons, *(note.reason for note in notes))))
    return replace(migration, records=tuple(records), differences=(*migration.differences, *plan.differences))


def report_to_json(migration: Migration, plan: DagPlan, findings: dict[str, Sequence[Finding]]) -> JsonObject:
    """The report for programs."""
    return {
        "origin": migration.origin,
        "dag": plan.workflow.name,
        "pipelines": [one.name for one in plan.pipelines.values()],
        "complete": migration.is_complete,
        "totals": cast("JsonObject", count_outcomes(migration.records)),
        "records": [record.to_json() for record in migration.records],
        "differences": [{"code": one.code, "text": one.text} for one in migration.differences],
        "findings": [
            {"pipeline": name, "severity": str(one.severity), "path": one.path, "message": one.message, "fix": one.fix}
            for name, found in findings.items()
            for one in found
        ],
    }


def render_report(migration: Migration, plan: DagPlan, findings: dict[str, Sequence[Finding]]) -> str:
    """The report as Markdown."""
    pipelines = ", ".join(f"`{one.name}`" for one in plan.pipelines.values()) or "none"
    lines = [
        f"# {plan.workflow.name}: what became of {migration.origin}",
        "",
        f"{render_totals(migration.records)} Pipelines: {pipelines}.",
        "",
    ]
    actions = [record for record in migration.records if record.action]
    if actions:
        lines += ["## To do", "", *(f"- **{_cell(record.source)}**: {record.action}" for record in actions), ""]
    if migration.differences:
        lines += ["## What behaves otherwise", "", *(f"- {one.text} ({one.code})" for one in migration.differences), ""]
    lines += [
        "## Each node",
        "",
        "| source | kind | outcome | became | why, and what is lost |",
        "|---|---|---|---|---|",
    ]
    lines += [_row(record) for record in migration.records]
    if any(findings.values()):
        lines += ["", "## What SageMaker may refuse", ""]
        lines += [
            f"- `{name}`: {one.severity}: {one.path}: {one.message} {one.fix}".rstrip()
            for name, found in findings.items()
            for one in found
        ]
    return "\n".join([*lines, ""])


def _row(record: Record) -> str:
    why = [f"{one.text} ({one.code})" for one in record.reasons]
    if record.lost:
        why.append("Not used: " + ", ".join(f"`{key}`" for key in record.lost))
    cells = (record.source, record.kind, str(record.outcome), record.target or "-", " ".join(why))
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
