"""The command ``local rehearse``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.cli import main
from tests.rehearsal.steps import processing

if TYPE_CHECKING:
    from pathlib import Path


def test_the_command_says_how_it_went_and_what_was_made_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = [processing("Prepare", inputs={"raw": "s3://nowhere/raw"})]
    steps += [{"Name": "Bad", "Type": "Fail", "DependsOn": ["Prepare"], "Arguments": {"ErrorMessage": "enough"}}]
    file = tmp_path / "pipeline.json"
    file.write_text(json.dumps({"Version": "2020-12-01", "Steps": steps}))
    data = tmp_path / "data.csv"
    data.write_text("1,2\n")
    assert main(["local", "rehearse", str(file), "--upload", f"s3://nowhere/raw/data.csv={data}"]) == 1
    said = capsys.readouterr().out
    assert "rehearsal: Failed after" in said
    assert "stood in: script prepare.py" in said
    assert "data s3://nowhere/raw" not in said
    assert "\n  Prepare  Processing  Succeeded\n" in said
    assert "\n  Bad      Fail        Failed\n      enough\n" in said
    assert said.endswith("\n1 of 2 steps ran with something stood in for.\n")
    assert main(["local", "rehearse", str(file), "-p", "x"]) == 2
    assert "--parameter 'x' is not NAME=VALUE" in capsys.readouterr().err


SCRIPT = """
# /// script
# dependencies = ["sagemaker>=2.257,<3"]
# ///
from sagemaker.processing import ScriptProcessor
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.steps import ProcessingStep


def get_pipeline(role):
    session = PipelineSession(default_bucket="the-authors-own")
    image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
    processor = ScriptProcessor(
        image_uri=image, command=["python3"], role=role, instance_type="ml.m5.large", instance_count=1,
        sagemaker_session=session,
    )
    step = ProcessingStep("Prepare", step_args=processor.run(code="s3://the-authors-own/code/prepare.py"))
    own = ProcessingStep("Own", step_args=processor.run(code="own.py"))
    return Pipeline(name="theirs", steps=[step, own], sagemaker_session=session)
"""


@pytest.mark.slow
def test_a_script_may_upload_to_a_bucket_that_only_its_author_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.py").write_text("raise SystemExit('it came whole')\n")
    (tmp_path / "pipeline.py").write_text(SCRIPT)
    source = f"{tmp_path / 'pipeline.py'}:get_pipeline"
    assert main(["local", "rehearse", source, "--role-arn", "arn:aws:iam::123456789012:role/x"]) == 1
    assert "AlgorithmError: it came whole" in capsys.readouterr().out
