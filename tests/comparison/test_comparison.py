"""The examples against their DAGs, in a real Airflow beside the real endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.comparison import prepare_comparison, run_dags
from airflow_sm_pipelines.documents import Variables
from airflow_sm_pipelines.migrate import make_package
from airflow_sm_pipelines.migrate.stepfunctions import find_machines, read_machine
from tests.airflow_runs import airflow_environment, migrate

if TYPE_CHECKING:
    from airflow_sm_pipelines.comparison import MachineComparison

pytestmark = pytest.mark.slow
pytest.importorskip("antlr4", reason="moto's interpreter needs what the extra 'compare' brings: run make setup")

MACHINES = Path(__file__).parents[1] / "data" / "migrate" / "stepfunctions"
EXAMPLES = {"inspect": 4, "release": 4, "retire": 4, "grade": 6, "order": 4, "watch": 3}
"""How many runs of each are compared; those of grade and order are in JSONata."""


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, MachineComparison]:
    """The first runs of each example, all in one Airflow."""
    home = tmp_path_factory.mktemp("airflow")
    migrate(home)
    prepared, jobs = [], []
    for name, limit in EXAMPLES.items():
        folder = tmp_path_factory.mktemp("dags")
        variables = Variables(["Bucket=models"])
        source = (MACHINES / f"{name}.asl.json").read_bytes()
        (held,) = find_machines(source, name=name, variables=variables, read=lambda _: None)
        migration = read_machine(held, name=name, origin=name, variables=variables)
        for file, text in make_package(migration).files.items():
            (folder / file).write_text(text, encoding="utf-8")
        prepared.append(prepare_comparison(held, migration, variables=variables, limit=limit))
        jobs.append((folder / f"{name}.py", prepared[-1].scripts))
    ended = run_dags(jobs, airflow_environment(home))
    return {name: one.judge(runs) for name, one, runs in zip(EXAMPLES, prepared, ended, strict=True)}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_does_what_its_machine_does(compared: dict[str, MachineComparison], name: str) -> None:
    assert [run.difference for run in compared[name].runs if run.difference] == []
    assert len(compared[name].runs) == EXAMPLES[name]
    assert {run.end for run in compared[name].runs} == {"success", "failed"}
