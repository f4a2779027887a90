"""Which differences between two definitions are names that an SDK makes up."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.planning.generated_names import AddressPair, pair_addresses, without_generated_names

BUCKET = "s3://sagemaker-us-east-1-123456789012"
OLD, NEW = "2026-11-30-15-37-19-375", "2044-02-07-09-19-10-481"


def definition(arguments: dict[str, Any], *, name: str = "Train", **more: Any) -> Any:
    step = {"Name": name, "Type": "Training", "Arguments": arguments, **more}
    return parse_definition({"Version": "2020-12-01", "Parameters": [], "Steps": [step]}, name="d")


def pairs(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str]] | None:
    found = pair_addresses(definition(before), definition(after))
    return None if found is None else [(pair.before, pair.after) for pair in found]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"sklearn-{OLD}", f"sklearn-{NEW}"),
        ("tuning-1796053286", "tuning-3762755189"),
        ("job-1796053286-0a1b", "job-3762755189-ffff"),
        ("sagemaker-scikit-learn-job-20261130154124", "sagemaker-scikit-learn-job-20541226095950"),
        ("xgboost-261130-1537", "xgboost-440207-0919"),
        ("model-bbbbd333", "model-15622d0e"),
        ("add_one-5d5f82c8-9520-46f6-802b-34e768d66542", "add_one-1b7ebe83-beae-4506-bba5-e2166b7d35ee"),
        ('"sagemaker_requirements_xrmyesqa.txt"', '"sagemaker_requirements_29f07f58.txt"'),
    ],
)
def test_names_that_an_sdk_makes_up_are_no_difference(before: str, after: str):
    assert pairs({"TrainingJobName": before}, {"TrainingJobName": after}) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("ml.m5.large", "ml.m5.xlarge"),
        ("2024-05-01", "2024-06-01"),
        ("data-20240501", "data-20240601"),
        (f"sklearn-{OLD}", f"xgboost-{NEW}"),
        (1, 2),
        (["a"], ["a", "b"]),
        ("/opt/ml/code", "code"),
    ],
)
def test_what_an_author_wrote_is_one(before: Any, after: Any):
    assert pairs({"X": before}, {"X": after}) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{BUCKET}/p/code/{'a' * 64}/run.py", f"{BUCKET}/p/code/{'b' * 64}/run.py"),
        (f"{BUCKET}/p/input/data.csv", f"{BUCKET}/p/input/0946829437bc3aad3ac0/data.csv"),
        (f"{BUCKET}/p/input-2", f"{BUCKET}/p/input-2/84c65935c675ce9bbeab"),
        (f'"{BUCKET}/sk-{OLD}/source/sourcedir.tar.gz"', f'"{BUCKET}/sk-{NEW}/source/sourcedir.tar.gz"'),
    ],
)
def test_an_address_with_other_names_is_a_pair_to_compare(before: str, after: str):
    assert pairs({"S3Uri": before}, {"S3Uri": after}) == [(before.strip('"'), after.strip('"'))]
    assert pairs({"OutputDataConfig": {"S3OutputPath": before}}, {"OutputDataConfig": {"S3OutputPath": after}}) == []


def test_local_folders_of_the_machine_are_no_difference():
    old = definition({"HyperParameters": {"source_dir": '"/home/me/pipelines/code"'}}, Description="/home/me/train.py")
    new = definition({"HyperParameters": {"source_dir": '"code"'}}, Description="train.py")
    assert pair_addresses(old, new) == ()


def test_a_function_is_compared_by_the_folder_that_its_job_loads_it_from():
    def step(name: str, folder: str) -> Any:
        given = ["--s3_base_uri", f"{BUCKET}/p", "--pipeline_step_name", name, "--func_step_s3_dir", folder]
        environment = {"REMOTE_FUNCTION_SECRET_KEY": folder * 2}
        return definition(
            {"AlgorithmSpecification": {"ContainerArguments": given}, "Environment": environment}, name=name
        )

    assert pair_addresses(step("Add", OLD), step("Add", NEW)) == (
        AddressPair("Add", f"{BUCKET}/p/Add/{OLD}", f"{BUCKET}/p/Add/{NEW}"),
    )


def test_a_temporary_folder_is_a_generated_name():
    assert without_generated_names("/tmp/tmpqjawyg3a") == without_generated_names("/tmp/tmp15c7225f") == "/tmp/tmp*"
