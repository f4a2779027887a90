"""What a stated policy says of the project's own definitions, as a table that was written by hand."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.policy import check_definition, make_team_rule, parse_policy
from tests.policy.found_lines import DATA

POLICY = """
[accounts]
allowed = "123456789012"
[roles]
allowed = "arn:aws:iam::123456789012:role/SageMaker*"
[instances]
allowed = "ml.m5.*"
max_count = 1
max_volume_gb = 30
[run_time]
max_seconds = 3600
[images]
allowed = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-*"
[s3]
public = false
buckets = "sagemaker-us-east-1-123456789012"
[steps]
allowed = ["Processing", "Training", "Condition", "Fail", "ForEach", "RegisterModel", "Model"]
[tags]
required = "team"
"""

EXPECTED = {
    "by_hand.json": [
        "Unheard: team-step-types Type",
        "Unheard: team-unplaced Type",
        "Bare: team-run-time MaxRuntimeInSeconds",
        "Bare: team-tags Tags",
        "Nothing2: team-step-types Type",
        "Nothing2: team-accounts FunctionArn",  # any function, by a parameter
    ],
    "diabetes_v2.json": [
        "Preprocess: team-instance-types InstanceType",  # by a parameter without EnumValues
        "Preprocess: team-run-time MaxRuntimeInSeconds",
        "Preprocess: team-tags Tags",
        "Train: team-instance-types InstanceType",
        "Train: team-run-time MaxRuntimeInSeconds",  # a day
        "Train: team-tags Tags",
        "Evaluate: team-instance-types InstanceType",
        "Evaluate: team-run-time MaxRuntimeInSeconds",
        "Evaluate: team-tags Tags",
        "Register-RegisterModel: team-accounts ModelPackageGroupName",
    ],
    "fan_out.json": [
        "Score: team-step-types Type",
        "Store: team-step-types Type",
        "Prepare: team-step-types Type",
        "FineTune: team-s3 S3OutputPath",
        "FineTune: team-run-time MaxRuntimeInSeconds",
        "FineTune: team-tags Tags",
        "TidyUp: team-step-types Type",
        "TellSomebody: team-step-types Type",
    ],
    "for_each_sdk_v3.json": ["Ask: team-step-types Type", "Then: team-step-types Type"],
    "train_and_evaluate.json": [
        "Evaluate: team-s3 S3Uri",  # the model, below the output of Train
        "Evaluate: team-s3 S3Uri",  # what Preprocess writes
        "Evaluate: team-s3 S3Uri",
        "Evaluate: team-run-time MaxRuntimeInSeconds",
        "Evaluate: team-tags Tags",
        "Preprocess: team-s3 S3Uri",
        "Preprocess: team-s3 S3Uri",
        "Preprocess: team-run-time MaxRuntimeInSeconds",
        "Preprocess: team-s3 [1]",  # an argument, by a parameter's default
        "Preprocess: team-tags Tags",
        "Train: team-s3 S3Uri",
        "Train: team-s3 S3OutputPath",
        "Train: team-tags Tags",
        "Register-RegisterModel: team-s3 ModelDataUrl",
    ],
}


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("*.json")))
def test_the_policy_says_of_a_definition_what_the_table_says(name: str) -> None:
    definition = parse_definition((DATA / name).read_text())
    places = dict(iter_step_places(definition))
    found = []
    for finding in check_definition(definition, rules=[make_team_rule(parse_policy(POLICY))]):
        # Of the steps around the place, the innermost.
        step = next(
            places[finding.place[:end]] for end in range(len(finding.place), 0, -1) if finding.place[:end] in places
        )
        last = finding.place[-1]
        found.append(f"{step.name}: {finding.rule} {last if isinstance(last, str) else f'[{last}]'}")
    assert sorted(found) == sorted(EXPECTED[name])
