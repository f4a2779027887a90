"""The examples of AWS's practices, unchanged, beside the real local endpoint: what they compute."""

from __future__ import annotations

import io
import json
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.airflow_runs import connect

if TYPE_CHECKING:
    from airflow_sm_pipelines.server import RunningServer
    from tests.airflow_runs import DagRunner

pytestmark = pytest.mark.slow


def await_end(client: Any, arn: str) -> dict[str, Any]:
    """Give the execution's description once it has ended."""
    deadline = time.monotonic() + 60
    while True:
        found: dict[str, Any] = client.describe_pipeline_execution(PipelineExecutionArn=arn)
        if found["PipelineExecutionStatus"] not in {"Executing", "Stopping"}:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_a_lambda_step_passes_typed_values_to_jobs_and_xcom(local: DagRunner, server: RunningServer) -> None:
    # Other code stands under the function's name: it would give no outputs.
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("handler.py", "def choose(event, context):\n    return {}\n")
    made = connect(server, "lambda").create_function(
        FunctionName="choose-candidates",
        Runtime="python3.12",
        Handler="handler.choose",
        Role="arn:aws:iam::123456789012:role/LambdaExecution",
        Code={"ZipFile": code.getvalue()},
    )
    result = local.test("lambda_step")
    assert result.exit_code == 0, result.output[-6000:]
    assert result.xcom("put_function") == {"arn": made["FunctionArn"], "action": "updated"}
    candidates = [{"alpha": 1.0}, {"alpha": 0.1}, {"alpha": 0.01}]
    outputs = {name: result.xcom("run")[name] for name in ("folds", "test_share", "shuffle")}
    assert outputs == {"folds": 5, "test_share": 0.25, "shuffle": True}
    assert isinstance(outputs["folds"], int)
    assert json.loads(result.xcom("run")["candidates"]) == candidates
    # What the job was given: the property file's number, and the function's outputs.
    assert result.xcom("run", "result") == {"rows": 442, **outputs, "candidates": candidates}
    # Computed apart from all this: R² is 0.416, 0.481 and 0.479 in the order of the candidates.
    assert result.xcom("run", "best") == 0.1


def test_a_text_beyond_1024_characters_fails_the_step_with_the_reason(local: DagRunner) -> None:
    result = local.test("lambda_step", conf={"Candidates": 100})
    assert result.xcom("put_function")["action"] == "unchanged"
    assert result.states["run"] == "failed"
    assert "Output 'candidates' has" in result.output
    assert "at most 1024 are allowed" in result.output


def test_a_property_files_number_decides_a_condition(local: DagRunner, server: RunningServer) -> None:
    client = connect(server, "sagemaker")
    arn = client.start_pipeline_execution(
        PipelineName="lambda-step", PipelineParameters=[{"Name": "MinRows", "Value": "443"}]
    )["PipelineExecutionArn"]
    assert await_end(client, arn)["PipelineExecutionStatus"] == "Failed"
    steps = client.list_pipeline_execution_steps(PipelineExecutionArn=arn, SortOrder="Ascending")
    found = {step["StepName"]: step for step in steps["PipelineExecutionSteps"]}
    assert set(found) == {"Measure", "IsEnough", "TooFew"}
    assert found["TooFew"]["FailureReason"] == "Too few rows: 442"


def test_hosts_take_their_parts_and_mapped_runs_one_each(local: DagRunner, server: RunningServer) -> None:
    by_hosts = local.test("parallel_by_hosts")
    assert by_hosts.exit_code == 0, by_hosts.output[-6000:]
    by_mapping = local.test("parallel_by_mapping")
    assert by_mapping.exit_code == 0, by_mapping.output[-6000:]
    # mean / (1 + standard deviation), by hand: 4 / (1 + 0.8165), 6 / (1 + 3.559), 6.333 / (1 + 0.4714)
    scores = {"north": 2.202, "south": 1.316, "west": 4.304}
    rows = by_hosts.xcom("gather")
    assert {row["name"]: row["score"] for row in rows} == scores
    assert {row["name"]: row["host"] for row in rows} == {"north": "algo-1", "south": "algo-2", "west": "algo-1"}
    mapped = by_mapping.xcom("gather")
    assert {row["name"]: row["score"] for row in mapped} == scores
    assert {row["host"] for row in mapped} == {"algo-1"}
    assert [by_mapping.states["score", index] for index in range(3)] == ["success"] * 3
    executions = connect(server, "sagemaker").list_pipeline_executions(PipelineName="parallel-by-mapping")
    assert len(executions["PipelineExecutionSummaries"]) == 3


@pytest.mark.parametrize("sdk", ["v2", "v3"])
def test_each_run_has_a_trial_with_its_jobs_and_a_place_of_its_own(
    local: DagRunner, server: RunningServer, sdk: str
) -> None:
    result = local.test("experiment_per_run", conf={"Prefix": f"nightly-{sdk}", "sdk": sdk})
    assert result.exit_code == 0, result.output[-6000:]
    arn = result.xcom("run", "pipeline_execution_arn")
    execution, pipeline = arn.rpartition("/")[2], arn.split("/")[1]
    trial, experiment = f"run-{execution}", f"diabetes-nightly-{sdk}"
    found = result.xcom("find_trial")
    assert (found["experiment"], found["trial"]) == (experiment, trial)
    assert found["mlflow_experiment"] == (experiment if sdk == "v3" else None)
    assert found["link"].endswith(f"/_console/pipelines/{pipeline}/executions/{execution}")
    uri = result.xcom("run", "report_uri")
    assert uri.endswith(f"/{pipeline}/nightly-{sdk}/{execution}/report")
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    written = json.load(connect(server, "s3").get_object(Bucket=bucket, Key=f"{prefix}/report.json")["Body"])
    assert written["execution"] == execution
    assert written["started"].startswith("20")
    client = connect(server, "sagemaker")
    assert client.describe_trial(TrialName=trial)["ExperimentName"] == experiment
    listed = client.list_trials(ExperimentName=experiment)["TrialSummaries"]
    assert [summary["TrialName"] for summary in listed] == [trial]
    # The job that the step started is a component of the trial.
    assert list(found["jobs"]) == ["Report"]
    source = client.describe_trial_component(TrialComponentName=found["jobs"]["Report"])["Source"]["SourceArn"]
    steps = client.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    assert source == steps[0]["Metadata"]["ProcessingJob"]["Arn"]
