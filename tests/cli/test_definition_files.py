"""Commands take definitions as people keep them: in answers, plans, templates and folders."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.cli import main

if TYPE_CHECKING:
    from pathlib import Path

ARGUMENTS: dict[str, Any] = {
    "AlgorithmSpecification": {
        "TrainingImage": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/train:1",
        "TrainingInputMode": "File",
    },
    "OutputDataConfig": {"S3OutputPath": "s3://data/out"},
    "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
}
TRAIN: dict[str, Any] = {
    "Version": "2020-12-01",
    "Steps": [{"Name": "Train", "Type": "Training", "Arguments": ARGUMENTS}],
}
TEXT = json.dumps(TRAIN)
TEMPLATE = {
    "Resources": {
        name: {
            "Type": "AWS::SageMaker::Pipeline",
            "Properties": {
                "PipelineDefinition": {
                    "PipelineDefinitionBody": {
                        "Fn::Sub": TEXT.replace("s3://data", "s3://${Bucket}").replace('"Train"', f'"{name}"')
                    }
                }
            },
        }
        for name in ("Fit", "Score")
    }
}


def change(before: str | None, after: str | None, name: str = "train") -> dict[str, Any]:
    values = [text and {"pipeline_name": f"{name}-pipeline", "pipeline_definition": text} for text in (before, after)]
    return {
        "address": f"aws_sagemaker_pipeline.{name}",
        "type": "aws_sagemaker_pipeline",
        "change": {"before": values[0], "after": values[1], "after_unknown": {}},
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    files = {
        "a/train.json": TEXT,
        "a/.cache/old.json": TEXT,
        "cdk.out/ml.template.json": json.dumps(TEMPLATE),
        "cdk.out/manifest.json": '{"version": "36.0.0"}',
        "answer.json": json.dumps({"PipelineName": "saved", "PipelineArn": "arn", "PipelineDefinition": TEXT}),
        "package.json": "{ this is no JSON",
        "notes.txt": TEXT,
    }
    for name, text in files.items():
        path = tmp_path / "all" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    larger = TEXT.replace('"VolumeSizeInGB": 30', '"VolumeSizeInGB": 50')
    plan = {"format_version": "1.2", "resource_changes": [change(TEXT, larger), change(None, TEXT, "new")]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    (tmp_path / "d.json.tftpl").write_text(TEXT.replace("s3://data", "s3://${bucket}").replace("30", "${volume}"))
    return tmp_path


def test_a_folder_is_all_the_definitions_in_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "all"]) == 0
    ends = [line.partition(": valid")[0] for line in capsys.readouterr().out.splitlines() if ": valid" in line]
    assert ends == [
        "all/answer.json",
        "all/a/train.json",
        "all/cdk.out/ml.template.json#Fit",
        "all/cdk.out/ml.template.json#Score",
    ]
    assert main(["graph", "all#a/train.json"]) == 0
    assert main(["graph", "all#Score"]) == 0
    assert capsys.readouterr().out == "Train  Training\nScore  Training\n"
    assert main(["graph", "all"]) == 2
    assert "holds 4 pipelines: 'answer.json', 'a/train.json'" in capsys.readouterr().err


def test_one_that_cannot_be_read_does_not_hide_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template = json.loads(json.dumps(TEMPLATE))
    template["Resources"]["Fit"]["Properties"]["PipelineDefinition"] = {
        "PipelineDefinitionS3Location": {"Bucket": "b", "Key": "k"}
    }
    (folder / "all" / "cdk.out" / "ml.template.json").write_text(json.dumps(template))
    (folder / "all" / "cut.yaml").write_text("Resources: {A: {Type: AWS::SageMaker::Pipeline")
    assert main(["validate", "all"]) == 2
    told = capsys.readouterr()
    assert told.out.count(": valid (") == 3
    assert [line.partition(": ")[2].partition(":")[0] for line in told.err.splitlines()] == [
        "all/cut.yaml",
        "all/cdk.out/ml.template.json",
    ]
    assert main(["graph", "all/cdk.out/ml.template.json#Score"]) == 0
    assert main(["graph", "all/cdk.out/ml.template.json#Fit"]) == 2
    assert "is in S3, at s3://b/k" in capsys.readouterr().err


def test_a_plan_of_terraform_has_both_sides(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "plan.json#train", "--exit-code"]) == 3
    told = capsys.readouterr().out
    assert "Pipeline 'train-pipeline' would get a new version." in told
    assert "  ~ Steps.Train.Arguments.ResourceConfig.VolumeSizeInGB: 30 → 50" in told
    assert main(["plan", "plan.json#aws_sagemaker_pipeline.new"]) == 0
    assert "Pipeline 'new-pipeline' would be created." in capsys.readouterr().out
    assert main(["plan", "plan.json"]) == 2
    assert "'aws_sagemaker_pipeline.train', 'aws_sagemaker_pipeline.new'. Name one" in capsys.readouterr().err


def test_what_is_not_filled_in_is_no_change_but_a_warning(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "d.json.tftpl", "--deployed", "all/a/train.json", "--exit-code"]) == 0
    told = capsys.readouterr().out
    assert "Pipeline 'd.json' would stay as it is." in told
    assert "unknown here: 'bucket', 'volume'" in told
    assert main(["diff", "all/answer.json", "d.json.tftpl", "--exit-code"]) == 0
    assert main(["diff", "all/answer.json", "d.json.tftpl", "--exit-code", "--var", "bucket=other"]) == 3
    assert main(["validate", "d.json.tftpl", "--strict"]) == 1
    assert main(["validate", "d.json.tftpl", "--strict", "--var", "bucket=b", "--var", "volume=40"]) == 0


def test_a_teams_rule_that_hangs_on_an_unknown_value_finds_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = folder / "team.toml"
    policy.write_text('[instances]\nallowed = ["ml.m5.xlarge"]\n')
    template = folder / "t.json"
    template.write_text(TEXT.replace("ml.m5.large", "${instance_type}"))
    code = main(["validate", "t.json", "--policy-file", str(policy)])
    assert code == 0, capsys.readouterr().out
    given = ["--var", "instance_type=ml.m5.large"]
    assert main(["validate", "t.json", "--policy-file", str(policy), *given]) == 1


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["validate", "d.json.tftpl", "--var", "buckett=x"], "--var buckett: there is no placeholder of that name."),
        (["validate", "d.json.tftpl", "--var", "bucket"], "--var 'bucket' is not NAME=VALUE"),
        (["compile", "d.json.tftpl"], "d.json.tftpl is not filled in: 'bucket', 'volume'."),
        (["iam", "execution", "d.json.tftpl", "--role-arn", "arn:aws:iam::111122223333:role/R"], "values are unknown"),
        (["run", "d.json.tftpl", "--role-arn", "arn:aws:iam::111122223333:role/R"], "is not filled in"),
        (["validate", "all/cdk.out/ml.template.json#Fitt"], "holds no pipeline 'Fitt', but 'Fit', 'Score'."),
        (["validate", "none/d.json#Fit"], "Cannot read none/d.json: No such file"),
    ],
    ids=["unknown variable", "no value", "compile", "iam", "run", "wrong name", "no file"],
)
def test_what_cannot_be_done_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str], message: str
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    before = sorted(folder.rglob("*"))
    assert main(command) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert told.out == ""
    assert sorted(folder.rglob("*")) == before


def test_compile_writes_the_definition_that_a_file_holds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "all/cdk.out/ml.template.json#Fit", "--var", "Bucket=b", "-o", "fit.json"]) == 0
    assert json.loads((folder / "fit.json").read_text())["Steps"][0]["Arguments"]["OutputDataConfig"] == {
        "S3OutputPath": "s3://b/out"
    }
    assert "fit.json: pipeline 'Fit'" in capsys.readouterr().err


def test_standard_input_may_hold_any_of_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(TEMPLATE).encode())))
    assert main(["graph", "--", "-#Score"]) == 0
    assert capsys.readouterr().out == "Score  Training\n"
