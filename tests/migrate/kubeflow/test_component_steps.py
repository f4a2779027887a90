"""Scripts for images without Python, run by a real shell: they read and give what the launcher does."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.migrate import Outcome, PipelineStepNode
from tests.migrate.kubeflow.pipelines import call, constant, make, make_files, output

if TYPE_CHECKING:
    from pathlib import Path

SHELL = {
    "command": ["sh", "-c"],
    "args": [
        'printf "%s" "$0" > "$1"',
        "{{$.inputs.parameters['text']}}",
        "{{$.outputs.parameters['Output'].output_file}}",
    ],
}


def run(folder: Path, script: str) -> dict[str, Any]:
    """Run a script with a folder in place of the job's, and give what it has written."""
    text = script.replace("/opt/ml/processing", str(folder))
    subprocess.run(["sh", "-c", text, "sh", "base=s3://b/a"], check=True, timeout=30)
    found: dict[str, Any] = json.loads((folder / "output" / "outputs.json").read_text())
    return found


def read_scripts(container: dict[str, Any], *texts: str) -> list[str]:
    """The scripts of tasks that are given some texts, and of one that is given what the first gave."""
    tasks = {f"t{number}": call("comp-work", text=constant(text)) for number, text in enumerate(texts)}
    migration = make({**tasks, "last": call("comp-work", text=output("t0"))}, image="alpine", container=container)
    assert make_files(migration).is_complete
    return [one["shell"] for one in json.loads(migration.files["p.components.json"]).values()]


@pytest.mark.parametrize("text", ['it\'s $HOME and "x"', "a\\b", "two\nlines\tand a tab", "`true`; rm x"])
def test_a_text_arrives_as_it_is(tmp_path: Path, text: str) -> None:
    first, _ = read_scripts(SHELL, text)
    found = run(tmp_path, first)
    assert (found["task"], found["base"], found["values"]) == ("t0", "s3://b/a", {"Output": text})
    assert (tmp_path / "output" / "text" / "Output").read_text() == text


@pytest.mark.parametrize(
    ("text", "numbers"), [("7", {"Output": 7}), ("-0.5", {"Output": -0.5}), ("1\n2", {}), ("007", {}), ("x7", {})]
)
def test_numbers_are_told_as_such(tmp_path: Path, text: str, numbers: dict[str, float]) -> None:
    assert run(tmp_path, read_scripts(SHELL, text)[0])["numbers"] == numbers


def test_what_another_step_gave_is_read_from_its_text(tmp_path: Path) -> None:
    (tmp_path / "input" / "input-1").mkdir(parents=True)
    (tmp_path / "input" / "input-1" / "Output").write_text("heads")
    assert run(tmp_path, read_scripts(SHELL, "x")[1])["values"] == {"Output": "heads"}


def test_the_step_starts_the_script_and_stages_one_file() -> None:
    tasks = {"a": call("comp-work", text=constant("x")), "b": call("comp-work", text=output("a"))}
    migration = make(tasks, image="alpine", container=SHELL)
    node = next(one for one in migration.workflow.nodes if one.name == "b")
    assert isinstance(node, PipelineStepNode)
    request: Any = node.arguments
    entry = ["sh", "/opt/ml/processing/input/component/component.sh"]
    assert request["AppSpecification"]["ContainerEntrypoint"] == entry
    base = {"Get": "Steps.a.ProcessingOutputConfig.Outputs['kfp'].S3Output.S3Uri"}
    staged = request["ProcessingInputs"][1]["S3Input"]["S3Uri"]
    assert staged == {"Std:Join": {"On": "/", "Values": [base, "text", "Output"]}}


def test_what_only_the_launcher_knows_is_not_carried() -> None:
    container = {"command": ["x"], "args": ["{{$}}"]}
    migration = make({"a": call("comp-work", text=constant("x"))}, image="alpine", container=container)
    (record,) = migration.records
    assert record.outcome is Outcome.UNSUPPORTED
    assert "has no Python 3, and it reads what only the launcher knows" in record.reasons[0].text
