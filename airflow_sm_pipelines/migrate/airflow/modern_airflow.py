"""Fixes what Airflow 3 no longer has and ruff does not fix.

That is ``airflow.contrib``, ``days_ago``, ``provide_context``, and dates in templates.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from airflow_sm_pipelines.migrate.airflow.call_edits import CallEditor
from airflow_sm_pipelines.migrate.airflow.imports import add_import, read_imports
from airflow_sm_pipelines.migrate.airflow.source_file import Edit, read_source
from airflow_sm_pipelines.migrate.report import Outcome, Reason, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.migrate.airflow.source_file import SourceFile

_MOVED = (
    (re.compile(r"airflow\.providers\.amazon\.aws\.operators\.s3_\w+"), "airflow.providers.amazon.aws.operators.s3"),
    (re.compile(r"airflow\.contrib\.operators\.sagemaker_\w+"), "airflow.providers.amazon.aws.operators.sagemaker"),
    (re.compile(r"airflow\.contrib\.sensors\.sagemaker_\w+"), "airflow.providers.amazon.aws.sensors.sagemaker"),
    (re.compile(r"airflow\.contrib\.hooks\.sagemaker_hook"), "airflow.providers.amazon.aws.hooks.sagemaker"),
    (re.compile(r"airflow\.contrib\.hooks\.aws_hook"), "airflow.providers.amazon.aws.hooks.base_aws"),
    (
        re.compile(r"airflow\.providers\.amazon\.aws\.(operators|sensors)\.sagemaker_(?!unified|notebook)\w+"),
        r"airflow.providers.amazon.aws.\1.sagemaker",
    ),
    (
        re.compile(r"airflow\.(?:operators|models)\.(?:dummy_operator|dummy)"),
        "airflow.providers.standard.operators.empty",
    ),
    (re.compile(r"airflow\.operators\.(?:python_operator|python)"), "airflow.providers.standard.operators.python"),
    (re.compile(r"airflow\.operators\.(?:bash_operator|bash)"), "airflow.providers.standard.operators.bash"),
    (re.compile(r"airflow\.operators\.empty"), "airflow.providers.standard.operators.empty"),
)
_RENAMED = {"DummyOperator": "EmptyOperator", "AwsHook": "AwsBaseHook"}
_DATES = {"execution_date": "logical_date", "next_execution_date": "data_interval_end"}
_DAYS_AGO = "airflow.utils.dates.days_ago"


def modernise(source: bytes, *, name: str) -> tuple[bytes, list[Record]]:
    """Fix a DAG file for Airflow 3.

    :return: the file, and a record for each line that changed.
    """
    file = read_source(source, name=name)
    found = [*_move_modules(file), *_replace_days_ago(file), *_edit_arguments(file), *_rename_dates(file)]
    records = [
        Record(place, "Airflow 3", Outcome.TRANSLATED, reasons=(Reason("AIRFLOW-MODERN-001", text),))
        for place, text, _ in found
    ]
    edits = [edit for _, _, several in found for edit in several]
    return (file.apply(edits) if edits else source), records


def _move_modules(file: SourceFile) -> Iterator[tuple[str, str, list[Edit]]]:
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.ImportFrom) or node.level or not node.module:
            continue
        for pattern, module in _MOVED:
            if pattern.fullmatch(node.module):
                moved = pattern.sub(module, node.module)
                start = file.span(node)[0]
                at = file.data.index(node.module.encode(), start)
                edits = [Edit(at, at + len(node.module.encode()), moved)]
                for alias in node.names:
                    new = _RENAMED.get(alias.name)
                    if new is not None:
                        edits.append(Edit(*file.span(alias), f"{new} as {alias.asname or alias.name}"))
                yield file.place(node), f"{node.module} is {moved} now.", edits
                break


def _replace_days_ago(file: SourceFile) -> Iterator[tuple[str, str, list[Edit]]]:
    imports = read_imports(file)
    replaced: ast.Call | None = None
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.Call) or len(node.args) != 1 or node.keywords:
            continue
        if imports.resolve(node.func) == _DAYS_AGO:
            days = file.text(node.args[0])
            text = f'pendulum.today("UTC").add(days=-{days if days.isdigit() else f"({days})"})'
            replaced = node if replaced is None or file.span(node) < file.span(replaced) else replaced
            yield file.place(node), "days_ago is gone; this is the same day.", [Edit(*file.span(node), text)]
    if replaced is None:
        return
    is_imported = "pendulum" in imports.names
    for statement, alias in _iter_old_imports(file):
        new = "" if is_imported else "import pendulum"
        if isinstance(statement, ast.Import) and alias.asname is None:
            new = f"import airflow{file.newline}{new}".rstrip()
        yield file.place(statement), "airflow.utils.dates is gone.", [Edit(*file.span(statement), new or "pass")]
        is_imported = True
    if not is_imported:
        yield f"{file.name}:1:1", "pendulum is imported.", [add_import(file, "import pendulum", before=replaced)]


def _iter_old_imports(file: SourceFile) -> Iterator[tuple[ast.Import | ast.ImportFrom, ast.alias]]:
    """The imports at the file's top level that bring nothing but ``days_ago`` or its module."""
    for node in file.tree.body:
        if isinstance(node, ast.ImportFrom) and len(node.names) == 1:
            path = f"{node.module}.{node.names[0].name}"
            if path in (_DAYS_AGO, _DAYS_AGO.rpartition(".")[0]):
                yield node, node.names[0]
        elif isinstance(node, ast.Import) and [one.name for one in node.names] == [_DAYS_AGO.rpartition(".")[0]]:
            yield node, node.names[0]


def _rename_dates(file: SourceFile) -> Iterator[tuple[str, str, list[Edit]]]:
    """Templates that name a date as Airflow 2 did."""
    seen = set()
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or "{{" not in node.value:
            continue
        start, end = file.span(node)
        if start in seen:  # another part of the same f-string
            continue
        seen.add(start)
        text = file.data[start:end].decode("utf-8", "replace")
        for old, new in _DATES.items():
            places = [found.start() for found in re.finditer(rf"\b{old}\b", text)]
            if places and f"'{old}'" not in text:
                edits = [Edit(start + at, start + at + len(old), new) for at in _as_bytes(text, places)]
                yield file.place(node), f"{old} is {new} now.", edits


def _as_bytes(text: str, places: list[int]) -> list[int]:
    return [len(text[:place].encode()) for place in places]


def _edit_arguments(file: SourceFile) -> Iterator[tuple[str, str, list[Edit]]]:
    imports = read_imports(file)
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.Call):
            continue
        names = {one.arg for one in node.keywords}
        editor = CallEditor(file, node)
        is_dag = imports.resolve(node.func).rpartition(".")[2] in ("DAG", "dag")
        if "provide_context" in names and editor.remove("provide_context"):
            yield file.place(node), "provide_context is gone: the context is always given.", editor.edits
        elif is_dag and "schedule_interval" in names and "schedule" not in names:
            editor.rename("schedule_interval", "schedule")
            if "concurrency" in names:
                editor.rename("concurrency", "max_active_tasks")
            yield file.place(node), "schedule_interval is schedule now, concurrency max_active_tasks.", editor.edits
