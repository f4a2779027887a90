"""Outputs: what may be asked for, where a path leads, and what is read from an endpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.client.job_logs import resolve_log_location
from airflow_sm_pipelines.client.outputs import OutputReader, parse_output_requests, walk_path
from airflow_sm_pipelines.exceptions import DefinitionError, OutputError

if TYPE_CHECKING:
    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook
    from tests.airflow_fakes import FakeSageMaker

METRICS = "Steps.Evaluate.PropertyFiles.Metrics"


def test_all_wrong_outputs_are_named_at_once() -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_output_requests(
            {
                "status": "Steps.Train.TrainingJobName",
                "a": 3,
                "b": "Parameters.X",
                "c": {"property_file": "Steps.Train.TrainingJobName", "path": "x"},
                "d": METRICS,
                "e": {"path": "x"},
                "good": "Steps.Train.TrainingJobName",
            }
        )
    message = str(caught.value)
    assert all(f"Output '{name}'" in message for name in ("status", "a", "b", "c", "d", "e"))
    assert "'good'" not in message


def test_both_forms_are_understood() -> None:
    requests = parse_output_requests(
        {
            "model": "Steps.Train.ModelArtifacts.S3ModelArtifacts",
            "rmse": {"property_file": METRICS, "path": "regression.rmse['value']"},
            "first": {"property_file": METRICS, "path": "[0].score", "required": True},
        }
    )
    model, rmse, first = requests
    assert (model.step, model.path, model.property_file) == ("Train", ("ModelArtifacts", "S3ModelArtifacts"), None)
    assert (rmse.property_file, rmse.path) == ("Metrics", ("regression", "rmse", "value"))
    assert (first.path, first.is_required) == ((0, "score"), True)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("Outputs", "train", "S3Output"), "s3://t"),
        (("Outputs", 1, "S3Output"), "s3://v"),
        (("Metrics", "rmse", "Value"), 4.5),
        (("Environment", "a.b"), "c"),
        ((), None),
    ],
)
def test_a_path_finds_members_indexes_and_named_elements(path: tuple[Any, ...], expected: Any) -> None:
    root = {
        "Outputs": [{"OutputName": "train", "S3Output": "s3://t"}, {"OutputName": "val", "S3Output": "s3://v"}],
        "Metrics": [{"MetricName": "rmse", "Value": 4.5}],
        "Environment": {"a.b": "c"},
    }
    assert walk_path(root, path) == (expected if path else root)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (("Wrong",), "no 'Wrong' at the top; there is Outputs"),
        (("Outputs", "test"), "nothing is called 'test' at Outputs; there is train"),
        (("Outputs", 7), "which has 1 elements"),
        (("Outputs", "train", "OutputName", "x"), "plain value 'train'"),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_ends(path: tuple[Any, ...], words: str) -> None:
    with pytest.raises(LookupError, match=words):
        walk_path({"Outputs": [{"OutputName": "train"}]}, path)


@pytest.fixture
def reader(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> tuple[OutputReader, list[str]]:
    """A reader of a succeeded execution, and what it warns of."""
    fake.add_pipeline("p")
    fake.statuses = ["Succeeded"]
    warnings: list[str] = []
    report = hook.describe_report(hook.start_execution({"PipelineName": "p"}, token="t" * 40))
    return OutputReader(hook, report, warn=warnings.append), warnings


def test_properties_and_property_files_are_read_with_one_call_each(
    fake: FakeSageMaker, reader: tuple[OutputReader, list[str]]
) -> None:
    fake.objects["bucket/out/evaluation.json"] = b'{"regression": {"rmse": {"value": 4.5}}, "n": [1, 2]}'
    requests = parse_output_requests(
        {
            "model": "Steps.Train.ModelArtifacts.S3ModelArtifacts",
            "metric": "Steps.Train.FinalMetricDataList['validation:rmse'].Value",
            "created": "Steps.Train.CreationTime",
            "rmse": {"property_file": METRICS, "path": "regression.rmse.value"},
            "second": {"property_file": METRICS, "path": "n[1]"},
        }
    )
    assert reader[0].read(requests) == {
        "model": "s3://bucket/model.tar.gz",
        "metric": 4.5,
        "created": "1970-01-01T00:16:40+00:00",
        "rmse": 4.5,
        "second": 2,
    }
    assert fake.count("DescribeTrainingJob") == fake.count("DescribeProcessingJob") == 1
    assert not reader[1]


def test_a_missing_output_is_none_with_a_reason(reader: tuple[OutputReader, list[str]]) -> None:
    requests = parse_output_requests(
        {
            "a": "Steps.Register.ModelPackageArn",
            "b": {"property_file": METRICS, "path": "x"},
            "c": "Steps.Train.Nothing",
        }
    )
    assert reader[0].read(requests) == {"a": None, "b": None, "c": None}
    assert [warning.split(" could")[0] for warning in reader[1]] == ["Output 'a'", "Output 'b'", "Output 'c'"]
    assert "steps that did: Train, Evaluate" in reader[1][0]


def test_every_missing_output_that_is_required_is_named(reader: tuple[OutputReader, list[str]]) -> None:
    requests = parse_output_requests(
        {
            "a": {"property": "Steps.Register.ModelPackageArn", "required": True},
            "b": {"property_file": METRICS, "path": "x", "required": True},
        }
    )
    with pytest.raises(OutputError, match=r"(?s)Output 'a'.*Output 'b'"):
        reader[0].read(requests)


def test_function_outputs_have_their_declared_types(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> None:
    outputs = [
        {"OutputName": name, "OutputType": kind} for name, kind in (("n", "Integer"), ("f", "Float"), ("b", "Boolean"))
    ]
    step = {
        "Name": "Fn",
        "Type": "Lambda",
        "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:f",
        "OutputParameters": outputs,
        "Arguments": {},
    }
    condition = {"Name": "C", "Type": "Condition", "Arguments": {"Conditions": [], "IfSteps": [step], "ElseSteps": []}}
    fake.add_pipeline("p", {"Version": "2020-12-01", "Parameters": [], "Steps": [condition]})
    values = [{"Name": "n", "Value": "200.0"}, {"Name": "f", "Value": "1.5"}, {"Name": "b", "Value": "true"}]
    fake.statuses = ["Succeeded"]
    fake.steps = [
        {"StepName": "Fn", "StepStatus": "Succeeded", "Metadata": {"Lambda": {"Arn": "x", "OutputParameters": values}}},
        {"StepName": "C", "StepStatus": "Succeeded", "Metadata": {"Condition": {"Outcome": "True"}}},
    ]
    report = hook.describe_report(hook.start_execution({"PipelineName": "p"}, token="t" * 40))
    requests = parse_output_requests(
        {name: f"Steps.Fn.OutputParameters['{name}']" for name in "nfb"} | {"outcome": "Steps.C.Outcome"}
    )
    found = OutputReader(hook, report, warn=pytest.fail).read(requests)
    assert found == {"n": 200, "f": 1.5, "b": True, "outcome": "True"}


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        ("arn:aws:sagemaker:r:1:training-job/t", ("/aws/sagemaker/TrainingJobs", "t")),
        ("arn:aws:sagemaker:r:1:processing-job/p", ("/aws/sagemaker/ProcessingJobs", "p")),
        ("arn:aws:sagemaker:r:1:transform-job/x", ("/aws/sagemaker/TransformJobs", "x")),
        ("arn:aws:lambda:r:1:function:f", ("/aws/lambda/f", "")),
        ("arn:aws:sagemaker:r:1:model/m", None),
        (None, None),
    ],
)
def test_each_kind_of_job_logs_to_its_group(arn: str | None, expected: tuple[str, str] | None) -> None:
    assert resolve_log_location(arn) == expected


def test_a_value_too_large_for_an_xcom_says_so(fake: FakeSageMaker, reader: tuple[OutputReader, list[str]]) -> None:
    fake.objects["bucket/out/evaluation.json"] = json.dumps({"rows": ["x" * 1000] * 1001, "n": 1}).encode()
    requests = parse_output_requests(
        {name: {"property_file": METRICS, "path": path} for name, path in (("all", "rows"), ("n", "n"))}
    )
    assert reader[0].read(requests) == {"all": None, "n": 1}
    assert "it has 1,005,004 characters as JSON" in reader[1][0]


def test_every_step_yields_its_defaults_unasked(fake: FakeSageMaker, reader: tuple[OutputReader, list[str]]) -> None:
    assert reader[0].read_defaults(max_steps=25) == {
        "Train": {
            "job_name": "pipelines-abc-Train",
            "model": "s3://bucket/model.tar.gz",
            "metrics": {"validation:rmse": 4.5},
        },
        "Evaluate": {"job_name": "pipelines-abc-Evaluate", "outputs": {"evaluation": "s3://bucket/out/"}},
    }
    reader[0].read(parse_output_requests({"model": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}))
    assert fake.count("DescribeTrainingJob") == 1
    assert list(reader[0].read_defaults(max_steps=1)) == ["Evaluate"]
    assert reader[1] == ["2 steps succeeded; step_outputs has the last 1. Ask for others by outputs."]
