"""``sm-pipelines migrate compare``: its exit codes and what it says. ``tests/comparison`` runs real DAGs."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.cli import main
from tests.migrate.stepfunctions.machines import machine, task

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("antlr4", reason="moto's interpreter needs what the extra 'compare' brings: run make setup")

MACHINE = machine(Tell=task("arn:aws:states:::sns:publish", {"Message": "m", "TopicArn": "t"}))


@pytest.fixture
def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command with a DAG that gives a topic a message, or fails to do so in the run that is to fail."""

    def run_dags(jobs: Any, environment: Any) -> list[dict[str, Any]]:
        ((file, scripts),) = jobs
        runs = [make_run(script["answers"]) for script in scripts]
        return [{"runs": runs, "before": before, "files": {"flow.py": file.read_text(encoding="utf-8")}}]

    def make_run(answers: Any) -> dict[str, Any]:
        events = []
        for name in sorted(answers):
            given = {"Message": messages[0], "TopicArn": "t"}
            is_failure = answers[name][0]["error"] is not None
            events.append({"task": name, "what": "sns publish", "given": given, "is_failure": is_failure})
            if is_failure:
                break
        return {"events": events, "end": "failed" if is_failure else "success", "states": {}}

    messages, before = ["m"], {"Tell": [], "Twice": []}
    monkeypatch.setattr("airflow_sm_pipelines.comparison.run_dags", run_dags)
    monkeypatch.setattr("airflow_sm_pipelines.cli.scratch_airflow.make_airflow", lambda: nullcontext({}))

    def compare(document: Any = MACHINE, *options: str, message: str = "m", dag: str = "flow.py") -> int:
        messages[0] = message
        source = tmp_path / "flow.asl.json"
        source.write_text(json.dumps(document), encoding="utf-8")
        (tmp_path / "flow.py").write_text("", encoding="utf-8")
        return main(["migrate", "compare", str(source), str(tmp_path / dag), *options])

    return compare


def test_equal_runs_end_with_zero(compare: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert compare() == 0
    assert capsys.readouterr().out.splitlines() == [
        "Run 1: 1 calls and waits, the machine ends with success: equal",
        "Run 2, with Tell failing: 1 calls and waits, the machine ends with failed: equal",
        "2 runs, all equal.",
    ]


def test_a_difference_ends_with_one_and_is_shown(
    compare: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(MACHINE, "--json", message="n") == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["equal"], shown["unreached"]) == (False, [])
    assert shown["runs"][0]["difference"] == "State Tell, task Tell: Message: 'm' in the machine, 'n' in the DAG."


def test_a_dag_that_lacks_an_edge_is_not_equal(compare: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    document = machine(
        Tell=task("arn:aws:states:::sns:publish", {"Message": "m", "TopicArn": "t"}, ResultPath=None, Next="Twice"),
        Twice=task("arn:aws:states:::sns:publish", {"Message": "m", "TopicArn": "t"}),
    )
    assert compare(document) == 1
    *_, lost, verdict = capsys.readouterr().out.splitlines()
    assert lost.endswith("(Twice) does not come after Tell.")
    assert verdict == "3 runs, all equal, but the order differs."
    assert compare(document, "--json") == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["equal"], len(shown["lost_order"])) == (False, 1)


@pytest.mark.parametrize(
    ("document", "options", "dag", "problem"),
    [
        (MACHINE, [], "other.py", "other.py: there is no such file."),
        (MACHINE, ["--select", "other"], "flow.py", "has no one machine 'other'"),
        ({"StartAt": "A"}, [], "flow.py", "flow.asl.json:1:1: the machine has no States."),
        (machine(W={"Type": "Wait", "SecondsPath": "$", "End": True}), [], "flow.py", "Give --sample-input."),
    ],
    ids=["no DAG file", "no such machine", "no machine", "no run ends"],
)
def test_what_cannot_be_compared_ends_with_two(
    compare: Callable[..., int],
    document: Any,
    options: list[str],
    dag: str,
    problem: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert compare(document, *options, dag=dag) == 2
    assert problem in capsys.readouterr().err


def test_a_pipeline_of_containers_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = Path(__file__).parents[3] / "data" / "migrate" / "kubeflow" / "price.yaml"
    (tmp_path / "price.py").write_text("", encoding="utf-8")
    assert main(["migrate", "compare", str(source), str(tmp_path / "price.py")]) == 2
    assert "is not a lightweight Python component" in capsys.readouterr().err
