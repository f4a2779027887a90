"""A DAG file with SageMaker operators against the migrated one: what counts as a difference, and an example."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_sm_pipelines.comparison.operator_comparison import compare_operators, judge_operators
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate import Migration, Workflow
from airflow_sm_pipelines.migrate.airflow.dag_migration import migrate_dag_file
from tests.airflow_runs import airflow_environment, migrate

NIGHTLY = Path(__file__).parents[1] / "data" / "migrate" / "airflow" / "nightly.py"
STEPS = {"a": {"task": "a", "noun": "Model"}, "b": {"task": "b", "noun": "EndpointConfig"}}


def operator(task: str, noun: str, given: dict[str, Any], *, is_failure: bool = False) -> dict[str, Any]:
    """A request that an operator has made."""
    return {"task": f"{task} {noun}", "what": f"step {noun}", "given": given, "is_failure": is_failure}


def step(name: str, kind: str, given: dict[str, Any]) -> dict[str, Any]:
    """A step that ran."""
    return {"task": name, "what": f"step {kind}", "given": {"Arguments": given}, "is_failure": False}


def run(*events: dict[str, Any], end: str = "success", **states: str) -> dict[str, Any]:
    """A run of a DAG in which b waits for a."""
    found = {f"{name} -1": state for name, state in states.items()}
    return {"events": list(events), "end": end, "states": found, "upstream": {"b": ["a"]}}


MODEL = operator("a", "Model", {"ModelName": "m", "ExecutionRoleArn": "arn:role"})
CONFIG = operator("b", "EndpointConfig", {"EndpointConfigName": "c", "KmsKeyId": "m"})
MADE = step("a", "Model", {"ExecutionRoleArn": "arn:role"})
CONFIGURED = step("b", "EndpointConfig", {"KmsKeyId": "m"})


@pytest.mark.parametrize(
    ("source", "dag", "said"),
    [
        (run(MODEL, CONFIG, other="success"), run(MADE, CONFIGURED, other="success"), ""),
        (run(MODEL, CONFIG), run(MADE), "Task b: the operator makes a EndpointConfig, and no step does"),
        (run(MODEL), run(MADE, CONFIGURED), "Step b: it runs, and its operator did not"),
        (
            run(MODEL),
            run(step("a", "Model", {"ExecutionRoleArn": "x"})),
            "'arn:role' in the operator's request, 'x' in",
        ),
        (run(MODEL, CONFIG), run(CONFIGURED, MADE), "task b runs before that of a"),
        (run(MODEL, other="success"), run(MADE, other="skipped"), "success in the old DAG, skipped in the new one"),
        (
            run(MODEL, a="success"),
            run(MADE, a="failed", end="failed"),
            "ends with success, and the new one with failed",
        ),
    ],
    ids=["equal", "lacking", "extra", "request", "order", "state", "end"],
)
def test_what_differs_is_said(source: dict[str, Any], dag: dict[str, Any], said: str) -> None:
    difference = judge_operators(source, dag, STEPS)
    assert difference == "" if not said else said in difference


def test_a_file_of_which_nothing_became_a_pipeline_cannot_be_compared(tmp_path: Path) -> None:
    migration = Migration("it", Workflow("it", ()), (), ())
    with pytest.raises(MigrationError, match="nothing to compare"):
        compare_operators(tmp_path / "old.py", tmp_path / "new.py", migration, {})


@pytest.mark.slow
def test_the_example_does_what_its_operators_do(tmp_path: Path) -> None:
    package = migrate_dag_file(NIGHTLY.read_bytes(), file_name="nightly.py", name="nightly", load=lambda _: None)
    for name, text in package.files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    home = tmp_path / "airflow"
    migrate(home)
    compared = compare_operators(
        NIGHTLY,
        tmp_path / "nightly.py",
        package.migration,
        airflow_environment(home),
        samples=({}, {"model": "other"}),
    )
    assert [one.difference for one in compared.runs if one.difference] == []
    assert [(one.calls, one.end, one.failing) for one in compared.runs] == [
        (2, "success", ()),
        (0, "success", ()),
        (1, "failed", ("register",)),
        (2, "failed", ("configure",)),
    ]
    assert compared.unreached == ()
