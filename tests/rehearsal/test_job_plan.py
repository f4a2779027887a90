"""What the plans of jobs are made from: the script a command runs, and what readers of an output expect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.rehearsal.job_plan import find_program
from airflow_sm_pipelines.rehearsal.sample_values import find_content_types, find_transform_inputs

REGISTRY = "683313688378.dkr.ecr.us-east-1.amazonaws.com"
DRIVER = "/opt/ml/input/data/sm_drivers/sm_train.sh"


@pytest.mark.parametrize(
    ("command", "program"),
    [
        (["python3", "/opt/ml/processing/input/code/a.py", "--x", "/y.py"], "/opt/ml/processing/input/code/a.py"),
        (
            ["/bin/bash", "/opt/ml/processing/input/entrypoint/runproc.sh"],
            "/opt/ml/processing/input/entrypoint/runproc.sh",
        ),
        (["/bin/bash", "-c", f"chmod +x {DRIVER} && {DRIVER}"], DRIVER),
        (["python3", "-m", "train"], None),
        (["python3"], None),
        ([], None),
    ],
)
def test_the_script_of_a_command_is_found(command: list[str], program: str | None) -> None:
    found = find_program(command)
    assert (str(found) if found else None) == program


def train(name: str, channel: dict[str, Any], **rest: Any) -> dict[str, Any]:
    source = {
        "S3DataSource": {"S3Uri": {"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"}}
    }
    algorithm = {"TrainingImage": f"{REGISTRY}/sagemaker-xgboost:1.7-1"}
    arguments = {"AlgorithmSpecification": algorithm, "InputDataConfig": [{"DataSource": source, **channel}], **rest}
    return {"Name": name, "Type": "Training", "Arguments": arguments}


@pytest.mark.parametrize(
    ("step", "content_type"),
    [
        (train("Train", {"ContentType": "text/csv"}), "text/csv"),
        (train("Train", {}), "text/libsvm"),
        (train("Train", {}, HyperParameters={"sagemaker_program": "train.py"}), ""),
        (train("Train", {"ContentType": {"Get": "Parameters.Kind"}}), ""),
    ],
    ids=["says so", "built-in XGBoost's default", "a script reads anything", "an expression says nothing"],
)
def test_an_output_is_made_for_the_training_that_reads_it(step: Any, content_type: str) -> None:
    outputs = {"Outputs": [{"OutputName": "train", "S3Output": {}}]}
    steps = [{"Name": "Prepare", "Type": "Processing", "Arguments": {"ProcessingOutputConfig": outputs}}, step]
    parameters = [{"Name": "Kind", "Type": "String", "DefaultValue": "text/csv"}]
    definition = parse_definition(json.dumps({"Version": "2020-12-01", "Parameters": parameters, "Steps": steps}))
    assert find_content_types(definition) == {("Prepare", "train"): content_type}
    assert find_transform_inputs(definition) == frozenset()
