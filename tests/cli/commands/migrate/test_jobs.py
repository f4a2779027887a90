"""``sm-pipelines migrate jobs``: what it writes, says and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_sm_pipelines.cli import main
from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.server import serve
from tests.airflow_runs import connect, run_beside

JOBS = Path(__file__).parents[3] / "data" / "migrate" / "jobs"
TRAINING = JOBS / "2-train.json"
NAMES = ["churn.py", "churn.definition.json", "churn.report.md", "churn.report.json"]


def run(folder: Path, *arguments: str | Path) -> int:
    """Run the command."""
    return main(["migrate", "jobs", *map(str, arguments), "--name", "churn", "-o", str(folder)])


def test_jobs_become_a_dag_a_definition_and_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    assert run(folder, *sorted(JOBS.glob("[1-5]-*.json"))) == 0
    assert capsys.readouterr().out.splitlines() == [
        "7 nodes: 5 translated, 2 approximated.",
        *(f"Wrote {folder / name}" for name in NAMES),
    ]
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    definition = parse_definition((folder / NAMES[1]).read_text(encoding="utf-8"))
    assert [(step.name, step.type) for step in definition.steps] == [
        ("churn-preprocess", "Processing"),
        ("churn-train", "Training"),
        ("churn-model", "Model"),
        ("churn-EndpointConfig", "EndpointConfig"),
        ("churn-Endpoint", "Endpoint"),
        ("churn-score", "Transform"),
        ("publish-report", "Processing"),
    ]
    compile((folder / NAMES[0]).read_text(encoding="utf-8"), NAMES[0], "exec")


def test_nothing_is_replaced_unless_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "churn.report.md"
    kept.write_text("mine", encoding="utf-8")
    assert run(tmp_path, TRAINING) == 2
    assert [path.name for path in tmp_path.iterdir()] == [kept.name]
    assert f"Nothing was written: {kept} would be replaced. --force does so." in capsys.readouterr().err
    assert run(tmp_path, TRAINING, "--force") == 0
    assert kept.read_text(encoding="utf-8").startswith("# churn: what became of the SageMaker jobs of 2-train.json")


def test_what_sagemaker_would_refuse_ends_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    described = json.loads(TRAINING.read_text(encoding="utf-8"))
    described["ResourceConfig"]["VolumeSizeInGB"] = "much"
    source = tmp_path / "train.json"
    source.write_text(json.dumps(described), encoding="utf-8")
    assert run(tmp_path / "out", source) == 1
    shown = capsys.readouterr().out
    assert "error, churn: Steps[0].Arguments.ResourceConfig.VolumeSizeInGB" in shown
    assert "## What SageMaker may refuse" in (tmp_path / "out" / NAMES[2]).read_text(encoding="utf-8")
    assert run(tmp_path / "out", source, "--force", "--allow-partial") == 0


def test_the_report_is_for_programs_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, TRAINING, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / NAMES[3]).read_text(encoding="utf-8"))
    assert (report["dag"], report["pipelines"], report["complete"]) == ("churn", ["churn"], True)
    assert [(one["source"], one["target"]) for one in report["records"]] == [("2-train.json", "churn-train")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "given.json is not JSON: "),
        ("[]", "given.json must hold a JSON object."),
        ('{"a": 1}', "given.json"),
    ],
    ids=["no JSON", "no object", "no job"],
)
def test_a_source_that_cannot_be_read_writes_nothing(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "given.json"
    path.write_text(text, encoding="utf-8")
    assert run(tmp_path / "out", path) == 2
    found = capsys.readouterr().err
    assert found.startswith("sm-pipelines: ")
    assert message in found
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "out", tmp_path / "none.json") == 2
    assert f"Cannot read {tmp_path / 'none.json'}: No such file or directory." in capsys.readouterr().err


@pytest.mark.slow
def test_migrated_jobs_run_on_the_local_endpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in JOBS.glob("[1-5]-*.json"):
        described = json.loads(path.read_text(encoding="utf-8"))
        # The real algorithm takes no hyperparameter that is not its own; this one is there for its reference.
        described.get("HyperParameters", {}).pop("report_uri", None)
        (tmp_path / path.name).write_text(json.dumps(described), encoding="utf-8")
    assert run(tmp_path / "out", *sorted(tmp_path.glob("*.json"))) == 0
    capsys.readouterr()
    assert main(["local", "rehearse", "--json", str(tmp_path / "out" / NAMES[1])]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {step["name"]: step["status"] for step in report["steps"]} == dict.fromkeys(
        (
            "churn-preprocess",
            "churn-train",
            "churn-model",
            "churn-EndpointConfig",
            "churn-Endpoint",
            "churn-score",
            "publish-report",
        ),
        "Succeeded",
    )


def test_answers_are_read_from_what_has_printed_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    described = json.loads(TRAINING.read_text(encoding="utf-8"))
    moment = "datetime.datetime(2026, 3, 2, 9, 0, 5, 120000, tzinfo=tzlocal())"
    printed = repr({**described, "CreationTime": "WHEN"}).replace("'WHEN'", moment)
    log = tmp_path / "run.log"
    log.write_text(f"{{not json}} INFO started\n{printed}\n{json.dumps(described)} done {{", encoding="utf-8")
    notebook = tmp_path / "train.ipynb"
    notebook.write_text(
        json.dumps({"cells": [{"outputs": [{"data": {"text/plain": [printed[:50], printed[50:]]}}]}]}), encoding="utf-8"
    )
    listed = tmp_path / "all.json"
    listed.write_text(json.dumps([described]), encoding="utf-8")
    for number, (source, nodes) in enumerate([(log, 2), (notebook, 1), (listed, 1)]):
        assert run(tmp_path / str(number), source) == 0
        assert capsys.readouterr().out.startswith(f"{nodes} nodes: ")
    nothing = tmp_path / "nothing.log"
    nothing.write_text("no answer here", encoding="utf-8")
    assert run(tmp_path / "none", nothing) == 2


ARN = "arn:aws:sagemaker:us-east-1:123456789012"
MODEL = {
    "ModelName": "m-1",
    "ModelArn": f"{ARN}:model/m-1",
    "PrimaryContainer": {"Image": "i"},
    "ExecutionRoleArn": "arn:aws:iam::123456789012:role/SageMakerExecution",
    "CreationTime": "2026-03-02T09:24:00+01:00",
}
CONFIG = {
    "EndpointConfigName": "c-1",
    "EndpointConfigArn": f"{ARN}:endpoint-config/c-1",
    "ProductionVariants": [
        {"VariantName": "all", "ModelName": "m-1", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    ],
    "CreationTime": "2026-03-02T09:30:00+01:00",
}


@pytest.mark.slow
def test_a_migrated_dag_makes_what_was_described_and_fails_where_something_is_missing(tmp_path: Path) -> None:
    with serve(tmp_path / "state") as server:
        airflow = run_beside(server, tmp_path / "airflow")
        for name, answers in (("both", [MODEL, CONFIG]), ("config", [CONFIG])):
            source = tmp_path / f"{name}.json"
            source.write_text(json.dumps(answers), encoding="utf-8")
            assert main(["migrate", "jobs", str(source), "--name", name, "-o", str(airflow.dags)]) == 0
        # Nobody makes the model of the second list, and it is not there.
        missing = airflow.test("config")
        assert (missing.exit_code, missing.states["run"]) == (1, "failed"), missing.output[-6000:]
        made = airflow.test("both")
        assert made.exit_code == 0, made.output[-6000:]
        client = connect(server, "sagemaker")
        (model,), (config,) = client.list_models()["Models"], client.list_endpoint_configs()["EndpointConfigs"]
        described = client.describe_endpoint_config(EndpointConfigName=config["EndpointConfigName"])
        assert described["ProductionVariants"][0]["ModelName"] == model["ModelName"]
