"""The progress that ``make demo`` takes from Airflow's log."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "demo.py"
TIME = "\x1b[2m2026-11-30T12:03:28.430205Z\x1b[0m"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "sm-pipelines: local endpoint http://127.0.0.1:4610, pages at http://127.0.0.1:4610/_console, state in /s",
            "local endpoint http://127.0.0.1:4610",
        ),
        (f"{TIME} [info     ] [DAG TEST] starting task_id=train map_index=-1 [airflow.dag] loc=d", "Task train starts"),
        (
            f"{TIME} [info     ] Step 'Train' (Training) Succeeded after 2.7 s [airflow_sm_pipelines.triggers] loc=x",
            "  Step 'Train' (Training) Succeeded after 2.7 s",
        ),
        (
            f"{TIME} [info     ] Compiled /d/p.py:get_pipeline with SageMaker SDK 2.2; uploaded s3://b [a] loc=x",
            "  Compiled /d/p.py:get_pipeline with SageMaker SDK 2.2",
        ),
        (f"{TIME} [error    ] Task failed with exception     [task] loc=t", "  error: Task failed with exception"),
        (f"{TIME} [info     ] Bulk-writing dags to db        [airflow.serialization] count=23 loc=dag.py:218", None),
        ("", None),
    ],
    ids=["endpoint", "task", "step", "compiled", "error", "noise", "empty"],
)
def test_a_line_of_the_log_is_progress_or_is_not(line: str, words: str | None) -> None:
    spec = importlib.util.spec_from_file_location("demo", SCRIPT)
    assert spec
    assert spec.loader
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    assert demo.progress_words(line) == words
