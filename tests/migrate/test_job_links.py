"""What earlier jobs made, found in the requests of later ones."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.migrate.job_links import OUTPUT_FIELDS, find_products, link_arguments, separate_outputs
from airflow_sm_pipelines.migrate.job_requests import clean_request, get_request_kind, shorten_name
from airflow_sm_pipelines.migrate.jobs.job_reader import INPUT_FIELDS
from airflow_sm_pipelines.service_model import find_shape

TRAIN = {"OutputDataConfig": {"S3OutputPath": "s3://b/models"}}
ARTIFACT = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
PATH = {"Get": "Steps.Train.OutputDataConfig.S3OutputPath"}
NAME = {"Get": "Steps.Train.TrainingJobName"}


def join(*values: Any) -> dict[str, Any]:
    return {"Std:Join": {"On": "", "Values": list(values)}}


def link(value: str, products: Any, *, member: str = "ModelDataUrl") -> Any:
    """What a value of a model's environment, or of another member, becomes."""
    arguments = {"PrimaryContainer": {member: value}} if member == "ModelDataUrl" else {member: value}
    linked, _ = link_arguments(arguments, "Model", products)
    return linked["PrimaryContainer"][member] if member == "ModelDataUrl" else linked[member]  # type: ignore[index,call-overload]


@pytest.mark.parametrize("table", [OUTPUT_FIELDS, INPUT_FIELDS], ids=["outputs", "inputs"])
def test_every_place_in_the_tables_is_a_string_of_the_call(table: Any) -> None:
    for step_type, fields in table.items():
        for field in fields:
            shape = find_shape(step_type, tuple(0 if part == "*" else part for part in field.path))
            assert shape is not None, f"{step_type} {field}"
            assert shape.type_name == "string"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("s3://b/models/train-1/output/model.tar.gz", ARTIFACT),
        ("s3://b/models/train-1-1772439000/output/model.tar.gz", ARTIFACT),
        ("s3://b/models/train-1/output/output.tar.gz", join(PATH, "/", NAME, "/output/output.tar.gz")),
        ("s3://b/models/train-1/output", join(PATH, "/", NAME, "/output")),
        ("s3://b/models/", PATH),
        ("s3://b/models/train-12/output/model.tar.gz", "s3://b/models/train-12/output/model.tar.gz"),
        ("s3://b/models/train-1/source/sourcedir.tar.gz", "s3://b/models/train-1/source/sourcedir.tar.gz"),
        ("s3://b/models-old/x", "s3://b/models-old/x"),
        ("s3://bb/models", "s3://bb/models"),
    ],
    ids=["artifact", "renamed job", "output", "folder", "path", "longer name", "code", "longer path", "other bucket"],
)
def test_what_a_training_job_wrote_is_known_by_its_address(value: str, expected: Any) -> None:
    products = find_products(TRAIN, get_request_kind("TrainingJob"), node="Train", job_name="train-1")
    assert link(value, products) == expected


@pytest.mark.parametrize(
    ("output", "value", "expected"),
    [
        ("s3://b/out/", "s3://b/out/x.csv", join({"Get": "Steps.Make.TransformOutput.S3OutputPath"}, "x.csv")),
        ("s3://b/out", "s3://b/out/x.csv", join({"Get": "Steps.Make.TransformOutput.S3OutputPath"}, "/x.csv")),
        ("s3://b/out", "s3://b/out/", join({"Get": "Steps.Make.TransformOutput.S3OutputPath"}, "/")),
        ("s3://b", "s3://b/out/x.csv", "s3://b/out/x.csv"),
    ],
    ids=["slash at the end", "no slash", "slash asked for", "a whole bucket"],
)
def test_an_address_below_an_output_is_joined_to_it(output: str, value: str, expected: Any) -> None:
    request: Any = {"TransformOutput": {"S3OutputPath": output}}
    products = find_products(request, get_request_kind("TransformJob"), node="Make", job_name="make-1")
    assert link(value, products) == expected


def test_of_two_jobs_that_wrote_to_the_same_place_the_later_counts() -> None:
    request: Any = {"TransformOutput": {"S3OutputPath": "s3://b/out"}}
    kind = get_request_kind("TransformJob")
    products = [one for node in ("First", "Second") for one in find_products(request, kind, node=node, job_name=node)]
    assert link("s3://b/out", products) == {"Get": "Steps.Second.TransformOutput.S3OutputPath"}


def test_a_folder_above_an_output_stays_and_only_orders() -> None:
    request: Any = {"TransformOutput": {"S3OutputPath": "s3://b/churn/train"}}
    products = find_products(request, get_request_kind("TransformJob"), node="Make", job_name="make-1")
    linked, links = link_arguments({"PrimaryContainer": {"ModelDataUrl": "s3://b/churn"}}, "Model", products)
    assert linked == {"PrimaryContainer": {"ModelDataUrl": "s3://b/churn"}}
    assert [(one.product.node, one.product.doubt) for one in links] == [("Make", "the job reads a folder above them")]


def test_a_folder_above_outputs_named_after_the_job_moves_with_them() -> None:
    request: Any = {"TransformOutput": {"S3OutputPath": "s3://b/make-1/out/test"}}
    products = find_products(request, get_request_kind("TransformJob"), node="Make", job_name="make-1")
    moved, places = separate_outputs(request, "Transform", node="Make", job_name="make-1")
    execution = {"Get": "Execution.PipelineExecutionId"}
    assert moved == {"TransformOutput": {"S3OutputPath": join("s3://b/Make-", execution, "/out/test")}}
    assert places == (("TransformOutput", "S3OutputPath"),)
    assert link("s3://b/make-1/out", products) == join("s3://b/Make-", execution, "/out")
    assert link("s3://b/make-1", products) == join("s3://b/Make-", execution)


@pytest.mark.parametrize(
    ("member", "value", "expected"),
    [
        ("TrainingJobName", "train-1", NAME),
        ("ModelName", "train-1", "train-1"),
        ("Environment", "train-1", "train-1"),
        ("Environment", "train-2026-03-02", "train-2026-03-02"),
    ],
    ids=["its member", "another's member", "short, in free text", "unknown"],
)
def test_a_name_counts_where_such_names_stand(member: str, value: str, expected: Any) -> None:
    products = find_products(TRAIN, get_request_kind("TrainingJob"), node="Train", job_name="train-1")
    assert link(value, products, member=member) == expected


def test_a_name_made_for_one_run_counts_in_free_text_too() -> None:
    products = find_products(TRAIN, get_request_kind("TrainingJob"), node="Train", job_name="train-2026-03-02")
    assert link("train-2026-03-02", products, member="Environment") == NAME


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("churn-train-2026-03-02-08-10-02-550", "churn-train"),
        ("sagemaker-pytorch-200629-1611", "sagemaker-pytorch"),
        ("churn-20260302T081002", "churn"),
        ("churn-20260302081002", "churn"),
        ("churn-2026-03-02", "churn"),
        ("churn-1772439000", "churn"),
        ("churn-5f2c1f1e-0d3c-4f5a-9b1d-2c3e4f5a6b7c", "churn"),
        ("churn-4", "churn-4"),
        ("2026-03-02", "2026-03-02"),
    ],
)
def test_a_name_loses_the_time_of_its_run(name: str, expected: str) -> None:
    assert shorten_name(name) == expected


def test_text_becomes_the_number_that_the_call_takes_and_numbers_become_text() -> None:
    request: Any = {
        "TrainingJobName": "a",
        "ResourceConfig": {"InstanceCount": "2", "VolumeSizeInGB": 30.0, "InstanceType": "ml.m5.xlarge"},
        "EnableManagedSpotTraining": "True",
        "HyperParameters": {"rounds": 75, "verbose": True, "eta": 0.3},
        "Environment": None,
    }
    clean = clean_request(request, get_request_kind("TrainingJob"), is_described=False)
    assert clean.arguments == {
        "ResourceConfig": {"InstanceCount": 2, "VolumeSizeInGB": 30, "InstanceType": "ml.m5.xlarge"},
        "EnableManagedSpotTraining": True,
        "HyperParameters": {"rounds": "75", "verbose": "true", "eta": "0.3"},
    }
    assert (clean.job_name, clean.unknown) == ("a", ())
