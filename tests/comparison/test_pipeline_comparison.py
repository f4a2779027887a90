"""A Kubeflow pipeline against its DAG: what counts as a difference, and an example that has none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from airflow_sm_pipelines.comparison.kfp_environment import find_packages, make_kfp_environment
from airflow_sm_pipelines.comparison.pipeline_comparison import PreparedPipelineComparison, run_jobs
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate import MigrationPackage, make_package
from airflow_sm_pipelines.migrate.kubeflow import HeldPipeline, find_pipelines, read_pipeline
from tests.airflow_runs import airflow_environment, migrate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.comparison.kfp_environment import KfpEnvironment

GRADE = Path(__file__).parents[1] / "data" / "migrate" / "kubeflow" / "grade.yaml"


def read() -> tuple[HeldPipeline, MigrationPackage]:
    """The example, and what it becomes."""
    (held,) = find_pipelines(GRADE.read_bytes(), name=GRADE.name)
    return held, make_package(read_pipeline(held, name="grade", origin=GRADE.name))


class Played:
    """Stands in for the Python with kfp: each run of the pipeline does the same.

    :param events: of a run.
    """

    seed_file = Path("seed")

    def __init__(self, events: Sequence[dict[str, Any]], end: str = "success") -> None:
        self._run = {"events": list(events), "end": end, "reason": "a reason"}

    def run(self, held: HeldPipeline, scripts: Sequence[Any]) -> list[dict[str, Any]]:
        """The same run for each script."""
        return [self._run for _ in scripts]


def kubeflow_event(task: str, output: Any = 1, *, is_failure: bool = False) -> dict[str, Any]:
    """A task that ran in Kubeflow."""
    values = {} if is_failure else {"Output": output}
    return {"task": task, "component": f"comp-{task}", "values": values, "artifacts": {}, "is_failure": is_failure}


def dag_event(step: str, begun: float, output: Any = 1, *, is_failure: bool = False) -> dict[str, Any]:
    """A step that ran in the DAG, for one second."""
    given = kubeflow_event(step, output, is_failure=is_failure)
    return {**given, "begun": begun, "ended": begun + 1}


def prepare(events: Sequence[dict[str, Any]], end: str = "success") -> PreparedPipelineComparison:
    """The example with runs that are played."""
    held, package = read()
    return PreparedPipelineComparison(held, package.migration, cast("KfpEnvironment", Played(events, end)), limit=1)


PREPARE, GUESS = kubeflow_event("prepare"), kubeflow_event("guess")


@pytest.mark.parametrize(
    ("events", "steps", "end", "said"),
    [
        ([PREPARE, GUESS], [dag_event("prepare", 0), dag_event("guess", 2)], "success", ""),
        ([PREPARE, GUESS], [dag_event("prepare", 0)], "success", "guess: it runs once more in Kubeflow"),
        ([PREPARE], [dag_event("prepare", 0), dag_event("guess", 2)], "success", "once more in the DAG"),
        ([PREPARE], [dag_event("prepare", 0, 2)], "success", "Output: 1 in Kubeflow, 2 in the DAG"),
        ([PREPARE], [dag_event("prepare", 0, is_failure=True)], "success", "it succeeds in Kubeflow, and fails"),
        (
            [PREPARE, GUESS],
            [dag_event("prepare", 0), dag_event("guess", 0.5)],
            "success",
            "guess begins before prepare",
        ),
        ([PREPARE], [dag_event("prepare", 0)], "failed", "ends with success, and the DAG with failed"),
        ([PREPARE], [dag_event("other", 0)], "success", "the pipeline has no such task"),
    ],
    ids=["equal", "lacking", "extra", "value", "failure", "order", "end", "unknown"],
)
def test_what_differs_is_said(events: list[Any], steps: list[Any], end: str, said: str) -> None:
    compared = prepare(events).judge({"runs": [{"events": steps, "end": end, "states": {}}]})
    difference = compared.runs[0].difference
    assert difference == "" if not said else said in difference
    assert "the task root.exit-handler-1.condition-branches-2" in compared.unreached[0]


def test_after_a_failure_only_what_waits_for_it_must_be_the_same() -> None:
    failed = [kubeflow_event("prepare", is_failure=True), kubeflow_event("tell")]
    steps = [dag_event("prepare", 0, is_failure=True), dag_event("tell-failed", 2)]
    ended = {"events": steps, "end": "failed", "states": {}}
    assert prepare(failed, "failed").judge({"runs": [ended]}).is_equal
    ended = {"events": [*steps, dag_event("guess", 3)], "end": "failed", "states": {}}
    assert "once more in the DAG" in prepare(failed, "failed").judge({"runs": [ended]}).runs[0].difference


def test_what_kfp_local_does_not_run_cannot_be_compared() -> None:
    with pytest.raises(MigrationError, match=r"kfp.local does not run this pipeline.*a reason"):
        prepare([PREPARE], "failed")
    held, _ = read()
    container = {"executors": {"exec-a": {"container": {"image": "alpine", "command": ["echo"]}}}}
    with pytest.raises(MigrationError, match="a is not a lightweight Python component"):
        find_packages(HeldPipeline("p", False, {"deploymentSpec": container}, held.locate))
    with pytest.raises(MigrationError, match="The DAG could not be run: it is broken"):
        prepare([PREPARE]).judge({"problem": "it is broken"})


@pytest.mark.slow
def test_the_example_does_what_kubeflow_does(tmp_path: Path) -> None:
    held, package = read()
    for name, text in package.files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    home = tmp_path / "airflow"
    migrate(home)
    with make_kfp_environment([held]) as environment:
        prepared = PreparedPipelineComparison(held, package.migration, environment, ({},), limit=2)
        (ended,) = run_jobs([(tmp_path / "grade.py", prepared)], airflow_environment(home))
    compared = prepared.judge(ended)
    assert [run.difference for run in compared.runs if run.difference] == []
    assert [(run.end, run.failing) for run in compared.runs] == [("success", ()), ("failed", ("prepare",))]
    assert len(compared.unreached) == 1
