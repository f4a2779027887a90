"""``plan`` as a user and as CI runs it: offline, and beside the real local endpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import boto3
import pytest

from airflow_sm_pipelines.cli import main
from tests.cli.command_runs import DATA, SMALL, run

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_sm_pipelines.server import RunningServer


DEMO = DATA / "diabetes_v2.json"


def changed(tmp_path: Path) -> Path:
    document = json.loads(DEMO.read_text())
    document["Parameters"][1]["DefaultValue"] = 3
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(document))
    return path


def test_a_plan_needs_nothing_but_two_files(tmp_path: Path) -> None:
    new = changed(tmp_path)
    result = run("plan", str(new), "--deployed", str(DEMO))
    assert (result.returncode, result.stderr) == (0, "")
    assert "  ~ Parameters.MaxDepth.DefaultValue: 2 → 3" in result.stdout.splitlines()
    assert run("plan", str(new), "--deployed", str(DEMO), "--exit-code").returncode == 3
    assert run("plan", str(DEMO), "--deployed", str(DEMO), "--exit-code").returncode == 0


def test_a_plan_that_would_be_refused_says_so_by_its_exit_code(repository: Path) -> None:
    policy = str(repository / "dags" / "policies" / "team.toml")
    refused = run("plan", str(DEMO), "--new", "--policy-file", policy, "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["is_refused"]
    filled = run("plan", str(DEMO), "--new", "--policy-file", policy, "--policy", "apply", "--markdown")
    assert filled.returncode == 0
    assert filled.stdout.startswith("<!-- sm-pipelines plan -->")


def test_a_plan_asks_what_is_deployed() -> None:
    result = run("plan", str(DEMO))
    assert (result.returncode, result.stdout) == (2, "")
    assert "--pipeline-name" in result.stderr


@pytest.mark.processes
def test_a_plan_compares_with_what_is_deployed(server: RunningServer, execution: str) -> None:
    new = json.loads(json.dumps(SMALL))
    new["Parameters"][0]["DefaultValue"] = 6
    env = dict(server.environment())
    result = run("plan", "-", "--pipeline-name", "small", "--exit-code", input=json.dumps(new), env=env)
    assert (result.returncode, result.stderr) == (3, "")
    assert result.stdout.splitlines()[:4] == [
        "Pipeline 'small' would get a new version.",
        "",
        "Changes (1):",
        "  ~ Parameters.Limit.DefaultValue: 5 → 6",
    ]
    absent = run("plan", "-", "--pipeline-name", "other", input=json.dumps(new), env=env)
    assert absent.stdout.splitlines()[0] == "Pipeline 'other' would be created."


FROM_THE_FIELD = """# /// script
# dependencies = ["sagemaker>=2.257,<3"]
# ///
import boto3
import sagemaker
from sagemaker.processing import ScriptProcessor
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.steps import ProcessingStep


def get_pipeline(sagemaker_session, role):
    sess = sagemaker.Session()
    bucket = sess.default_bucket()
    sess.upload_data("data.csv", bucket=bucket, key_prefix="data")
    boto3.client("s3").put_object(Bucket=bucket, Key="settings.json", Body=b"{}")
    client = boto3.client("sagemaker")
    client.create_model_package_group(ModelPackageGroupName="group")
    client.create_experiment(ExperimentName="experiment")
    sess.create_model("model", role, {"Image": "python:3.11", "ModelDataUrl": f"s3://{bucket}/model.tar.gz"})
    processor = ScriptProcessor(
        image_uri="python:3.11",
        command=["python3"],
        role=role,
        instance_type="ml.m5.large",
        instance_count=1,
        sagemaker_session=sagemaker_session,
    )
    step = ProcessingStep("Show", step_args=processor.run(code="show.py"))
    pipeline = Pipeline("field", steps=[step], sagemaker_session=sagemaker_session)
    pipeline.upsert(role_arn=role)
    pipeline.update(role_arn=role)
    pipeline.start()
    return pipeline
"""
ANSWERED = [
    "sagemaker:CreateModelPackageGroup group",
    "sagemaker:CreateExperiment experiment",
    "sagemaker:CreateModel model",
    "sagemaker:CreatePipeline field",
    "sagemaker:UpdatePipeline field",
    "sagemaker:StartPipelineExecution field",
]


@pytest.mark.slow
def test_no_command_writes_to_sagemaker_whatever_a_script_calls(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    script = tmp_path / "train.py"
    script.write_text(FROM_THE_FIELD)
    (tmp_path / "show.py").write_text("print(1)\n")
    (tmp_path / "data.csv").write_text("1,2\n")
    (tmp_path / "team.toml").write_text("[network]\nisolation = true\n")
    reference, role = f"{script}:get_pipeline", ["--role-arn", "arn:aws:iam::123456789012:role/Sage"]

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, *role])
        return code, *capsys.readouterr()

    code, planned, _ = call("plan", reference, "--new", "--json")
    plan = json.loads(planned)
    assert (code, plan["not_sent"]) == (0, ANSWERED)
    uploads = {upload["address"].rpartition("/")[2]: upload for upload in plan["uploads"]}
    assert {name: (one["size_bytes"], one["is_there"]) for name, one in uploads.items()} == {
        "data.csv": (4, False),
        "settings.json": (2, False),
        "show.py": (9, False),
    }
    code, text, log = call("plan", reference, "--new", "--no-cache")
    assert (code, "is built anew" in log) == (0, True)
    assert "Uploaded to S3 by the build (3):" in text
    assert f"  9 bytes  already there  {uploads['show.py']['address']}" in text
    assert "Called by the script, answered without being sent (6):\n  sagemaker:CreateModelPackageGroup group" in text
    assert call("compile", reference)[0] == 0
    assert call("validate", reference)[0] == 0
    policy = ["--policy-file", str(tmp_path / "team.toml")]
    code, _, refusal = call("run", reference, *policy)
    assert (code, "does not ask for network isolation" in refusal) == (2, True)

    client = boto3.client("sagemaker")
    assert "field" not in [one["PipelineName"] for one in client.list_pipelines()["PipelineSummaries"]]
    assert client.list_models()["Models"] == []
    assert client.list_model_package_groups()["ModelPackageGroupSummaryList"] == []
    assert "experiment" not in [one["ExperimentName"] for one in client.list_experiments()["ExperimentSummaries"]]
