"""A rehearsal makes up what a template leaves open."""

from __future__ import annotations

import json

from airflow_sm_pipelines.documents import read_document
from airflow_sm_pipelines.rehearsal.unknown_values import with_made_values

TEMPLATE = """{"Version": "2020-12-01", "Steps": [{"Name": "${prefix}-train", "Type": "Training", "Arguments": {
 "RoleArn": "${role}", "OutputDataConfig": {"S3OutputPath": "s3://${bucket}/out"}, "Environment": {"B": "${bucket}"},
 "ResourceConfig": {"InstanceCount": ${count}}}}]}"""


def test_values_suit_the_places_where_they_are_used() -> None:
    held, made = with_made_values(read_document(TEMPLATE, name="d.tftpl")[0])
    step = json.loads(held.text)["Steps"][0]
    assert step["Name"] == "prefix-train"
    assert step["Arguments"]["RoleArn"].startswith("arn:aws:")
    assert step["Arguments"]["ResourceConfig"] == {"InstanceCount": 1}
    bucket = step["Arguments"]["Environment"]["B"]
    assert step["Arguments"]["OutputDataConfig"] == {"S3OutputPath": f"s3://{bucket}/out"}
    assert set(made) == {"${prefix}", "${role}", "${bucket}", "${count}"}
