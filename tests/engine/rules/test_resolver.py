"""What expressions are worth."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.engine.rules.errors import ResolutionError
from airflow_sm_pipelines.engine.rules.resolver import ResolutionScope, resolve

DESCRIBED = {
    "Process": {
        "ProcessingOutputConfig": {
            "Outputs": [
                {"OutputName": "train", "S3Output": {"S3Uri": "s3://b/train"}},
                {"OutputName": "test.set", "S3Output": {"S3Uri": "s3://b/test"}},
            ]
        },
        "ProcessingInputs": [{"InputName": "raw", "S3Input": {"S3Uri": "s3://b/raw"}}],
    },
    "Train": {
        "ModelArtifacts": {"S3ModelArtifacts": "s3://b/model.tar.gz"},
        "HyperParameters": {"max-depth": "5", "eta": "0.1"},
        "FinalMetricDataList": [{"MetricName": "rmse", "Value": 1.5}, {"MetricName": "validation:auc", "Value": 0.9}],
        "InputDataConfig": [{"ChannelName": "train"}, {"ChannelName": "validation"}],
    },
    "Notify": {"OutputParameters": [{"Name": "count", "Value": 3}, {"Name": "ok", "Value": True}]},
    "Check": {"Outcome": True},
}
SCOPE = ResolutionScope(
    parameters={"Bucket": "b", "Depth": 5, "Rate": 0.5, "Flag": True},
    execution={"PipelineExecutionId": "abc123def456", "PipelineName": "demo"},
    experiment={"ExperimentName": "demo", "TrialName": "abc123def456"},
    describe_step=lambda name: DESCRIBED.get(name),  # type: ignore[arg-type, return-value]
    load_property_file=lambda step, name: {"metrics": {"rmse": {"value": 3}}, "a.b": [1, {"c d": "x"}]},
    load_document=lambda uri: {"uri": uri},
)


def get(path: str) -> dict[str, str]:
    return {"Get": path}


def join(on: str, *values: Any) -> dict[str, Any]:
    return {"Std:Join": {"On": on, "Values": list(values)}}


def json_get(path: str) -> dict[str, Any]:
    return {"Std:JsonGet": {"PropertyFile": get("Steps.Process.PropertyFiles.Report"), "Path": path}}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        pytest.param(get("Parameters.Depth"), 5, id="integer parameter keeps its type"),
        pytest.param(get("Parameters.Flag"), True, id="boolean parameter keeps its type"),
        pytest.param(get("Execution.PipelineExecutionId"), "abc123def456", id="execution variable"),
        pytest.param(get("PipelineExperimentConfig.TrialName"), "abc123def456", id="experiment"),
        pytest.param(
            get("Steps.Process.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"),
            "s3://b/train",
            id="output by name",
        ),
        pytest.param(
            get("Steps.Process.ProcessingOutputConfig.Outputs['test.set'].S3Output.S3Uri"),
            "s3://b/test",
            id="dot in name",
        ),
        pytest.param(
            get("Steps.Process.ProcessingOutputConfig.Outputs[1].S3Output.S3Uri"), "s3://b/test", id="output by number"
        ),
        pytest.param(get("Steps.Process.ProcessingInputs['raw'].S3Input.S3Uri"), "s3://b/raw", id="input by name"),
        pytest.param(get("Steps.Train.ModelArtifacts.S3ModelArtifacts"), "s3://b/model.tar.gz", id="plain property"),
        pytest.param(get("Steps.Train.HyperParameters['max-depth']"), "5", id="hyperparameter"),
        pytest.param(get("Steps.Train.FinalMetricDataList['rmse'].Value"), 1.5, id="metric by name"),
        pytest.param(get("Steps.Train.FinalMetricDataList['validation:auc'].Value"), 0.9, id="metric with a colon"),
        pytest.param(get("Steps.Train.InputDataConfig['validation'].ChannelName"), "validation", id="channel by name"),
        pytest.param(get("Steps.Notify.OutputParameters['count']"), 3, id="Lambda output is its value"),
        pytest.param(get("Steps.Check.Outcome"), True, id="condition outcome"),
        pytest.param(join("/", "s3:/", get("Parameters.Bucket"), "x"), "s3://b/x", id="join"),
        pytest.param(join("-", 1, 0.5, True, "a"), "1-0.5-true-a", id="join writes numbers plainly, booleans small"),
        pytest.param(join("", get("Steps.Check.Outcome")), "true", id="condition outcome in a join"),
        pytest.param(join("", get("Parameters.Depth")), "5", id="to_string"),
        pytest.param(join(",", join("", "a", "b"), json_get("metrics.rmse.value")), "ab,3", id="nested"),
        pytest.param(json_get("metrics.rmse.value"), 3, id="property file keeps its type"),
        pytest.param(json_get("$.metrics['rmse'].value"), 3, id="dollar and quotes"),
        pytest.param(json_get("['a.b'][1]['c d']"), "x", id="brackets all the way"),
        pytest.param(
            {"Std:JsonGet": {"S3Uri": join("/", "s3://b", "m.json"), "Path": "uri"}}, "s3://b/m.json", id="S3 document"
        ),
        pytest.param(
            {"a": [get("Parameters.Depth"), {"b": get("Parameters.Rate")}]}, {"a": [5, {"b": 0.5}]}, id="depth"
        ),
        pytest.param(
            {"Get": "Parameters.Depth", "More": 1}, {"Get": "Parameters.Depth", "More": 1}, id="not an expression"
        ),
    ],
)
def test_an_expression_gives_its_value(expression: Any, value: Any) -> None:
    resolved = resolve(expression, SCOPE)
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        pytest.param(get("Steps.Skipped.ModelName"), "Step 'Skipped' did not run", id="step that did not run"),
        pytest.param(
            get("Steps.Train.ModelArtifact.S3ModelArtifacts"),
            "has no property 'ModelArtifact'. It has 'ModelArtifacts', 'HyperP.* Did you mean 'ModelArtifacts'",
            id="typo",
        ),
        pytest.param(
            get("Steps.Process.ProcessingOutputConfig.Outputs['tset'].S3Output.S3Uri"),
            "'ProcessingOutputConfig.Outputs.tset'. 'ProcessingOutputConfig.Outputs' has entries named 'train', 'test",
            id="no such output",
        ),
        pytest.param(
            get("Steps.Train.FinalMetricDataList[7].Value"), "FinalMetricDataList\\[7\\]", id="number too high"
        ),
        pytest.param(json_get("metrics.mse.value"), "has no property 'metrics.mse'", id="no such value"),
        pytest.param(json_get("metrics..rmse"), "cannot be read from '..rmse' on", id="malformed path"),
        pytest.param(json_get("metrics[x]"), "'metrics.x.' cannot be read", id="malformed bracket"),
        pytest.param(json_get("metrics."), "cannot be read from '.' on", id="trailing dot"),
        pytest.param(
            get("Execution.TrainingJobName"), "no execution variable 'TrainingJobName'", id="outside a training"
        ),
        pytest.param(get("ForEach.CurrentItem"), "outside a ForEach", id="outside a loop"),
        pytest.param(
            join("/", "s3:/", None, get("Parameters.Bucket")),
            r'Value 2 of 3 in Std:Join is null.*\["s3:/", null, \{"Get": "Parameters.Bucket"\}\]',
            id="null in a join",
        ),
        pytest.param(get("Steps.Process.PropertyFiles.Report"), "only be read by Std:JsonGet", id="bare property file"),
    ],
)
def test_an_expression_without_a_value_says_what_is_missing(expression: Any, message: str) -> None:
    with pytest.raises(ResolutionError, match=message):
        resolve(expression, SCOPE)
