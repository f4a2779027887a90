"""``sm-pipelines migrate stepfunctions`` and ``assess``: what they write, say and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_sm_pipelines.cli import main

MACHINE = Path(__file__).parents[3] / "data" / "migrate" / "stepfunctions" / "release.asl.json"
PASS = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "End": True}}}


def run(folder: Path, *arguments: str | Path) -> int:
    """Run the command."""
    return main(["migrate", "stepfunctions", *map(str, arguments), "-o", str(folder)])


def test_a_machine_becomes_files_called_after_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, MACHINE) == 0
    assert "9 nodes: 3 translated, 1 folded, 5 airflow." in capsys.readouterr().out
    names = {"release.py", "release.definition.json", "release.report.md", "release.report.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    first = {name: (tmp_path / name).read_bytes() for name in names}
    assert run(tmp_path, MACHINE) == 2
    assert run(tmp_path, MACHINE, "--force", "--json") == 0
    assert {name: (tmp_path / name).read_bytes() for name in names} == first


def test_the_definition_is_valid_before_its_values_are_known(tmp_path: Path) -> None:
    assert run(tmp_path, MACHINE) == 0
    assert main(["validate", str(tmp_path / "release.definition.json")]) == 0


def test_what_is_left_ends_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(MACHINE.read_text(encoding="utf-8"))
    document["States"]["Tell"]["Resource"] = "arn:aws:states:::apigateway:invoke"
    source = tmp_path / "left.asl.json"
    source.write_text(json.dumps(document, indent=2), encoding="utf-8")
    assert run(tmp_path / "out", source) == 1
    shown = capsys.readouterr().out
    assert "To do, States.Tell (left.asl.json:" in shown
    assert run(tmp_path / "again", source, "--allow-partial") == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--define", "Bukket=b"], "--define Bukket: there is no placeholder of that name."),
        (["--define", "Bucket"], "--define 'Bucket' is not NAME=VALUE"),
        (["--select", "other"], "--select other: there is no such machine; those are release."),
        (["--name", "no good"], "'no good' cannot be the name of a DAG"),
    ],
    ids=str,
)
def test_nothing_is_written_where(
    tmp_path: Path, arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "out", MACHINE, *arguments) == 2
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_several_machines_of_a_template_are_told_apart(tmp_path: Path) -> None:
    flow = {"Type": "AWS::Serverless::StateMachine", "Properties": {"Definition": PASS}}
    template = tmp_path / "template.json"
    template.write_text(json.dumps({"Resources": {"One": flow, "Two": flow}}), encoding="utf-8")
    assert run(tmp_path / "both", template) == 0
    assert {path.name for path in (tmp_path / "both").glob("*.py")} == {"One.py", "Two.py"}
    assert run(tmp_path / "named", template, "--name", "x") == 2
    assert run(tmp_path / "one", template, "--select", "Two", "--name", "x") == 0
    assert {path.name for path in (tmp_path / "one").glob("*.py")} == {"x.py"}


def test_a_template_names_no_file_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.asl.json").write_text(json.dumps(PASS), encoding="utf-8")
    inside = tmp_path / "inside"
    inside.mkdir()
    flow = {"Type": "AWS::Serverless::StateMachine", "Properties": {"DefinitionUri": "../secret.asl.json"}}
    (inside / "t.json").write_text(json.dumps({"Resources": {"One": flow}}), encoding="utf-8")
    assert run(tmp_path / "out", inside / "t.json") == 2


def test_a_folder_is_assessed_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.asl.json").write_text(json.dumps(PASS), encoding="utf-8")
    (tmp_path / "bad.asl.json").write_text('{"StartAt": "A"', encoding="utf-8")
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    jobs = Path(__file__).parents[3] / "data" / "migrate" / "jobs"
    (tmp_path / "train.json").write_bytes((jobs / "2-train.json").read_bytes())
    for hidden in (".git", "node_modules", "cdk.out"):
        (tmp_path / hidden).mkdir()
        (tmp_path / hidden / "one.asl.json").write_text(json.dumps(PASS), encoding="utf-8")
    before = sorted(tmp_path.iterdir())
    assert main(["migrate", "assess", str(tmp_path), "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [(row["file"], row["complete"]) for row in rows] == [
        ("bad.asl.json", False),
        ("one.asl.json", True),
        ("1 answers of Describe calls", True),
    ]
    assert "bad.asl.json:1:" in rows[0]["problem"]
    assert sorted(tmp_path.iterdir()) == before
    assert main(["migrate", "assess", str(tmp_path)]) == 1
    assert "3 workflows, 2 of them whole." in capsys.readouterr().out
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["migrate", "assess", str(empty)]) == 2
