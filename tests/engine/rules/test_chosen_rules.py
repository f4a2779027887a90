"""Each chosen rule of docs/engine.md in an execution that relies on it: what it decides, and that it is named.

Those of ``ELSEWHERE`` have their executions in ``tests/engine/operations/test_reliances.py``.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.jobs import FunctionOutcome, JobOutcome
from airflow_sm_pipelines.engine.rules.chosen_rules import CHOSEN_RULES
from airflow_sm_pipelines.engine.tuning.ranges import parse_ranges
from airflow_sm_pipelines.engine.tuning.tuning_run import MedianRule
from tests.engine.fake_world import ROLE, for_each, lambda_step, processing, run_until_stopped, training, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engine.fake_world import World

ELSEWHERE = {
    *("failure", "handled-failure", "out-of-time", "foreach-failure", "foreach-object", "again", "times"),
    *("join-numbers", "text-order"),
}


def relied(world: World) -> dict[str, tuple[str, ...]]:
    """The names of the rules that the world's executions relied on, with the steps for which they counted."""
    names = {rule.text: rule.name for rule in CHOSEN_RULES}
    found = world.engine.find_reliances(datetime(2020, 1, 1, tzinfo=timezone.utc))
    return {names[one.text]: one.steps for one in found if one.kind == "chosen"}


def a_job_stopped_by_its_name(world: World) -> tuple[str, ...]:
    world.behaviours["Slow"] = run_until_stopped
    world.create([processing("Slow")])
    arn = world.start()
    wait_until(lambda: world.started == ["Slow"])
    name = world.steps(arn)["Slow"]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
    world.engine.call("StopProcessingJob", {"ProcessingJobName": name})
    assert (world.finish(arn), world.statuses(arn)) == ("Failed", {"Slow": "Stopped"})
    return ("Slow",)


def a_selector_over_numbers_and_texts(world: World) -> tuple[str, ...]:
    """The text ``10`` is more than ``9``, as a number is."""
    world.functions["score"] = lambda spec, event: FunctionOutcome("Completed", {"score": event["item"]})
    body = lambda_step("Score", "score", {"item": {"Get": "ForEach.CurrentItem"}}, [("score", "String")])
    plain = for_each("Each", ["9", "10"], [body])
    arn, _ = world.run([plain])
    assert relied(world) == {}
    field = {"Get": "IterationOutput.Score.OutputParameters['score']"}
    world.create([for_each("Each", ["9", "10"], [body], Selector={"Pick": "MaxBy", "Field": field})], name="picks")
    arn = world.start("picks")
    assert world.finish(arn) == "Succeeded", world.steps(arn)
    assert world.steps(arn)["Each"]["Metadata"]["ForEach"]["Selector"] == {"StepName": "Score", "Index": 1}
    return ("Each",)


def a_callback_after_a_stop(world: World) -> tuple[str, ...]:
    queue = "http://127.0.0.1:1/123456789012/approvals"
    world.create([{"Name": "Ask", "Type": "Callback", "SqsQueueUrl": queue, "OutputParameters": [], "Arguments": {}}])
    arn = world.start()
    wait_until(lambda: bool(world.messages))
    world.engine.call("StopPipelineExecution", {"PipelineExecutionArn": arn})
    wait_until(lambda: len(world.messages) == 2)
    token = world.messages[0][1]["token"]
    world.engine.call("SendPipelineExecutionStepSuccess", {"CallbackToken": token, "OutputParameters": []})
    assert (world.finish(arn), world.statuses(arn)) == ("Stopped", {"Ask": "Stopped"})
    return ("Ask",)


def a_cached_result_without_an_age(world: World) -> tuple[str, ...]:
    ages = {"Old": {}, "Young": {"ExpireAfter": "P1D"}}
    world.create([processing(name, CacheConfig={"Enabled": True, **age}) for name, age in ages.items()])
    world.finish(world.start())
    assert relied(world) == {}
    arn = world.start()
    world.finish(arn)
    assert all("CacheHitResult" in step for step in world.steps(arn).values())
    return ("Old",)


def a_step_of_the_source_execution(world: World) -> tuple[str, ...]:
    source, _ = world.run([processing("A"), processing("B", depends_on=["A"])])
    selected = {"SelectedSteps": [{"StepName": "B"}], "SourcePipelineExecutionArn": source}
    arn = world.start(SelectiveExecutionConfig=selected)
    world.finish(arn)
    steps = world.steps(arn)
    assert steps["A"]["Metadata"] == world.steps(source)["A"]["Metadata"]
    assert [name for name, step in steps.items() if "SelectiveExecutionResult" in step] == ["A"]
    return ("A",)


def a_check(world: World) -> tuple[str, ...]:
    """A strict check of data fails by the report that a program of ours writes."""
    violations = {"violations": [{"feature_name": "a", "constraint_check_type": "completeness_check"}]}
    world.put_json("s3://bucket/report/constraint_violations.json", violations)
    world.put_json("s3://bucket/known/constraints.json", {})
    output = {"S3Uri": "s3://bucket/report", "LocalPath": "/opt/ml/processing/output", "S3UploadMode": "EndOfJob"}
    job = processing(
        "Check", arguments={"ProcessingOutputConfig": {"Outputs": [{"OutputName": "o", "S3Output": output}]}}
    )
    check = {
        **job,
        "Type": "QualityCheck",
        "CheckType": "DATA_QUALITY",
        "FailOnViolation": True,
        "SuppliedBaselineConstraints": "s3://bucket/known/constraints.json",
    }
    arn, status = world.run([check])
    assert status == "Failed"
    assert "Quality check failed" in world.steps(arn)["Check"]["FailureReason"]
    return ("Check",)


def a_source_that_is_not_cleaned(world: World) -> tuple[str, ...]:
    """The other source is cleaned all the same."""
    world.behaviours["Train"] = lambda spec, *_: (
        world.put_json(f"s3://bucket/models/{spec.name}/output/model.tar.gz", {}) or JobOutcome("Completed")
    )
    sources = [{"StepName": "Work"}, {"StepName": "Train"}]
    tidy = {"Name": "Tidy", "Type": "Cleanup", "Arguments": {"Resources": {"S3": sources}}}
    _, status = world.run([processing("Work"), training("Train"), tidy])
    assert (status, world.objects) == ("Failed", {})
    return ("Tidy",)


def an_endpoint_of_that_name(world: World) -> tuple[str, ...]:
    call = world.engine.call
    call("CreateModel", {"ModelName": "m", "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": "one"}})
    variant = {"VariantName": "all", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    for name in ("old", "new"):
        call("CreateEndpointConfig", {"EndpointConfigName": name, "ProductionVariants": [variant]})
    call("CreateEndpoint", {"EndpointName": "e", "EndpointConfigName": "old"})
    arguments = {"EndpointName": "e", "EndpointConfigName": "new"}
    arn, status = world.run([{"Name": "Serve", "Type": "Endpoint", "Arguments": arguments}])
    assert status == "Succeeded", world.steps(arn)
    described = call("DescribeEndpoint", {"EndpointName": "e"})
    assert (described["EndpointConfigName"], described["EndpointStatus"]) == ("new", "InService")
    return ("Serve",)


def records_put_together_again(world: World) -> tuple[str, ...]:
    model = {"ModelName": "m", "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": "one"}}
    world.engine.call("CreateModel", model)

    def transform(name: str, **output: Any) -> dict[str, Any]:
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in"}}
        return {
            "Name": name,
            "Type": "Transform",
            "Arguments": {
                "ModelName": "m",
                "TransformInput": {"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
                "TransformOutput": {"S3OutputPath": f"s3://bucket/{name}", **output},
                "TransformResources": {"InstanceCount": 1, "InstanceType": "ml.m5.large"},
            },
        }

    arn, status = world.run([transform("Lines", AssembleWith="Line"), transform("Plain")])
    assert status == "Succeeded", world.steps(arn)
    return ("Lines",)


def tuned(world: World, **config: Any) -> list[dict[str, Any]]:
    """Run a Tuning step; its training jobs, the oldest first."""
    metric = {"MetricName": "m", "Value": 1.0, "Timestamp": 1}
    world.behaviours = _Every(lambda *_: JobOutcome("Completed", details={"FinalMetricDataList": [metric]}))
    definitions = config.pop("definitions", None)
    definition = dict(training("Any")["Arguments"])
    algorithm = {**definition["AlgorithmSpecification"], "MetricDefinitions": [{"Name": "m", "Regex": "m=(.*)"}]}
    definition |= {"AlgorithmSpecification": algorithm}
    objective = {"Type": "Minimize", "MetricName": "m"}
    arguments: dict[str, Any] = {
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 1},
            **config,
        }
    }
    if definitions:
        arguments["TrainingJobDefinitions"] = [
            {**definition, "DefinitionName": name, "TuningObjective": objective, "HyperParameterRanges": _ranges()}
            for name in definitions
        ]
    else:
        arguments["TrainingJobDefinition"] = definition
        arguments["HyperParameterTuningJobConfig"] = {
            "HyperParameterTuningJobObjective": objective,
            "ParameterRanges": _ranges(),
            **arguments["HyperParameterTuningJobConfig"],
        }
    arn, status = world.run([{"Name": "Tune", "Type": "Tuning", "Arguments": arguments}])
    assert status == "Succeeded", world.steps(arn)
    name = world.steps(arn)["Tune"]["Metadata"]["TuningJob"]["Arn"].rpartition("/")[2]
    answer = world.engine.call("ListTrainingJobsForHyperParameterTuningJob", {"HyperParameterTuningJobName": name})
    return sorted(answer["TrainingJobSummaries"], key=lambda one: str(one["TrainingJobName"]))


class _Every(dict[str, Any]):
    """The same behaviour for every job."""

    def __init__(self, behaviour: Callable[..., JobOutcome]) -> None:
        super().__init__()
        self._behaviour = behaviour

    def get(self, key: str, default: Any = None) -> Any:
        return self._behaviour


def _ranges(high: str = "100", **scaling: str) -> dict[str, Any]:
    return {"IntegerParameterRanges": [{"Name": "x", "MinValue": "1", "MaxValue": high, **scaling}]}


def definitions_that_take_turns(world: World) -> tuple[str, ...]:
    jobs = tuned(world, definitions=["a", "b"])
    assert [job["TrainingJobDefinitionName"] for job in jobs] == ["a", "b", "a", "b"]
    return ("Tune",)


def a_scale_that_is_left_open(world: World) -> tuple[str, ...]:
    tuned(world, ParameterRanges=_ranges("1000", ScalingType="Auto"))
    middles = [
        parse_ranges(_ranges(high, ScalingType="Auto"), static={}).values_at((0.5,))["x"] for high in ("999", "1000")
    ]
    assert [int(one) for one in middles] == [500, 32]
    return ("Tune",)


def a_stop_before_the_end(world: World) -> tuple[str, ...]:
    tuned(world, TrainingJobEarlyStoppingType="Auto")
    rule = MedianRule(is_minimized=True)
    assert [rule.observe(name, value) for name, value in (("a", 1), ("b", 1), ("c", 9), ("d", 9))] == [
        *(False, False, False),
        True,
    ]
    return ("Tune",)


CASES: dict[str, Callable[[World], tuple[str, ...]]] = {
    "stopped-job": a_job_stopped_by_its_name,
    "foreach-selector": a_selector_over_numbers_and_texts,
    "stop": a_callback_after_a_stop,
    "cache-age": a_cached_result_without_an_age,
    "selection": a_step_of_the_source_execution,
    "checks": a_check,
    "cleanup": a_source_that_is_not_cleaned,
    "endpoint": an_endpoint_of_that_name,
    "records": records_put_together_again,
    "tuning-turns": definitions_that_take_turns,
    "tuning-scale": a_scale_that_is_left_open,
    "tuning-early": a_stop_before_the_end,
}


@pytest.mark.parametrize("name", CASES)
def test_a_run_that_relied_on_a_chosen_rule_is_told_so(world: World, name: str) -> None:
    steps = CASES[name](world)
    assert relied(world).get(name) == steps
    assert set(relied(world)) <= {name, "tuning-scale", "failure"}


def test_every_chosen_rule_is_tried() -> None:
    assert {rule.name for rule in CHOSEN_RULES} == {*CASES, *ELSEWHERE}
