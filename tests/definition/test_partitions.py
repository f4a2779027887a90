"""The AWS partitions, compared with botocore's data."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import pytest

import airflow_sm_pipelines
from airflow_sm_pipelines.definition.partitions import AWS_DNS_SUFFIXES, OF_USERS_PATTERN, find_partition

PARTITIONS: list[dict[str, Any]] = json.loads(
    (Path(botocore.__file__).parent / "data" / "partitions.json").read_text(encoding="utf-8")
)["partitions"]


@pytest.mark.parametrize("partition", PARTITIONS, ids=lambda one: one["id"])
def test_every_region_that_botocore_knows_is_in_its_partition(partition: dict[str, Any]) -> None:
    regions = [region for region in partition["regions"] if "global" not in region]
    for service in ("s3", "sagemaker", "ec2"):
        regions += botocore.session.get_session().get_available_regions(service, partition["id"])
    assert {find_partition(region) for region in regions} <= {partition["id"]}


def test_the_endings_of_host_names_are_those_that_botocore_makes() -> None:
    outputs = [partition["outputs"] for partition in PARTITIONS]
    assert set(AWS_DNS_SUFFIXES) == {f".{one[key]}" for one in outputs for key in ("dnsSuffix", "dualStackDnsSuffix")}


@pytest.mark.parametrize(
    ("name", "original"), [("AWS_DNS_SUFFIXES", AWS_DNS_SUFFIXES), ("_OF_USERS", OF_USERS_PATTERN)]
)
def test_the_copy_that_runs_in_jobs_has_the_same_rules(name: str, original: object) -> None:
    path = Path(airflow_sm_pipelines.__file__).parent / "engine/jobs/programs/site/sitecustomize.py"
    (value,) = [
        node.value
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    ]
    assert eval(ast.unparse(value)) == original  # noqa: S307 - our own file


def test_the_copy_for_node_has_the_same_rules() -> None:
    text = (Path(airflow_sm_pipelines.__file__).parent / "engine/jobs/programs/site/refuse_aws.cjs").read_text()
    assert re.findall(r'"(\.[a-z0-9.-]+)"', text) == list(AWS_DNS_SUFFIXES)
    assert f"/{OF_USERS_PATTERN}/;" in text
