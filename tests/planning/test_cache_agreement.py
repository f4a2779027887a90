"""The plan's forecast of the cache and what the engine does, for each member of each cached step type's request."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.definition.cache_identity import CACHE_FIELDS
from airflow_sm_pipelines.engine.jobs import FunctionOutcome, JobContext, JobOutcome, JobSpec
from airflow_sm_pipelines.engine.jobs.stand_in_table import StandIn, StandIns
from airflow_sm_pipelines.planning import forecast_cache
from tests.engine.fake_world import ROLE, World, definition_text, processing, training

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from botocore.model import Shape

CACHE = {"Enabled": True, "ExpireAfter": "P30D"}
OTHER_ROLE = "arn:aws:iam::123456789012:role/Other"
SOURCE = {"S3DataSource": {"S3Uri": "s3://bucket/in", "S3DataType": "S3Prefix"}}
TRIAL = {
    key: value for key, value in training("x")["Arguments"].items() if key not in ("HyperParameters", "InputDataConfig")
} | {"StaticHyperParameters": {"fixed": "7"}}
OBJECTIVE = {"Type": "Minimize", "MetricName": "m"}
RANGES = {"IntegerParameterRanges": [{"Name": "x", "MinValue": "1", "MaxValue": "9"}]}
TUNING = {
    "Strategy": "Random",
    "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
    "RandomSeed": 5,
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "Processing": processing("Work")["Arguments"],
    "Training": training("Work")["Arguments"],
    "Transform": {
        "ModelName": "m",
        "TransformInput": {"DataSource": SOURCE},
        "TransformOutput": {"S3OutputPath": "s3://bucket/out"},
        "TransformResources": {"InstanceCount": 1, "InstanceType": "ml.m5.large"},
    },
    "Tuning": {
        "HyperParameterTuningJobConfig": {
            **TUNING,
            "HyperParameterTuningJobObjective": OBJECTIVE,
            "ParameterRanges": RANGES,
        },
        "TrainingJobDefinition": TRIAL,
    },
    "Tuning of several": {
        "HyperParameterTuningJobConfig": TUNING,
        "TrainingJobDefinitions": [
            {**TRIAL, "DefinitionName": "a", "TuningObjective": OBJECTIVE, "HyperParameterRanges": RANGES}
        ],
    },
    "AutoML": {
        "AutoMLJobConfig": {"Mode": "ENSEMBLING"},
        "InputDataConfig": [{"DataSource": SOURCE, "TargetAttributeName": "price"}],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "RoleArn": ROLE,
    },
    "EMR": {
        "ClusterId": "j-1",
        "ClusterConfig": {"Name": "c"},
        "ExecutionRoleArn": ROLE,
        "StepConfig": {"HadoopJarStep": {"Jar": "s3://bucket/x.jar"}},
    },
    "QualityCheck": processing("Work")["Arguments"],
    "ClarifyCheck": processing("Work")["Arguments"],
}
CHECK = {
    "ModelPackageGroupName": "group",
    "SkipCheck": True,
    "RegisterNewBaseline": False,
    "FailOnViolation": True,
    "SuppliedBaselineConstraints": "s3://bucket/c.json",
    "SuppliedBaselineStatistics": "s3://bucket/s.json",
}
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "QualityCheck": {"CheckType": "DATA_QUALITY", **CHECK},
    "ClarifyCheck": {"CheckType": "DATA_BIAS", **CHECK},
}
CALLS = {
    "Tuning": "CreateHyperParameterTuningJob",
    "AutoML": "CreateAutoMLJob",
    "QualityCheck": "CreateProcessingJob",
    "ClarifyCheck": "CreateProcessingJob",
}
NESTED = {"Tuning": ("TrainingJobDefinition",), "AutoML": ("AutoMLJobConfig",)}
CHANGED: dict[tuple[str, str], Any] = {
    ("AutoML", "AutoMLJobConfig.Mode"): "HYPERPARAMETER_TUNING",
    ("QualityCheck", "CheckType"): "MODEL_QUALITY",
    ("ClarifyCheck", "CheckType"): "MODEL_BIAS",
    ("Tuning", "HyperParameterTuningJobConfig"): {
        **ARGUMENTS["Tuning"]["HyperParameterTuningJobConfig"],
        "RandomSeed": 6,
    },
    ("Tuning", "TrainingJobDefinition.HyperParameterRanges"): RANGES,
    ("Tuning", "TrainingJobDefinition.TuningObjective"): {**OBJECTIVE, "Type": "Maximize"},
    ("Tuning of several", "HyperParameterTuningJobConfig"): {**TUNING, "RandomSeed": 6},
    ("Tuning of several", "TrainingJobDefinitions"): [
        {**ARGUMENTS["Tuning of several"]["TrainingJobDefinitions"][0], "RoleArn": OTHER_ROLE}
    ],
}
NOT_RUNNABLE = {("ClarifyCheck", "CheckType")}
"""A change to what the engine refuses to run; it looks for no result then."""

# They name an experiment and an earlier tuning job, which would have to exist.
LEFT_OUT = {"ExperimentConfig", "WarmStartConfig"}


def sagemaker_shape(step_type: str) -> Shape:
    service = botocore.session.get_session().get_service_model("sagemaker")
    return service.operation_model(CALLS.get(step_type, f"Create{step_type}Job")).input_shape


def example(shape: Shape, depth: int = 0) -> Any:
    """A value of a shape."""
    if shape.type_name == "structure":
        members = shape.members.items()
        return {
            name: example(member, depth + 1)
            for name, member in members
            if name in shape.required_members or (depth < 2 and not shape.required_members)
        }
    if shape.type_name == "list":
        return [example(shape.member, depth + 1)]
    if shape.type_name == "map":
        return {"key": example(shape.value, depth + 1)}
    if shape.type_name == "string":
        return shape.enum[0] if getattr(shape, "enum", None) else "text"
    return {"boolean": True, "timestamp": "2026-01-01T00:00:00Z"}.get(shape.type_name, 1)


def vary(value: Any) -> Any:
    """Another value of the same kind: the first leaf differs."""
    if isinstance(value, dict) and value:
        key = next(iter(value))
        return {**value, key: vary(value[key])}
    if isinstance(value, list) and value:
        return [vary(value[0]), *value[1:]]
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, (int, float)) else OTHER_ROLE if value == ROLE else f"{value}x"


def iter_changes(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every member of a step's request, and the step with that member changed or added."""
    step = make_step(kind)
    name = kind.partition(" ")[0]
    shapes: dict[str, Shape] = {} if name == "EMR" else dict(sagemaker_shape(name).members)
    places = [("Arguments",)] + [("Arguments", inner) for inner in NESTED.get(kind, ())]
    for place in places:
        here = step["Arguments"] if len(place) == 1 else step["Arguments"][place[1]]
        known = shapes if len(place) == 1 else dict(shapes[place[1]].members)
        for member in dict.fromkeys([*here, *known]):
            path = ".".join([*place[1:], member])
            if member in LEFT_OUT or path in NESTED.get(kind, ()) or member.endswith("JobName"):
                continue
            if kind.startswith("Tuning") and member.startswith("TrainingJobDefinition") and member not in here:
                continue  # one or several, not both
            changed = copy.deepcopy(step)
            target = changed["Arguments"] if len(place) == 1 else changed["Arguments"][place[1]]
            target[member] = CHANGED.get((kind, path)) or (
                vary(here[member]) if member in here else example(known[member])
            )
            yield path, changed
    for member in ATTRIBUTES.get(kind, {}):
        changed = copy.deepcopy(step)
        changed[member] = CHANGED.get((kind, member)) or vary(step[member])
        yield member, changed


def make_step(kind: str) -> dict[str, Any]:
    return {
        "Name": "Work",
        "Type": kind.partition(" ")[0],
        "Arguments": copy.deepcopy(ARGUMENTS[kind]),
        "CacheConfig": CACHE,
        **ATTRIBUTES.get(kind, {}),
    }


def open_world(folder: Path) -> World:
    """A world where a function stands in for AutoML and EMR, and no check finds a violation."""
    (folder / "mine.py").write_text("")
    world = World(folder)
    world.stand_ins = StandIns(
        tuple(StandIn(file=folder / "mine.py", function="run", type=kind) for kind in ("AutoML", "EMR"))
    )
    world.functions["run"] = lambda spec, event: FunctionOutcome("Completed", {"outputs": {"Rows": 1}})
    world.put_json("s3://bucket/Work/constraint_violations.json", {"violations": []})
    world.put_json("s3://bucket/Workx/constraint_violations.json", {"violations": []})
    world.behaviours = EveryJob()
    world.open()
    for name in ("m", "mx"):
        request = {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": "image"}}
        world.engine.call("CreateModel", request)
    return world


def score(spec: JobSpec, context: JobContext, stop: threading.Event) -> JobOutcome:
    """A job that ends well, with the metric that tuning asks for."""
    return JobOutcome("Completed", details={"FinalMetricDataList": [{"MetricName": "m", "Value": 1, "Timestamp": 1}]})


class EveryJob(dict[str, Any]):
    """The same behaviour for every job."""

    def get(self, key: str, default: Any = None) -> Any:
        return score


def run(world: World, step: dict[str, Any]) -> tuple[bool, str]:
    """Run the pipeline as it is now: whether the step took a cached result, and how it ended."""
    arn = world.start()
    world.finish(arn)
    shown = world.steps(arn)[step["Name"]]
    return "CacheHitResult" in shown, f"{shown['StepStatus']} {shown.get('FailureReason', '')}"


def update(world: World, step: dict[str, Any], **members: Any) -> None:
    world.engine.call(
        "UpdatePipeline", {"PipelineName": "demo", "PipelineDefinition": definition_text([step]), **members}
    )


def forecast(before: dict[str, Any], after: dict[str, Any]) -> str:
    (found,) = forecast_cache(parse_definition({"Steps": [before]}), parse_definition({"Steps": [after]}))
    return found.outcome


def test_every_cached_type_is_compared() -> None:
    assert {kind.partition(" ")[0] for kind in ARGUMENTS} == set(CACHE_FIELDS)


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_the_engine_does_what_the_plan_forecasts_for_each_member(kind: str, tmp_path: Path) -> None:
    world = open_world(tmp_path)
    step = make_step(kind)
    world.create([step])
    assert run(world, step) == (False, "Succeeded "), "nothing has run before"
    assert run(world, step) == (True, "Succeeded "), "the same again is a hit"
    assert forecast(step, step) == "hit"
    differences, outcomes = {}, {}
    for member, changed in iter_changes(kind):
        assert json.dumps(changed) != json.dumps(step), member
        update(world, changed)
        is_hit, ended = run(world, changed)
        assert ended == "Succeeded " or (kind, member) in NOT_RUNNABLE, (member, ended)
        outcomes[member] = forecast(step, changed)
        if outcomes[member] != ("hit" if is_hit else "miss"):
            differences[member] = f"forecast {outcomes[member]}, the engine {'hit' if is_hit else 'miss'}"
    assert not differences
    assert {"hit", "miss"} == set(outcomes.values()), outcomes
    world.engine.stop()


def test_the_role_that_the_pipeline_lends_does_not_count(tmp_path: Path) -> None:
    world = open_world(tmp_path)
    step = make_step("Tuning of several")
    del step["Arguments"]["TrainingJobDefinitions"][0]["RoleArn"]
    world.create([step])
    assert not run(world, step)[0]
    update(world, step, RoleArn=OTHER_ROLE)
    assert run(world, step)[0]
    world.engine.stop()


def test_a_changed_function_of_a_stand_in_runs_again(tmp_path: Path) -> None:
    world = open_world(tmp_path)
    step = make_step("EMR")
    world.create([step])
    assert [run(world, step)[0], run(world, step)[0]] == [False, True]
    (tmp_path / "mine.py").write_text("# another")
    assert not run(world, step)[0]
    world.engine.stop()
