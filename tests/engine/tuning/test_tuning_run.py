"""Tuning jobs in the engine: trials that do what the test says, their ranking, limits, stops and restarts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.jobs import JobContext, JobOutcome, JobSpec
from airflow_sm_pipelines.engine.rules.errors import ServiceError
from airflow_sm_pipelines.engine.rules.training_metrics import MetricCollector
from airflow_sm_pipelines.engine.tuning.tuning_run import MedianRule
from tests.engine.fake_world import ROLE, World, as_text, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Trial = Callable[[JobSpec, JobContext, threading.Event], JobOutcome]


class EveryTrial(dict[str, Any]):
    """The same behaviour for every job."""

    def __init__(self, trial: Trial) -> None:
        super().__init__()
        self._trial = trial

    def get(self, key: str, default: Any = None) -> Any:
        return self._trial


def scored(value: float) -> JobOutcome:
    return JobOutcome(
        "Completed", details={"FinalMetricDataList": [{"MetricName": "m", "Value": value, "Timestamp": 1}]}
    )


def distance(spec: JobSpec, context: JobContext, stop: threading.Event) -> JobOutcome:
    """A training whose metric is how far ``x`` is from 30."""
    return scored(abs(int(spec.request["HyperParameters"]["x"]) - 30))  # type: ignore[call-overload,index,arg-type]


def definition(**changes: Any) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "StaticHyperParameters": {"fixed": "7"},
    } | changes


def request(*, strategy: str = "Random", jobs: int | None = 6, parallel: int = 2, **config: Any) -> dict[str, Any]:
    limits: dict[str, Any] = {"MaxParallelTrainingJobs": parallel} | ({"MaxNumberOfTrainingJobs": jobs} if jobs else {})
    return {
        "HyperParameterTuningJobConfig": {
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "m"},
            "ResourceLimits": limits | config.pop("limits", {}),
            "ParameterRanges": {"IntegerParameterRanges": [{"Name": "x", "MinValue": "1", "MaxValue": "100"}]},
            "RandomSeed": 5,
        }
        | config,
        "TrainingJobDefinition": definition(),
    }


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, behaviours=EveryTrial(distance))
    world.open()
    yield world
    world.engine.stop()


def describe(world: World, name: str = "t") -> dict[str, Any]:
    return world.engine.call("DescribeHyperParameterTuningJob", {"HyperParameterTuningJobName": name})


def trials(world: World, name: str = "t", **rest: Any) -> list[dict[str, Any]]:
    answer = world.engine.call(
        "ListTrainingJobsForHyperParameterTuningJob", {"HyperParameterTuningJobName": name, **rest}
    )
    found: list[dict[str, Any]] = answer["TrainingJobSummaries"]
    return found


def tune(world: World, given: dict[str, Any], *, name: str = "t") -> dict[str, Any]:
    world.engine.call("CreateHyperParameterTuningJob", {"HyperParameterTuningJobName": name, **given})
    wait_until(lambda: describe(world, name)["HyperParameterTuningJobStatus"] not in ("InProgress", "Stopping"))
    return describe(world, name)


def value(summary: dict[str, Any]) -> float:
    return float(summary["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])


@pytest.mark.parametrize("strategy", ["Random", "Bayesian"])
def test_the_best_training_job_is_the_one_with_the_best_objective(world: World, strategy: str) -> None:
    ended = tune(world, request(strategy=strategy, jobs=8))
    assert ended["HyperParameterTuningJobStatus"] == "Completed"
    assert ended["TrainingJobStatusCounters"]["Completed"] == 8
    assert ended["ObjectiveStatusCounters"] == {"Succeeded": 8, "Pending": 0, "Failed": 0}
    by_metric = trials(world, SortBy="FinalObjectiveMetricValue", SortOrder="Ascending")
    assert [value(one) for one in by_metric] == sorted(value(one) for one in by_metric)
    assert ended["BestTrainingJob"] == by_metric[0]
    assert value(by_metric[0]) == abs(int(by_metric[0]["TunedHyperParameters"]["x"]) - 30)
    training = world.engine.call("DescribeTrainingJob", {"TrainingJobName": by_metric[0]["TrainingJobName"]})
    assert training["TuningJobArn"] == ended["HyperParameterTuningJobArn"]
    assert training["HyperParameters"] == {
        "fixed": "7",
        "_tuning_objective_metric": "m",
        "x": by_metric[0]["TunedHyperParameters"]["x"],
    }


def test_a_maximized_objective_ranks_the_other_way(world: World) -> None:
    ended = tune(world, request(HyperParameterTuningJobObjective={"Type": "Maximize", "MetricName": "m"}))
    assert value(ended["BestTrainingJob"]) == max(value(one) for one in trials(world))


@pytest.mark.parametrize("kind", ["Minimize", "Maximize"])
@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_a_metric_that_is_no_number_is_never_the_best(world: World, kind: str, text: str) -> None:
    def trial(spec: JobSpec, context: JobContext, stop: threading.Event) -> JobOutcome:
        x = int(spec.request["HyperParameters"]["x"])  # type: ignore[call-overload,index,arg-type]
        metrics = MetricCollector([{"Name": "m", "Regex": r"m=(\S+)"}])
        metrics.read_line(1000, f"m={x}" if x % 2 else f"m={text}")
        return JobOutcome("Completed", details={"FinalMetricDataList": metrics.final_metrics()})

    world.behaviours = EveryTrial(trial)
    objective = {"Type": kind, "MetricName": "m"}
    ended = tune(world, request(jobs=6, HyperParameterTuningJobObjective=objective))
    odd = [one for one in trials(world) if int(one["TunedHyperParameters"]["x"]) % 2]
    assert 0 < len(odd) < 6
    assert ended["ObjectiveStatusCounters"] == {"Succeeded": len(odd), "Pending": 0, "Failed": 6 - len(odd)}
    best = (min if kind == "Minimize" else max)(odd, key=value)
    assert ended["BestTrainingJob"]["TrainingJobName"] == best["TrainingJobName"]
    found = world.engine.call("Search", {"Resource": "TrainingJob"})["Results"]
    json.dumps([found, ended], allow_nan=False, default=str)
    named = [one["TrainingJob"]["TrainingJobName"] for one in found if one["TrainingJob"].get("FinalMetricDataList")]
    assert sorted(named) == sorted(one["TrainingJobName"] for one in odd)


def test_a_grid_ends_when_it_is_exhausted(world: World) -> None:
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["10", "29", "50"]}]}
    ended = tune(world, request(strategy="Grid", jobs=None, ParameterRanges=ranges))
    assert sorted(one["TunedHyperParameters"]["x"] for one in trials(world)) == ["10", "29", "50"]
    assert ended["BestTrainingJob"]["TunedHyperParameters"] == {"x": "29"}


def test_the_same_seed_tries_the_same(world: World) -> None:
    tune(world, request())
    first = [one["TunedHyperParameters"]["x"] for one in trials(world)]
    world.engine.call("DeleteHyperParameterTuningJob", {"HyperParameterTuningJobName": "t"})
    for one in trials_names(world):
        world.engine.call("DeleteTrainingJob", {"TrainingJobName": one})
    tune(world, request())
    assert [one["TunedHyperParameters"]["x"] for one in trials(world)] == first


def trials_names(world: World) -> list[str]:
    found = world.engine.call("ListTrainingJobs", {"NameContains": "t-"})["TrainingJobSummaries"]
    return [one["TrainingJobName"] for one in found]


def test_no_more_run_at_once_than_the_limit(world: World) -> None:
    tune(world, request(parallel=1))
    assert world.most_active == 1


def test_a_target_ends_the_search_early(world: World) -> None:
    tune(world, request(jobs=90, parallel=1, TuningJobCompletionCriteria={"TargetObjectiveMetricValue": 20.0}))
    values = [value(one) for one in trials(world)]
    assert len(values) < 90
    assert values[-1] <= 20 < min(values[:-1], default=99)


def test_trials_that_do_not_improve_end_the_search(world: World) -> None:
    criteria = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
    world.behaviours = EveryTrial(lambda spec, context, stop: scored(1.0))
    tune(world, request(jobs=50, parallel=1, TuningJobCompletionCriteria=criteria))
    assert len(trials(world)) == 4


def test_failed_trials_do_not_count_and_five_without_success_end_it(world: World) -> None:
    world.behaviours = EveryTrial(lambda spec, context, stop: JobOutcome("Failed", "AlgorithmError: no"))
    ended = tune(world, request(jobs=20, parallel=1))
    assert ended["HyperParameterTuningJobStatus"] == "Failed"
    assert ended["FailureReason"].startswith("ClientError: No training job succeeded after 5 attempts.")
    assert "AlgorithmError: no" in ended["FailureReason"]
    assert ended["TrainingJobStatusCounters"]["NonRetryableError"] == 5


def test_an_objective_that_no_training_prints_is_said(world: World) -> None:
    world.behaviours = EveryTrial(lambda spec, context, stop: JobOutcome("Completed"))
    ended = tune(world, request(jobs=2))
    assert "No objective metrics found after running 2 training jobs" in ended["FailureReason"]


def test_a_stop_stops_the_running_trials(world: World) -> None:
    entered = threading.Event()

    def wait_for_stop(spec: JobSpec, context: JobContext, stop: threading.Event) -> JobOutcome:
        entered.set()
        assert stop.wait(20)
        return JobOutcome("Stopped")

    world.behaviours = EveryTrial(wait_for_stop)
    world.engine.call("CreateHyperParameterTuningJob", {"HyperParameterTuningJobName": "t", **request()})
    assert entered.wait(20)
    world.engine.call("StopHyperParameterTuningJob", {"HyperParameterTuningJobName": "t"})
    wait_until(lambda: describe(world)["HyperParameterTuningJobStatus"] == "Stopped")
    assert {one["TrainingJobStatus"] for one in trials(world)} == {"Stopped"}


def test_a_tuning_job_goes_on_after_a_restart(world: World) -> None:
    entered = threading.Event()
    runs: list[str] = []

    def third_waits(spec: JobSpec, context: JobContext, stop: threading.Event) -> JobOutcome:
        runs.append(spec.name)
        if len(runs) == 3:
            entered.set()
            assert stop.wait(20)
            return JobOutcome("Stopped")
        return distance(spec, context, stop)

    world.behaviours = EveryTrial(third_waits)
    world.engine.call("CreateHyperParameterTuningJob", {"HyperParameterTuningJobName": "t", **request(parallel=1)})
    assert entered.wait(20)
    world.engine.stop()
    world.open()
    wait_until(lambda: describe(world)["HyperParameterTuningJobStatus"] == "Completed")
    assert len(trials(world)) == 6
    assert runs[3] == runs[2]
    assert len(runs) == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "Hyperband"}, "strategy Hyperband is not run by the local engine"),
        ({"strategy": "Grid"}, "Grid search takes categorical ranges only; x are not"),
        ({"jobs": None}, "needs MaxNumberOfTrainingJobs or MaxRuntimeInSeconds"),
    ],
)
def test_what_is_not_done_here_is_refused_at_once(world: World, changes: Any, message: str) -> None:
    with pytest.raises(ServiceError, match=message):
        tune(world, request(**changes))
    with pytest.raises(ServiceError, match="parent tuning job 'gone' of WarmStartConfig does not exist"):
        tune(world, request() | warm_start("gone"))


def warm_start(*parents: str, kind: str = "IdenticalDataAndAlgorithm") -> dict[str, Any]:
    named = [{"HyperParameterTuningJobName": name} for name in parents]
    return {"WarmStartConfig": {"ParentHyperParameterTuningJobs": named, "WarmStartType": kind}}


def test_a_warm_start_goes_on_with_what_its_parents_found(world: World) -> None:
    tune(world, request(strategy="Bayesian", jobs=8, parallel=1))
    parent = describe(world)["BestTrainingJob"]
    # Three jobs cannot be Bayesian by themselves; the parents' results make them so, and none is tried again.
    warm = tune(world, request(strategy="Bayesian", jobs=3, parallel=1) | warm_start("t"), name="warm")
    tried = {int(one["TunedHyperParameters"]["x"]) for one in trials(world)}
    new = {int(one["TunedHyperParameters"]["x"]) for one in trials(world, "warm")}
    assert not tried & new
    assert min(abs(x - 30) for x in new) <= 3, (new, tried)
    best = min(parent, warm["BestTrainingJob"], key=lambda one: abs(int(one["TunedHyperParameters"]["x"]) - 30))
    overall = warm["OverallBestTrainingJob"]
    assert overall["TrainingJobName"] == best["TrainingJobName"]
    assert overall.get("TuningJobName") == ("t" if best is parent else None)
    # Other data: nothing can be said of which one is the best.
    tune(world, request(jobs=1) | warm_start("t", kind="TransferLearning"), name="other")
    assert "OverallBestTrainingJob" not in describe(world, "other")


class Epochs:
    """Trainings whose log has a loss for each epoch: the fourth one's is worse than all the others'."""

    def __init__(self) -> None:
        self.count = 0
        self.epochs: list[int] = []

    def __call__(self, spec: JobSpec, context: JobContext, stop: threading.Event) -> JobOutcome:
        self.count += 1
        level = 5.0 if self.count == 4 else 1.0
        for epoch in range(1, 4):
            loss = level / epoch
            context.log("stream", [(epoch, f"epoch {epoch}: m={loss};")])
            if stop.is_set():
                break
        self.epochs.append(epoch)
        return replace(scored(loss), status="Stopped" if stop.is_set() else "Completed")


@pytest.mark.parametrize(("kind", "epochs", "stopped"), [("Auto", [3, 3, 3, 1, 3], 1), ("Off", [3] * 5, 0)])
def test_a_training_that_does_worse_than_the_others_is_stopped_if_that_is_wanted(
    tmp_path: Path, kind: str, epochs: list[int], stopped: int
) -> None:
    trial = Epochs()
    world = World(tmp_path, behaviours=EveryTrial(trial))
    world.open()
    given = request(jobs=5, parallel=1, TrainingJobEarlyStoppingType=kind)
    algorithm = given["TrainingJobDefinition"]["AlgorithmSpecification"]
    algorithm["MetricDefinitions"] = [{"Name": "m", "Regex": "m=(.*?);"}]
    ended = tune(world, given)
    world.engine.stop()
    assert trial.epochs == epochs
    assert ended["HyperParameterTuningJobStatus"] == "Completed"
    assert ended["TrainingJobStatusCounters"]["Stopped"] == stopped
    assert ended["ObjectiveStatusCounters"]["Succeeded"] == 5
    assert value(ended["BestTrainingJob"]) == pytest.approx(1 / 3)


def test_listing_pages_through_the_trials(world: World) -> None:
    tune(world, request(jobs=5))
    first = world.engine.call(
        "ListTrainingJobsForHyperParameterTuningJob", {"HyperParameterTuningJobName": "t", "MaxResults": 3}
    )
    rest = trials(world, MaxResults=3, NextToken=first["NextToken"])
    names = [one["TrainingJobName"] for one in [*first["TrainingJobSummaries"], *rest]]
    assert len(names) == 5
    assert names == sorted(names)


def test_a_steps_properties_name_the_best_trainings(world: World) -> None:
    best = {"Get": "Steps.Tune.BestTrainingJob.TrainingJobName"}
    second = {"Get": "Steps.Tune.TrainingJobSummaries[1].TrainingJobName"}
    fail = {"Name": "Say", "Type": "Fail"}
    fail["Arguments"] = {"ErrorMessage": {"Std:Join": {"On": " ", "Values": [best, second]}}}  # type: ignore[assignment]
    given = request()
    given["TrainingJobDefinition"]["StaticHyperParameters"] = {"fixed": as_text({"Get": "Parameters.Fixed"})}
    parameter = {"Name": "Fixed", "Type": "Integer", "DefaultValue": 7}
    arn, status = world.run([{"Name": "TuneIt", "Type": "Tuning", "Arguments": given} | {"Name": "Tune"}, fail],
                            parameters=[parameter])  # fmt: skip
    steps = world.steps(arn)
    assert status == "Failed"
    tuning_arn = steps["Tune"]["Metadata"]["TuningJob"]["Arn"]
    name = tuning_arn.rpartition("/")[2]
    assert len(name) <= 32
    ranked = world.engine.call(
        "ListTrainingJobsForHyperParameterTuningJob",
        {"HyperParameterTuningJobName": name, "SortBy": "FinalObjectiveMetricValue"},
    )["TrainingJobSummaries"]
    assert steps["Say"]["FailureReason"] == " ".join(one["TrainingJobName"] for one in ranked[:2])


def test_the_median_rule_compares_with_the_running_averages_of_the_others() -> None:
    rule = MedianRule(is_minimized=True)
    for job, losses in (("a", (4, 2)), ("b", (4, 4)), ("c", (8, 8))):
        # Fewer than three others: nothing can be said.
        assert [rule.observe(job, loss) for loss in losses] == [False, False]
    # The medians of the averages are 4 after the first epoch, and of (3, 4, 8) after the second.
    assert rule.observe("d", 4.0) is False
    assert rule.observe("d", 4.1) is True
    maximized = MedianRule(is_minimized=False)
    for job in "abc":
        maximized.observe(job, 0.5)
    assert maximized.observe("d", 0.4) is True
    assert maximized.observe("e", 0.6) is False


def test_training_jobs_are_listed_by_status_order_and_page(world: World) -> None:
    def trial(spec: JobSpec, context: JobContext, stop: threading.Event) -> JobOutcome:
        x = int(spec.request["HyperParameters"]["x"])  # type: ignore[call-overload,index,arg-type]
        return JobOutcome("Failed", "AlgorithmError: no") if x == 3 else scored(10.0 - x)

    world.behaviours = EveryTrial(trial)
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1", "2", "3", "4"]}]}
    tune(world, request(strategy="Grid", jobs=None, parallel=1, ParameterRanges=ranges))

    def listed(**rest: Any) -> list[str]:
        return [one["TunedHyperParameters"]["x"] for one in trials(world, **rest)]

    made = listed(SortBy="CreationTime")
    assert sorted(made) == ["1", "2", "3", "4"]
    assert listed(SortBy="CreationTime", SortOrder="Descending") == made[::-1]
    assert listed(StatusEquals="Failed") == ["3"]
    assert sorted(listed(StatusEquals="Completed")) == ["1", "2", "4"]
    assert listed(StatusEquals="Stopped") == []
    assert listed(SortBy="Status")[-1] == "3"
    assert listed(SortBy="FinalObjectiveMetricValue") == ["4", "2", "1"]
    assert listed(SortBy="FinalObjectiveMetricValue", SortOrder="Descending") == ["1", "2", "4"]
    names = [one["TrainingJobName"] for one in trials(world)]
    assert names == sorted(names) == [one["TrainingJobName"] for one in trials(world, SortOrder="Descending")][::-1]
    asked = {"HyperParameterTuningJobName": "t", "MaxResults": 3}
    first = world.engine.call("ListTrainingJobsForHyperParameterTuningJob", asked)
    assert [one["TrainingJobName"] for one in first["TrainingJobSummaries"]] == names[:3]
    asked["NextToken"] = first["NextToken"]
    second = world.engine.call("ListTrainingJobsForHyperParameterTuningJob", asked)
    assert ([one["TrainingJobName"] for one in second["TrainingJobSummaries"]], "NextToken" in second) == (
        names[3:],
        False,
    )
    assert "NextToken" not in world.engine.call(
        "ListTrainingJobsForHyperParameterTuningJob", {**asked, "MaxResults": 4, "NextToken": None}
    )
    with pytest.raises(ServiceError, match="Could not find requested job with name: other"):
        trials(world, "other")
