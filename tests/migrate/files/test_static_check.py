"""The files of a migration, read back and held against its workflow: each thing that is taken out of them is missed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.migrate import LoopNode, Outcome, TryNode, make_package
from airflow_sm_pipelines.migrate.dag_plan.dag import plan_dag
from airflow_sm_pipelines.migrate.files.static_check import StaticCheck, check_files
from tests.migrate.files.test_package import everything
from tests.migrate.stepfunctions.machines import function, machine, model, package
from tests.migrate.workflows import after, call, choice, fail, get, migration, score_of, step

if TYPE_CHECKING:
    from airflow_sm_pipelines.migrate import Migration


def check(whole: Migration, old: str = "", new: str = "", *, file: str = "flow.py") -> StaticCheck:
    """Check the files of a migration after a text in one of them was replaced."""
    files = {name: text for name, text in make_package(whole).files.items() if ".report." not in name}
    assert old in files[file]
    files[file] = files[file].replace(old, new)
    return check_files(files, whole.workflow, whole.records, plan_dag(whole.workflow).copies)


def test_files_that_hold_everything_contradict_nothing() -> None:
    found = check(everything())
    assert found.contradictions == ()
    assert (found.nodes, found.orders > 12, found.reads > 2) == (13, True, True)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("run_each >> missing", "missing", r"States.Missing \(Missing\) does not come after Test"),
        ('return ["Good"]', 'return ["Missing"]', "the task Check may choose Missing, which does not follow it"),
        ("task_ids='Good'", "task_ids='Label'", "the task run_Third reads the task Label, which does not come before"),
        ("key='Score_score'", "key='other'", "reads other of the task run_Score, which does not give it"),
        ('task_id="Good"', 'task_id="Other"', "States.Good is said to be Good, which is not there"),
        ("    check >> good", "    check >> good >> check", "the task Check comes after itself"),
    ],
    ids=["order", "branch", "reference", "output", "target", "circle"],
)
def test_what_the_dag_file_lacks_is_told(old: str, new: str, fault: str) -> None:
    assert any(re.search(fault, one) for one in check(everything(), old, new).contradictions)


def mapped() -> Migration:
    """A loop that Airflow repeats: two calls for each item, and one after all."""
    loop = LoopNode("Each", "States.Each", [1, 2], (call("A"), call("B", "A")), 50, after("First"))
    return migration(call("First"), loop, call("Last", "Each"))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("first >> each_items", "first", r"States.Each \(Each\) does not come after First"),
        ("a >> b", "a", r"States.B \(B\) does not come after A"),
        ("each_each >> each", "each_each", r"States.Each \(Each\) does not come after B"),
        (".expand(item=each_items)", ".expand(item=[])", r"States.A \(A\) does not come after First"),
        ("each >> last", "each", r"States.Last \(Last\) does not come after B"),
    ],
)
def test_what_a_mapped_group_lacks_is_told(old: str, new: str, fault: str) -> None:
    assert check(mapped()).contradictions == ()
    assert any(re.search(fault, one) for one in check(mapped(), old, new).contradictions)


def in_one_pipeline() -> Migration:
    """A pipeline with a choice, of which each branch goes on with a copy of the last step."""
    check_score = choice("Check", "First", ways={"1": (step("Good"),), "else": ()}, value=score_of("First"))
    return migration(step("First"), check_score, step("Last", "Check", given=score_of("First")))


def test_a_copied_step_is_held_in_each_branch() -> None:
    assert check(in_one_pipeline()).contradictions == ()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda steps: steps.pop(1), "States.Check (Check) is not there"),
        (lambda steps: steps[1]["Arguments"]["IfSteps"].pop(0), "States.Good (Good) is not there"),
        (
            lambda steps: steps[1]["Arguments"].update(ElseSteps=[{**steps[0], "Name": "Good"}]),
            "States.Last (Last) does not come after Check",
        ),
    ],
    ids=["choice", "step in a branch", "place in a branch"],
)
def test_what_a_definition_lacks_is_told(change: Any, fault: str) -> None:
    whole = in_one_pipeline()
    made = make_package(whole).files
    definition = json.loads(made["flow.definition.json"])
    steps = definition["Steps"]
    if "does not come" in fault:
        steps.append({**steps[1]["Arguments"]["ElseSteps"][0], "Name": "Last"})
        steps[1]["Arguments"]["IfSteps"] = [one for one in steps[1]["Arguments"]["IfSteps"] if one["Name"] == "Good"]
    change(steps)
    files = {"flow.py": made["flow.py"], "flow.definition.json": json.dumps(definition)}
    found = check_files(files, whole.workflow, whole.records, plan_dag(whole.workflow).copies)
    assert fault in found.contradictions


def test_a_handler_comes_after_the_work_and_reads_its_error() -> None:
    work = TryNode("Try", "States.Try", (call("Work"),), (call("Handle", MessageBody=get("Errors.Try.Cause")),))
    whole = migration(work, call("Last", "Try"))
    assert check(whole).contradictions == ()
    broken = check(whole, "    work >> task_try\n")
    assert "States.Try (Try) does not come after Work" in broken.contradictions


def test_a_contradiction_is_in_the_report_and_the_migration_is_not_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_sm_pipelines.migrate.files import package as module

    monkeypatch.setattr(module, "check_files", lambda *_: StaticCheck(0, 0, 0, ("A does not come after B",)))
    made = make_package(migration(step("A"), fail("B", "A")))
    assert not made.is_complete
    report = json.loads(made.files["flow.report.json"])
    assert (report["complete"], report["contradictions"]) == (False, ["A does not come after B"])
    assert "## What the files do not do\n\n- A does not come after B\n" in made.files["flow.report.md"]


def test_what_a_source_says_about_reading_xcoms_is_no_read() -> None:
    text = "{{ ti.xcom_pull(task_ids='Nobody') }}"
    whole = migration(call("A", MessageBody=text), call("B", *(one.step for one in after("A")), MessageBody=text))
    assert check(whole).contradictions == ()


def test_a_choice_of_which_nothing_is_left_is_not_said_to_be_there() -> None:
    rules = [{"Variable": "$.n", "NumericEquals": 1, "Next": "One"}]
    made = package(
        machine(
            A=model(ResultPath=None, Next="Which"),
            Which={"Type": "Choice", "Choices": rules, "Default": "Two"},
            One={"Type": "Pass", "Result": 1, "ResultPath": "$.chosen", "Next": "Last"},
            Two={"Type": "Pass", "Result": 2, "ResultPath": "$.chosen", "Next": "Last"},
            Last=function(Parameters={}),
        )
    )
    (record,) = (one for one in made.migration.records if "Which" in one.source)
    assert (record.outcome, record.target, made.contradictions) == (Outcome.FOLDED, "", ())
