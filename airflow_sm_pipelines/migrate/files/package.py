"""The files that a migration gives: a DAG, the definitions of its pipelines, and a report for people and programs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import inspect_definition
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.dag_plan.dag import plan_dag
from airflow_sm_pipelines.migrate.files.dag_file import render_dag
from airflow_sm_pipelines.migrate.files.report_page import merge_notes, render_report, report_to_json
from airflow_sm_pipelines.policy import Finding, Severity, check_definition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.migrate.report import Migration


_DAG_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True, slots=True)
class MigrationPackage:
    """The files of a migration.

    :param migration: with what planning added.
    :param files: text by file name; the DAG file is the first.
    :param findings: of each pipeline's definition, by the pipeline's name.
    """

    migration: Migration
    files: dict[str, str]
    findings: dict[str, Sequence[Finding]]


def make_package(migration: Migration) -> MigrationPackage:
    """All files of a migration; the same migration gives the same files.

    :raises MigrationError: when no node is left to migrate, or the workflow's name can be no DAG's.
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
    whole = merge_notes(migration, plan)
    definitions = {unit: f"{pipeline.name}.definition.json" for unit, pipeline in plan.pipelines.items()}
    texts = {
        definitions[unit]: json.dumps(pipeline.definition, indent=2, ensure_ascii=False) + "\n"
        for unit, pipeline in plan.pipelines.items()
    }
    findings = {plan.pipelines[unit].name: _check(texts[file]) for unit, file in definitions.items()}
    doc = (
        (
            f"{name}, migrated from {migration.origin}.\n\n``{name}.report.md`` says what became of each node.\n"
            "On AWS, set the Airflow variable ``sagemaker_role_arn``. On a laptop:\n"
            f"``sm-pipelines local exec -- airflow dags test {name}``.\n"
        )
        .replace("\\", "/")
        .replace('"""', "'")
    )
    files = {
        f"{name}.py": render_dag(plan, doc=doc, definitions=definitions),
        **texts,
        f"{name}.report.md": render_report(whole, plan, findings),
        f"{name}.report.json": json.dumps(report_to_json(whole, plan, findings), indent=2, ensure_ascii=False) + "\n",
    }
    return MigrationPackage(whole, files, findings)


def _check(text: str) -> Sequence[Finding]:
    definition, problems = inspect_definition(text)
    found = tuple(Finding("structure", Severity.ERROR, one.path, one.message) for one in problems)
    return found if definition is None or found else tuple(check_definition(definition))
