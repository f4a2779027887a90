"""Whole executions: the engine with real threads and a real store, jobs as the test says."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine import ServiceError
from airflow_sm_pipelines.engine.jobs import FunctionOutcome, JobOutcome
from tests.engine.fake_world import (
    ROLE,
    Gate,
    as_text,
    complete,
    condition,
    definition_text,
    fail,
    fail_step,
    processing,
    run_until_stopped,
    training,
    wait_until,
)

if TYPE_CHECKING:
    from tests.engine.fake_world import World

REPORT = {"PropertyFileName": "Report", "OutputName": "out", "FilePath": "report.json"}


def rmse_at_most(limit: Any) -> list[Any]:
    rmse = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Report"}, "Path": "rmse.value"}}
    return [{"Type": "LessThanOrEqualTo", "LeftValue": rmse, "RightValue": limit}]


def demo_steps() -> list[Any]:
    """The pipeline of the issue: process, train, evaluate, then register or fail."""
    model = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": "diabetes",
            "InferenceSpecification": {
                "Containers": [{"Image": "image", "ModelDataUrl": model}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        },
    }
    message = {"Std:Join": {"On": " ", "Values": ["RMSE above", {"Get": "Parameters.Limit"}]}}
    data = {"Get": "Steps.Process.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": data}}}
    evaluate = processing("Evaluate", depends_on=["Train"], PropertyFiles=[REPORT])
    return [
        processing("Process"),
        training(
            "Train", InputDataConfig=[channel], HyperParameters={"max_depth": as_text({"Get": "Parameters.Depth"})}
        ),
        evaluate,
        condition(
            "Check",
            rmse_at_most({"Get": "Parameters.Limit"}),
            then=[
                register,
                {"Name": "Model", "Type": "Model", "Arguments": {"PrimaryContainer": {"ModelDataUrl": model}}},
            ],
            otherwise=[fail_step("TooBad", message)],
        ),
    ]


PARAMETERS = [
    {"Name": "Limit", "Type": "Float", "DefaultValue": 60.0},
    {"Name": "Depth", "Type": "Integer", "DefaultValue": 5},
]


def test_the_demo_pipeline_registers_a_good_model(world: World) -> None:
    world.put_json("s3://bucket/Evaluate/report.json", {"rmse": {"value": 55.5}})
    arn, status = world.run(demo_steps(), parameters=PARAMETERS)
    assert status == "Succeeded"
    steps = world.steps(arn)
    assert list(steps)[-1] == "Process", "newest first"
    assert steps["Check"]["Metadata"] == {"Condition": {"Outcome": "True"}}
    assert "TooBad" not in steps
    package = steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    assert package == "arn:aws:sagemaker:us-east-1:123456789012:model-package/diabetes/1"
    job = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    execution_id = arn.rpartition("/")[2]
    assert re.fullmatch(rf"pipelines-{execution_id}-Train-[A-Za-z0-9]{{10}}", job)
    assert re.fullmatch(r"[a-z0-9]{12}", execution_id)
    described = world.engine.call("DescribeModelPackage", {"ModelPackageName": package})
    container = described["InferenceSpecification"]["Containers"][0]
    assert container["ModelDataUrl"] == f"s3://bucket/models/{job}/output/model.tar.gz"
    assert world.requests["Train"]["HyperParameters"] == {"max_depth": "5"}
    channel = world.requests["Train"]["InputDataConfig"][0]
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == "s3://bucket/Process"


def test_the_demo_pipeline_fails_with_the_joined_message_when_the_threshold_is_not_met(world: World) -> None:
    world.put_json("s3://bucket/Evaluate/report.json", {"rmse": {"value": 55.5}})
    arn, status = world.run(
        demo_steps(), parameters=PARAMETERS, PipelineParameters=[{"Name": "Limit", "Value": "10.5"}]
    )
    assert status == "Failed"
    assert world.describe(arn)["FailureReason"] == "Step failure: One or multiple steps failed"
    failed = world.steps(arn)["TooBad"]
    assert failed["FailureReason"] == "RMSE above 10.5"
    assert failed["Metadata"] == {"Fail": {"ErrorMessage": "RMSE above 10.5"}}


def test_independent_steps_run_at_the_same_time_and_the_limit_holds(world: World) -> None:
    gates = {name: Gate() for name in ("A", "B", "C")}
    world.behaviours.update(gates)
    world.create([processing(name) for name in gates])
    arn = world.start()
    for gate in gates.values():
        assert gate.entered.wait(10), "all three run although none has ended"
    for gate in gates.values():
        gate.opened.set()
    assert world.finish(arn) == "Succeeded"
    assert world.most_active == 3
    world.most_active = 0
    again = world.start(ParallelismConfiguration={"MaxParallelExecutionSteps": 1})
    assert world.finish(again) == "Succeeded"
    assert world.most_active == 1


def test_a_failed_job_fails_its_step_with_the_jobs_reason_and_running_siblings_finish(world: World) -> None:
    slow = Gate()
    world.behaviours.update({"Bad": fail, "Slow": slow})
    world.create([processing("Bad"), processing("Slow"), processing("After", depends_on=["Slow"])])
    arn = world.start()
    wait_until(lambda: world.statuses(arn).get("Bad") == "Failed")
    assert world.describe(arn)["PipelineExecutionStatus"] == "Executing"
    slow.opened.set()
    assert world.finish(arn) == "Failed"
    assert world.statuses(arn) == {"Bad": "Failed", "Slow": "Succeeded"}
    assert world.steps(arn)["Bad"]["FailureReason"] == "ClientError: AlgorithmError: exit code 1"
    name = world.steps(arn)["Bad"]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
    job = world.engine.call("DescribeProcessingJob", {"ProcessingJobName": name})
    assert (job["ProcessingJobStatus"], job["FailureReason"]) == ("Failed", "AlgorithmError: exit code 1")


def test_a_step_that_cannot_be_resolved_fails_and_says_why(world: World) -> None:
    arn, status = world.run(demo_steps(), parameters=PARAMETERS)
    assert status == "Failed"
    assert "s3://bucket/Evaluate/report.json cannot be read" in world.steps(arn)["Check"]["FailureReason"]


def test_a_request_the_service_would_refuse_fails_the_step_before_any_job(world: World) -> None:
    world.faults["CreateProcessingJob"] = "InstanceCount must be at least 1"
    arn, status = world.run([processing("A")])
    assert status == "Failed"
    assert world.steps(arn)["A"]["FailureReason"] == (
        "ClientError: Failed to invoke sagemaker:CreateProcessingJob. Error Details: InstanceCount must be at least 1"
    )
    assert world.started == []


def test_a_step_type_without_local_meaning_can_be_created_and_fails_when_it_runs(world: World) -> None:
    arn, status = world.run([{"Name": "Cluster", "Type": "EMR", "Arguments": {"ClusterId": "j-1"}}])
    assert status == "Failed"
    assert "Step type 'EMR' has no local meaning" in world.steps(arn)["Cluster"]["FailureReason"]


def test_a_handler_of_a_failure_makes_the_execution_complete_with_failures(world: World) -> None:
    world.behaviours["Train"] = fail
    notify = processing("Notify", depends_on=[{"Step": "Train", "Trigger": "Failed"}])
    arn, status = world.run([processing("Train"), notify])
    assert status == "CompletedWithFailures"
    assert world.statuses(arn) == {"Train": "Failed", "Notify": "Succeeded"}


def test_a_stop_stops_running_jobs_and_starts_nothing_new(world: World) -> None:
    world.behaviours["Slow"] = run_until_stopped
    world.create([processing("Slow"), processing("After", depends_on=["Slow"])])
    arn = world.start()
    wait_until(lambda: world.statuses(arn).get("Slow") == "Executing")
    world.engine.call("StopPipelineExecution", {"PipelineExecutionArn": arn})
    assert world.finish(arn) == "Stopped"
    assert world.statuses(arn) == {"Slow": "Stopped"}
    with pytest.raises(ServiceError, match="Only pipelines with 'Executing' status can be stopped") as refused:
        world.engine.call("StopPipelineExecution", {"PipelineExecutionArn": arn})
    assert refused.value.code == "ValidationException"


def test_a_step_that_waits_for_a_free_worker_is_stopped_at_once(world: World) -> None:
    gates = {f"Busy{number}": Gate() for number in range(8)}
    world.behaviours.update(gates)
    world.create([processing(name) for name in gates], name="busy")
    busy = world.start("busy")
    for gate in gates.values():
        assert gate.entered.wait(10), "all workers of the engine are taken"
    world.create([processing("Waits")])
    arn = world.start()
    wait_until(lambda: world.statuses(arn) == {"Waits": "Starting"})
    world.engine.call("StopPipelineExecution", {"PipelineExecutionArn": arn})
    assert world.finish(arn) == "Stopped"
    assert world.statuses(arn) == {"Waits": "Stopped"}
    for gate in gates.values():
        gate.opened.set()
    assert world.finish(busy) == "Succeeded"
    assert "Waits" not in world.started


def test_a_running_function_is_waited_for_when_the_execution_is_stopped(world: World) -> None:
    entered, opened = threading.Event(), threading.Event()

    def handler(spec: Any, event: Any) -> FunctionOutcome:
        entered.set()
        opened.wait(10)
        return FunctionOutcome("Completed", {})

    world.functions["notify"] = handler
    world.create([lambda_step([])])
    arn = world.start()
    assert entered.wait(10)
    world.engine.call("StopPipelineExecution", {"PipelineExecutionArn": arn})
    wait_until(lambda: world.statuses(arn) == {"Call": "Stopping"})
    assert world.describe(arn)["PipelineExecutionStatus"] == "Stopping"
    opened.set()
    assert world.finish(arn) == "Stopped"
    assert world.statuses(arn) == {"Call": "Stopped"}


def test_a_function_that_runs_out_of_time_while_the_execution_is_stopped_fails_it(world: World) -> None:
    entered, opened = threading.Event(), threading.Event()
    limits: list[float] = []

    def handler(spec: Any, event: Any) -> FunctionOutcome:
        limits.append(spec.timeout_seconds)
        entered.set()
        opened.wait(10)
        return FunctionOutcome("Failed", None, "Task timed out after 600.00 seconds")

    world.functions["notify"] = handler
    world.create([lambda_step([])])
    arn = world.start()
    assert entered.wait(10)
    world.engine.call("StopPipelineExecution", {"PipelineExecutionArn": arn})
    wait_until(lambda: world.statuses(arn) == {"Call": "Stopping"})
    opened.set()
    assert world.finish(arn) == "Failed"
    assert "Task timed out" in world.steps(arn)["Call"]["FailureReason"]
    assert limits == [600]


def test_a_job_that_is_stopped_by_its_name_fails_the_execution(world: World) -> None:
    world.behaviours["Slow"] = run_until_stopped
    world.create([processing("Slow")])
    arn = world.start()
    wait_until(lambda: world.statuses(arn).get("Slow") == "Executing")
    name = world.steps(arn)["Slow"]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
    wait_until(lambda: bool(world.started))
    world.engine.call("StopProcessingJob", {"ProcessingJobName": name})
    assert world.finish(arn) == "Failed"
    assert world.statuses(arn) == {"Slow": "Stopped"}


def test_a_retry_runs_only_what_failed_and_what_comes_after(world: World) -> None:
    world.behaviours["B"] = fail
    arn, status = world.run([processing("A"), processing("B", depends_on=["A"]), processing("C", depends_on=["B"])])
    assert status == "Failed"
    world.behaviours.clear()
    world.engine.call("RetryPipelineExecution", {"PipelineExecutionArn": arn})
    assert world.finish(arn) == "Succeeded"
    assert world.started == ["A", "B", "B", "C"]
    assert {name: step["AttemptCount"] for name, step in world.steps(arn).items()} == {"A": 1, "B": 2, "C": 1}
    assert "FailureReason" not in world.describe(arn)
    with pytest.raises(ServiceError, match="can be retried"):
        world.engine.call("RetryPipelineExecution", {"PipelineExecutionArn": arn})


def test_an_execution_ended_by_a_fail_step_cannot_be_retried(world: World) -> None:
    arn, _ = world.run([fail_step("No", "message")])
    with pytest.raises(ServiceError, match="Fail step"):
        world.engine.call("RetryPipelineExecution", {"PipelineExecutionArn": arn})


def lambda_step(outputs: list[Any], **arguments: Any) -> dict[str, Any]:
    return {
        "Name": "Call",
        "Type": "Lambda",
        "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:notify",
        "Arguments": arguments,
        "OutputParameters": outputs,
    }


def test_a_lambda_step_passes_its_arguments_and_its_outputs_are_typed(world: World) -> None:
    events: list[Any] = []

    def handler(spec: Any, event: Any) -> FunctionOutcome:
        events.append(event)
        body: Any = {"statusCode": 200, "body": '"Success"', "count": 3, "ok": True, "nested": {"a": 1}}
        return FunctionOutcome("Completed", body)

    world.functions["notify"] = handler
    outputs = [
        {"OutputName": "statusCode", "OutputType": "String"},
        {"OutputName": "body", "OutputType": "String"},
        {"OutputName": "count", "OutputType": "Integer"},
        {"OutputName": "ok", "OutputType": "Boolean"},
        {"OutputName": "nested", "OutputType": "String"},
    ]
    count = {"Type": "Equals", "LeftValue": {"Get": "Steps.Call.OutputParameters['count']"}, "RightValue": 3}
    check = condition("Check", [count], then=[], otherwise=[fail_step("No", "not three")])
    arn, status = world.run([lambda_step(outputs, id={"Get": "Execution.PipelineName"}), check])
    assert status == "Succeeded"
    assert events == [{"id": "demo"}]
    # As recorded from the service: numbers of String outputs read "200.0", JSON text keeps its quotes.
    assert world.steps(arn)["Call"]["Metadata"]["Lambda"]["OutputParameters"] == [
        {"Name": "statusCode", "Value": "200.0"},
        {"Name": "body", "Value": '"Success"'},
        {"Name": "count", "Value": "3"},
        {"Name": "ok", "Value": "true"},
        {"Name": "nested", "Value": '{"a":1}'},
    ]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        pytest.param(FunctionOutcome("Failed", None, "ValueError: no"), "ValueError: no", id="raises"),
        pytest.param(FunctionOutcome("Completed", {}), "no output 'x'", id="missing output"),
        pytest.param(FunctionOutcome("Completed", {"x": "3"}), "declared Integer", id="wrong type"),
        pytest.param(FunctionOutcome("Completed", "3"), "must return an object", id="no object"),
    ],
)
def test_a_function_that_breaks_its_word_fails_the_step(world: World, outcome: FunctionOutcome, reason: str) -> None:
    world.functions["notify"] = lambda spec, event: outcome
    arn, status = world.run([lambda_step([{"OutputName": "x", "OutputType": "Integer"}])])
    assert status == "Failed"
    assert reason in world.steps(arn)["Call"]["FailureReason"]


def test_an_output_longer_than_1024_characters_fails_the_step(world: World) -> None:
    world.functions["notify"] = lambda spec, event: FunctionOutcome("Completed", {"x": "y" * 1025})
    arn, status = world.run([lambda_step([{"OutputName": "x", "OutputType": "String"}])])
    assert status == "Failed"
    assert "1025 characters" in world.steps(arn)["Call"]["FailureReason"]


def test_a_function_that_does_not_exist_fails_the_step(world: World) -> None:
    arn, status = world.run([lambda_step([])])
    assert status == "Failed"
    assert "Function not found: arn:aws:lambda" in world.steps(arn)["Call"]["FailureReason"]


def test_execution_variables_and_the_experiment_are_resolved(world: World) -> None:
    variables = ("PipelineName", "PipelineArn", "PipelineExecutionId", "PipelineExecutionArn", "ProcessingJobName")
    environment = {name: {"Get": f"Execution.{name}"} for name in variables}
    environment["Started"] = {"Get": "Execution.StartDateTime"}
    text = definition_text(
        [processing("A", arguments={"Environment": environment})],
        PipelineExperimentConfig={
            "ExperimentName": {"Get": "Execution.PipelineName"},
            "TrialName": {"Get": "Execution.PipelineExecutionId"},
        },
    )
    world.engine.call("CreatePipeline", {"PipelineName": "demo", "RoleArn": ROLE, "PipelineDefinition": text})
    arn = world.start()
    assert world.finish(arn) == "Succeeded"
    execution_id = arn.rpartition("/")[2]
    seen = world.requests["A"]["Environment"]
    started = world.describe(arn)["CreationTime"].strftime("%Y-%m-%dT%H:%M:")
    assert seen.pop("Started").startswith(started)
    assert seen.pop("ProcessingJobName").startswith(f"pipelines-{execution_id}-A-")
    assert seen == {
        "PipelineName": "demo",
        "PipelineArn": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/demo",
        "PipelineExecutionId": execution_id,
        "PipelineExecutionArn": arn,
    }
    assert world.describe(arn)["PipelineExperimentConfig"] == {"ExperimentName": "demo", "TrialName": execution_id}


def test_what_only_the_run_of_a_job_can_tell_is_in_its_description_and_reachable_by_path(world: World) -> None:
    metric: Any = {"MetricName": "rmse", "Value": 1.5, "Timestamp": 1700000000.0}
    world.behaviours["Train"] = lambda spec, context, stop: JobOutcome(
        "Completed", details={"FinalMetricDataList": [metric]}
    )
    value = {"Get": "Steps.Train.FinalMetricDataList['rmse'].Value"}
    bad = fail_step("Bad", {"Std:Join": {"On": "", "Values": ["rmse ", value]}})
    high = [{"Type": "GreaterThan", "LeftValue": value, "RightValue": 1}]
    arn, _ = world.run([training("Train"), condition("Check", high, then=[bad], otherwise=[])])
    assert world.steps(arn)["Bad"]["FailureReason"] == "rmse 1.5"
    name = world.steps(arn)["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    job = world.engine.call("DescribeTrainingJob", {"TrainingJobName": name})
    assert job["FinalMetricDataList"][0]["Timestamp"].timestamp() == 1700000000
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
    transitions = job["SecondaryStatusTransitions"]
    assert [one["Status"] for one in transitions] == ["Starting", "Training", "Uploading", "Completed"]
    assert all(one["EndTime"] >= one["StartTime"] for one in transitions)
    tags = world.engine.call("ListTags", {"ResourceArn": job["TrainingJobArn"]})["Tags"]
    assert {"Key": "sagemaker:pipeline-execution-arn", "Value": arn} in tags


def test_an_engine_that_meets_the_unexpected_fails_the_step_instead_of_hanging(world: World) -> None:
    def crash(*_: Any) -> JobOutcome:
        raise RuntimeError("boom")

    world.behaviours["A"] = crash
    arn, status = world.run([processing("A")])
    assert status == "Failed"
    assert world.steps(arn)["A"]["FailureReason"] == "InternalServerError: RuntimeError: boom"
    summaries = world.engine.call("ListProcessingJobs", {})["ProcessingJobSummaries"]
    assert [summary["ProcessingJobStatus"] for summary in summaries] == ["Failed"]


def test_many_executions_at_once_all_end_well(world: World) -> None:
    world.create([processing("A"), processing("B", depends_on=["A"]), processing("C", depends_on=["A"])])
    arns = [world.start() for _ in range(50)]
    assert {world.finish(arn) for arn in arns} == {"Succeeded"}
    assert len(world.started) == 150


def cached(name: str, argument: Any, expire_after: str = "p30d") -> dict[str, Any]:
    step = processing(name, arguments={"Environment": {"X": argument}})
    return {**step, "CacheConfig": {"Enabled": True, "ExpireAfter": expire_after}}


def test_a_cached_step_takes_the_result_of_an_earlier_execution_with_the_same_attributes(world: World) -> None:
    output = {"Get": "Steps.A.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    after = processing("B", arguments={"Environment": {"DATA": output}})
    parameters = [{"Name": "P", "Type": "String", "DefaultValue": "x"}]
    first, _ = world.run([cached("A", {"Get": "Parameters.P"}), after], parameters=parameters)
    second = world.start()
    assert world.finish(second) == "Succeeded"
    assert world.started == ["A", "B", "B"]
    assert world.requests["B"]["Environment"] == {"DATA": "s3://bucket/A"}
    steps = world.steps(second)
    assert steps["A"]["CacheHitResult"] == {"SourcePipelineExecutionArn": first}
    assert steps["A"]["Metadata"] == world.steps(first)["A"]["Metadata"]
    assert "CacheHitResult" not in steps["B"]
    third = world.start()
    world.finish(third)
    hit = world.steps(third)["A"]["CacheHitResult"]
    assert hit == {"SourcePipelineExecutionArn": first}, "a hit refers to the run, not to another hit"
    other = world.start(PipelineParameters=[{"Name": "P", "Value": "y"}])
    world.finish(other)
    assert "CacheHitResult" not in world.steps(other)["A"]


def test_a_cached_result_is_not_taken_from_a_failure_nor_after_it_expired_nor_without_its_job(world: World) -> None:
    world.behaviours["A"] = fail
    world.create([cached("A", "x"), cached("Old", "x", "PT0S")])
    for behaviour in (fail, complete):
        world.behaviours["A"] = behaviour
        world.finish(world.start())
    arn = world.start()
    assert world.finish(arn) == "Succeeded"
    assert world.started.count("A") == 2, "the failure did not count, the success did"
    assert world.started.count("Old") == 3
    name = world.steps(arn)["A"]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
    world.engine.call("DeleteProcessingJob", {"ProcessingJobName": name})
    world.finish(world.start())
    assert world.started.count("A") == 3


def selection(*steps: str, source: str | None = None) -> dict[str, Any]:
    config: dict[str, Any] = {"SelectedSteps": [{"StepName": name} for name in steps]}
    return {"SelectiveExecutionConfig": {**config, **({"SourcePipelineExecutionArn": source} if source else {})}}


def test_only_selected_steps_run_and_what_they_stand_on_comes_from_the_source(world: World) -> None:
    output = {"Get": "Steps.A.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    after = processing("B", arguments={"Environment": {"DATA": output}})
    source, _ = world.run([processing("A"), after, processing("C", depends_on=["B"]), processing("Other")])
    before = world.steps(source)["A"]
    world.started.clear()
    arn = world.start(**selection("B", source=source))
    assert world.finish(arn) == "Succeeded"
    assert world.started == ["B"]
    assert world.requests["B"]["Environment"] == {"DATA": "s3://bucket/A"}
    steps = world.steps(arn)
    assert set(steps) == {"A", "B"}
    assert steps["A"]["SelectiveExecutionResult"] == {"SourcePipelineExecutionArn": source}
    assert steps["A"]["Metadata"] == before["Metadata"]
    assert "SelectiveExecutionResult" not in steps["B"]
    assert world.describe(arn)["SelectiveExecutionConfig"] == selection("B", source=source)["SelectiveExecutionConfig"]
    alone = world.start(**selection("Other"))
    assert world.finish(alone) == "Succeeded"
    assert set(world.steps(alone)) == {"Other"}


@pytest.mark.parametrize(
    ("steps", "with_source", "message"),
    [
        (
            ("B",),
            False,
            r"Invalid SourcePipelineExecutionArn: null. The selected steps \[B\] have dependencies on \[A\]",
        ),
        (("A", "C"), True, "between selected steps must be selected too: B"),
        (("Z",), True, "does not have: Z"),
        (("C",), True, "did not succeed in the source execution: B"),
    ],
)
def test_a_selection_that_cannot_run_is_refused(
    world: World, steps: tuple[str, ...], with_source: bool, message: str
) -> None:
    world.behaviours["B"] = fail
    source, _ = world.run([processing("A"), processing("B", depends_on=["A"]), processing("C", depends_on=["B"])])
    with pytest.raises(ServiceError, match=message):
        world.start(**selection(*steps, source=source if with_source else None))
    listed = world.engine.call("ListPipelineExecutions", {"PipelineName": "demo"})
    assert len(listed["PipelineExecutionSummaries"]) == 1


def test_a_job_without_a_role_of_its_own_takes_the_pipelines(world: World) -> None:
    bare, own = processing("Bare"), processing("Own")
    del bare["Arguments"]["RoleArn"]
    own["Arguments"]["RoleArn"] = "arn:aws:iam::123456789012:role/Own"
    trial = {
        "AlgorithmSpecification": {"TrainingImage": "python:3", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    tuning = {
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ParameterRanges": {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1"]}]},
        },
        "TrainingJobDefinition": {**trial, "StaticHyperParameters": {}},
    }
    world.create([bare, own, {"Name": "Tune", "Type": "Tuning", "Arguments": tuning}])
    arn = world.start()
    world.finish(arn)
    roles = {step: request["RoleArn"] for step, request in world.requests.items()}
    tried = [roles.pop(step) for step in list(roles) if step not in ("Bare", "Own")]
    assert roles == {"Bare": ROLE, "Own": "arn:aws:iam::123456789012:role/Own"}
    assert set(tried) == {ROLE}
