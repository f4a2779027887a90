"""The page on the engine says what the engine does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import StepType
from airflow_sm_pipelines.engine.operations import all_operations
from airflow_sm_pipelines.engine.steps import step_executors

if TYPE_CHECKING:
    from pathlib import Path

_ROW = re.compile(r"^\| (\w+) \| (\w+) \|", re.MULTILINE)


def read_table(repository: Path, heading: str) -> dict[str, str]:
    """The first two columns of the table under a heading."""
    text = (repository / "docs" / "engine.md").read_text()
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    return {name: word for name, word in _ROW.findall(section) if name not in ("operation", "type")}


def test_the_page_lists_exactly_the_operations_the_engine_answers(repository: Path) -> None:
    table = read_table(repository, "API operations")
    assert set(table) == set(all_operations())
    assert set(table.values()) <= {"same", "differs", "refused"}


def test_the_page_says_of_every_step_type_whether_the_engine_runs_it(repository: Path) -> None:
    table = read_table(repository, "Step types")
    assert {name for name, word in table.items() if word != "refused"} == set(step_executors())
    assert {step_type.value for step_type in StepType} <= set(table)
