"""Outputs: what may be asked for, where a path leads, and what is read from an endpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.client.job_logs import resolve_log_location
from airflow_sm_pipelines.client.outputs import OutputReader, check_output_steps, parse_output_requests
from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.exceptions import DefinitionError, OutputError
from tests.airflow_fakes import DEFINITION

if TYPE_CHECKING:
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
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
            "b": {"property_file": METRICS, "path": "x", "required": False},
            "c": {"property": "Steps.Train.Nothing", "required": False},
        }
    )
    assert reader[0].read(requests) == {"a": None, "b": None, "c": None}
    assert [warning.split(" could")[0] for warning in reader[1]] == ["Output 'a'", "Output 'b'", "Output 'c'"]
    assert "steps that did: Train, Evaluate" in reader[1][0]


CHOICE = {
    **DEFINITION,
    "Steps": [
        *DEFINITION["Steps"],
        {
            "Name": "IsGood",
            "Type": "Condition",
            "Arguments": {
                "Conditions": [{"Type": "GreaterThan", "LeftValue": 1, "RightValue": 0}],
                "IfSteps": [{**DEFINITION["Steps"][1], "Name": "Register-RegisterModel", "DependsOn": []}],
                "ElseSteps": [],
            },
        },
        {**DEFINITION["Steps"][1], "Name": "Tell", "DependsOn": ["Register-RegisterModel"]},
        {**DEFINITION["Steps"][1], "Name": "Clean"},
    ],
}


@pytest.mark.parametrize(
    ("output", "is_selective", "is_error"),
    [
        ("Steps.Clean.ProcessingJobName", False, True),  # every path runs it
        ("Steps.Clean.ProcessingJobName", True, False),  # but not where others were selected
        ("Steps.Register-RegisterModel.ModelPackageArn", False, False),  # in a branch
        ("Steps.Tell.ProcessingJobName", False, False),  # waits for a step in a branch
        ("Steps.Train.Nothing", False, True),  # ran, and has no such property
        ({"property": "Steps.Train.Nothing", "required": False}, False, False),
        ({"property": "Steps.Tell.ProcessingJobName", "required": True}, False, True),
        ({"property_file": METRICS, "path": "x"}, False, True),  # its file is not there
    ],
)
@pytest.mark.parametrize("status", ["Succeeded", "CompletedWithFailures"])
def test_a_missing_output_fails_after_success_unless_its_step_need_not_run(
    fake: FakeSageMaker,
    hook: SageMakerPipelinesHook,
    output: Any,
    is_selective: bool,
    is_error: bool,
    status: str,
) -> None:
    fake.add_pipeline("p", CHOICE)
    fake.statuses = [status]
    report = hook.describe_report(hook.start_execution({"PipelineName": "p"}, token="t" * 40))
    reader = OutputReader(hook, report, warn=lambda _: None, is_selective=is_selective)
    requests = parse_output_requests({"x": output})
    if not is_error or (status != "Succeeded" and not requests[0].is_required):
        assert reader.read(requests) == {"x": None}
        return
    step = requests[0].step
    with pytest.raises(OutputError, match=rf"^Output 'x' could not be read from step '{step}': \w"):
        reader.read(requests)


def test_an_output_of_a_step_that_does_not_exist_is_refused_with_the_nearest_name() -> None:
    requests = parse_output_requests(
        {
            "a": "Steps.Trian.ModelArtifacts.S3ModelArtifacts",
            "b": "Steps.Register.ModelPackageArn",
            "c": {"property_file": "Steps.Evaluate.PropertyFiles.Metric", "path": "x"},
            "good": "Steps.Tell.ProcessingJobName",
        }
    )
    with pytest.raises(DefinitionError) as caught:
        check_output_steps(requests, parse_definition(CHOICE))
    assert str(caught.value).splitlines() == [
        "Output 'a': The pipeline has no step 'Trian'. Did you mean 'Train'?",
        "Output 'b': The pipeline has no step 'Register'. Did you mean 'Register-RegisterModel'?",
        "Output 'c': Step 'Evaluate' has no property file 'Metric'. Did you mean 'Metrics'?",
    ]


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
        {
            name: {"property_file": METRICS, "path": path, "required": False}
            for name, path in (("all", "rows"), ("n", "n"))
        }
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
