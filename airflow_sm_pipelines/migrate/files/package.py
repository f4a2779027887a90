"""Makes all files of a migration: the DAG, the definitions of its pipelines, and the report for people and programs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.documents import HeldDefinition, inspect_held, read_document
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.dag_plan.dag import plan_dag
from airflow_sm_pipelines.migrate.files.dag_file import render_dag
from airflow_sm_pipelines.migrate.files.static_check import StaticCheck, check_files
from airflow_sm_pipelines.migrate.report import count_outcomes, render_totals
from airflow_sm_pipelines.policy import Finding, Severity, check_definition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.migrate.dag_plan.dag import DagPlan
    from airflow_sm_pipelines.migrate.report import Migration, Record


_DAG_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True, slots=True)
class MigrationPackage:
    """The files of a migration.

    :param migration: with the notes that planning added.
    :param files: their texts by file name; the DAG file is the first.
    :param findings: for each pipeline, by its name, what SageMaker may refuse in its definition.
    :param check: what was found when the files were read back; None where the source was edited in place.
    """

    migration: Migration
    files: dict[str, str]
    findings: dict[str, Sequence[Finding]]
    check: StaticCheck | None = None

    @property
    def contradictions(self) -> tuple[str, ...]:
        """What the files do not do although the source or a record says so."""
        return () if self.check is None else self.check.contradictions

    @property
    def is_complete(self) -> bool:
        """Whether the result works without anything left to do."""
        return _is_complete(self.migration, self.findings, self.check)


def make_package(migration: Migration) -> MigrationPackage:
    """Make all files of a migration; the same migration always gives the same files.

    :raises MigrationError: there is no node to migrate, or no DAG can have the workflow's name.
    """
    name = migration.workflow.name
    if not _DAG_NAME.fullmatch(name):
        raise MigrationError(
            f"{name!r} cannot be the name of a DAG and its files: expected letters, digits, '_', '-' and '.', the "
            "first a letter or a digit."
        )
    if not migration.workflow.nodes:
        why = [f"{record.source}: {one.text}" for record in migration.records for one in record.reasons]
        raise MigrationError(" ".join([f"Nothing of {migration.origin} is left to migrate.", *why]))
    plan = plan_dag(migration.workflow)
    whole = _add_notes(migration, plan)
    file_names = {unit: f"{pipeline.name}.definition.json" for unit, pipeline in plan.pipelines.items()}
    definitions = {file_names[unit]: render_json(pipeline.definition) for unit, pipeline in plan.pipelines.items()}
    findings = {
        one.name: check_text(definitions[file_names[unit]], is_template=bool(one.bound))
        for unit, one in plan.pipelines.items()
    }
    doc = (
        f"{name}, migrated from {migration.origin}.\n\n``{name}.report.md`` says what became of each node.\n"
        "On AWS, set the Airflow variable ``sagemaker_role_arn``. On a laptop:\n"
        f"``sm-pipelines local exec -- airflow dags test {name}``.\n"
    )
    work = {f"{name}.py": _make_encodable(render_dag(plan, doc=doc, definitions=file_names)), **definitions}
    check = check_files(work, migration.workflow, whole.records, plan.copies)
    files = {
        **work,
        **migration.files,
        **render_reports(whole, [one.name for one in plan.pipelines.values()], findings, check),
    }
    return MigrationPackage(whole, {name: _make_encodable(text) for name, text in files.items()}, findings, check)


def _is_complete(migration: Migration, findings: Mapping[str, Sequence[Finding]], check: StaticCheck | None) -> bool:
    is_contradicted = check is not None and bool(check.contradictions)
    return migration.is_complete and not has_errors(findings) and not is_contradicted


def has_errors(findings: Mapping[str, Sequence[Finding]]) -> bool:
    """Whether SageMaker would refuse one of the pipelines."""
    return any(one.severity is Severity.ERROR for found in findings.values() for one in found)


def check_text(text: str, *, is_template: bool = False) -> Sequence[Finding]:
    """What SageMaker may refuse in a definition.

    :param is_template: whether it has placeholders for structures, whose values only a run knows.
    """
    held = read_document(text, name="the definition")[0] if is_template else HeldDefinition(text)
    definition, problems, variants = inspect_held(held)
    found = tuple(Finding("structure", Severity.ERROR, one.path, one.message) for one in problems)
    if definition is None or found:
        return found
    return tuple(check_definition(definition, variants=variants))


def render_json(value: JsonObject) -> str:
    """A document as it is written to a file."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _make_encodable(text: str) -> str:
    """The text with lone surrogates, which JSON allows and UTF-8 does not, as JSON's own escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# --- the report ------------------------------------------------------------------------------------------------------


def _add_notes(migration: Migration, plan: DagPlan) -> Migration:
    """The migration with the notes of planning in its records."""
    records = []
    for record in migration.records:
        notes = [note for note in plan.notes if note.target and note.target == record.target]
        outcome = record.outcome
        for note in notes:
            if note.outcome is not None and not outcome.is_open:
                outcome = note.outcome
        records.append(replace(record, outcome=outcome, reasons=(*record.reasons, *(note.reason for note in notes))))
    return replace(migration, records=tuple(records), differences=(*migration.differences, *plan.differences))


def render_reports(
    migration: Migration,
    pipelines: Sequence[str],
    findings: Mapping[str, Sequence[Finding]],
    check: StaticCheck | None = None,
) -> dict[str, str]:
    """The report for people and the one for programs, by file name.

    :param pipelines: the names of the pipelines.
    :param findings: for each pipeline, by its name, what SageMaker may refuse in its definition.
    :param check: what the files were found to hold, where they were read back.
    """
    name = migration.workflow.name
    return {
        f"{name}.report.md": _render_report(migration, pipelines, findings, check),
        f"{name}.report.json": render_json(_report_to_json(migration, pipelines, findings, check)),
    }


def _report_to_json(
    migration: Migration,
    pipelines: Sequence[str],
    findings: Mapping[str, Sequence[Finding]],
    check: StaticCheck | None,
) -> JsonObject:
    read_back: JsonObject = {}
    if check is not None:
        read_back["read_back"] = {"nodes": check.nodes, "orders": check.orders, "reads": check.reads}
        read_back["contradictions"] = list(check.contradictions)
    return {
        "origin": migration.origin,
        "dag": migration.workflow.name,
        "pipelines": list(pipelines),
        "complete": _is_complete(migration, findings, check),
        **read_back,
        "totals": cast("JsonObject", count_outcomes(migration.records)),
        "records": [record.to_json() for record in migration.records],
        "differences": [{"code": one.code, "text": one.text} for one in migration.differences],
        "findings": [
            {"pipeline": name, "severity": str(one.severity), "path": one.path, "message": one.message, "fix": one.fix}
            for name, found in findings.items()
            for one in found
        ],
    }


def _render_report(
    migration: Migration,
    pipelines: Sequence[str],
    findings: Mapping[str, Sequence[Finding]],
    check: StaticCheck | None,
) -> str:
    """The report as Markdown."""
    names = ", ".join(f"`{name}`" for name in pipelines) or "none"
    lines = [
        f"# {migration.workflow.name}: what became of {_on_one_line(migration.origin)}",
        "",
        f"{render_totals(migration.records)} Pipelines: {names}.",
        "",
    ]
    if check is not None:
        read_back = (
            f"The files were read back: {check.nodes} nodes are there, {check.orders} times one comes after another as "
            f"in the source, and {check.reads} values are read from what comes before."
        )
        lines[-1:-1] = [read_back]
    if check is not None and check.contradictions:
        contradictions = (f"- {_on_one_line(one)}" for one in check.contradictions)
        lines += ["## What the files do not do", "", *contradictions, ""]
    actions = [record for record in migration.records if record.action]
    if actions:
        to_do = (f"- **{_on_one_line(record.source)}**: {_on_one_line(record.action)}" for record in actions)
        lines += ["## To do", "", *to_do, ""]
    if migration.differences:
        differences = (f"- {_on_one_line(one.text)} ({one.code})" for one in migration.differences)
        lines += ["## What behaves differently", "", *differences, ""]
    lines += [
        "## Each node",
        "",
        "| source | kind | outcome | became | why, and what is lost |",
        "|---|---|---|---|---|",
    ]
    lines += [_render_row(record) for record in migration.records]
    if any(findings.values()):
        lines += ["", "## What SageMaker may refuse", ""]
        lines += [
            f"- `{name}`: {_on_one_line(f'{one.severity}: {one.path}: {one.message} {one.fix}')}"
            for name, found in findings.items()
            for one in found
        ]
    return "\n".join([*lines, ""])


def _render_row(record: Record) -> str:
    why = [f"{one.text} ({one.code})" for one in record.reasons]
    if record.lost:
        why.append("Not used: " + ", ".join(f"`{key}`" for key in record.lost))
    cells = (record.source, record.kind, str(record.outcome), record.target or "-", " ".join(why))
    return "| " + " | ".join(_on_one_line(cell).replace("|", "\\|") for cell in cells) + " |"


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
