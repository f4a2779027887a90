"""What a ``CreateHyperParameterTuningJob`` request asks for: objectives, ranges, limits, definitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_sm_pipelines.engine.rules.errors import validation_error
from airflow_sm_pipelines.engine.tuning.ranges import SearchSpace, parse_ranges, require_categories

if TYPE_CHECKING:
    from collections.abc import Mapping

Strategy = Literal["Bayesian", "Random", "Grid"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
OBJECTIVE_PARAMETER = "_tuning_objective_metric"
"""The hyperparameter by which the service tells the algorithm its objective."""
_JOB_KEYS = (
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "StoppingCondition",
    "VpcConfig",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "RetryStrategy",
    "Environment",
)


@dataclass(frozen=True, slots=True)
class TrainingJobDefinition:
    """One training job definition of a tuning job.

    :param name: its ``DefinitionName``; None if there is only one.
    :param request: the ``CreateTrainingJob`` request without name and hyperparameters.
    """

    name: str | None
    metric: str
    is_minimized: bool
    objective_type: str
    space: SearchSpace
    static: Mapping[str, str]
    request: Mapping[str, Any]

    def training_request(self, job_name: str, values: Mapping[str, str]) -> dict[str, Any]:
        """The ``CreateTrainingJob`` request of one training job, without its name."""
        request = {**self.request, "HyperParameters": {**self.static, **values}}
        if request.get("CheckpointConfig"):
            # A training job must not go on from the checkpoints of another.
            checkpoint = request["CheckpointConfig"]
            request["CheckpointConfig"] = {**checkpoint, "S3Uri": f"{checkpoint['S3Uri'].rstrip('/')}/{job_name}"}
        return request


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """A checked request.

    :param max_jobs: None if the search ends only with its grid.
    :param target: the search ends when the objective is at least as good as this.
    :param patience: the search ends after so many jobs without a better one.
    :param parents: the tuning jobs whose results it starts from.
    :param has_same_data: whether the parents had the same data and algorithm, so that their results compare with its
        own.
    :param stops_early: whether training jobs that do worse than the others are stopped.
    """

    strategy: Strategy
    definitions: tuple[TrainingJobDefinition, ...]
    max_jobs: int | None
    max_parallel: int
    max_runtime_seconds: float | None
    target: float | None
    patience: int | None
    seed: int | None
    parents: tuple[str, ...] = ()
    has_same_data: bool = False
    stops_early: bool = False


def prepare_tuning_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request as the service keeps it, with the name of the objective among the static hyperparameters.

    :raises ServiceError: it is wrong, or asks for what the local engine does not do.
    """
    prepared = dict(request)
    config = request.get("HyperParameterTuningJobConfig") or {}
    definition = request.get("TrainingJobDefinition")
    if definition:
        prepared["TrainingJobDefinition"] = _with_objective(definition, _objective(config, definition))
    if request.get("TrainingJobDefinitions"):
        prepared["TrainingJobDefinitions"] = [
            _with_objective(one, _objective(config, one)) for one in request["TrainingJobDefinitions"]
        ]
    plan_tuning(prepared)
    return prepared


def plan_tuning(request: Mapping[str, Any]) -> TuningPlan:
    """Read a request.

    :raises ServiceError: it is wrong, or asks for what the local engine does not do; the message says which.
    """
    config = request.get("HyperParameterTuningJobConfig") or {}
    strategy = config.get("Strategy")
    if strategy not in STRATEGIES:
        raise validation_error(
            f"The strategy {strategy} is not run by the local engine, which has {', '.join(STRATEGIES)}."
        )
    warm_start = request.get("WarmStartConfig") or {}
    if warm_start and strategy == "Grid":
        raise validation_error("WarmStartConfig has no meaning for a Grid search, which tries everything.")
    if (request.get("Autotune") or {}).get("Mode") == "Enabled":
        raise validation_error("Autotune is not supported by the local engine: give the ranges.")
    definitions = [
        _read_definition(config, one)
        for one in (request.get("TrainingJobDefinitions") or [request.get("TrainingJobDefinition")])
        if one
    ]
    if not definitions:
        raise validation_error("A tuning job needs a TrainingJobDefinition.")
    limits = config.get("ResourceLimits") or {}
    max_jobs = limits.get("MaxNumberOfTrainingJobs")
    if strategy == "Grid":
        for definition in definitions:
            require_categories(definition.space)
    elif max_jobs is None and limits.get("MaxRuntimeInSeconds") is None:
        raise validation_error("ResourceLimits needs MaxNumberOfTrainingJobs or MaxRuntimeInSeconds.")
    criteria = config.get("TuningJobCompletionCriteria") or {}
    return TuningPlan(
        strategy=strategy,
        definitions=tuple(definitions),
        max_jobs=max_jobs,
        max_parallel=max(1, int(limits.get("MaxParallelTrainingJobs") or 1)),
        max_runtime_seconds=limits.get("MaxRuntimeInSeconds"),
        target=criteria.get("TargetObjectiveMetricValue"),
        patience=(criteria.get("BestObjectiveNotImproving") or {}).get("MaxNumberOfTrainingJobsNotImproving"),
        seed=config.get("RandomSeed"),
        parents=tuple(
            one["HyperParameterTuningJobName"] for one in warm_start.get("ParentHyperParameterTuningJobs") or ()
        ),
        stops_early=config.get("TrainingJobEarlyStoppingType") == "Auto",
        has_same_data=warm_start.get("WarmStartType") == "IdenticalDataAndAlgorithm",
    )


def _objective(config: Mapping[str, Any], definition: Mapping[str, Any]) -> Mapping[str, Any]:
    objective: Mapping[str, Any] | None = definition.get("TuningObjective") or config.get(
        "HyperParameterTuningJobObjective"
    )
    if not objective:
        raise validation_error("A tuning job needs a HyperParameterTuningJobObjective or a TuningObjective.")
    return objective


def _with_objective(definition: Mapping[str, Any], objective: Mapping[str, Any]) -> dict[str, Any]:
    static = {**(definition.get("StaticHyperParameters") or {}), OBJECTIVE_PARAMETER: objective["MetricName"]}
    return {**definition, "StaticHyperParameters": static}


def _read_definition(config: Mapping[str, Any], definition: Mapping[str, Any]) -> TrainingJobDefinition:
    objective = _objective(config, definition)
    static = definition.get("StaticHyperParameters") or {}
    request: dict[str, Any] = {key: definition[key] for key in _JOB_KEYS if definition.get(key) is not None}
    if definition.get("CheckpointConfig"):
        request["CheckpointConfig"] = definition["CheckpointConfig"]
    request["ResourceConfig"] = definition.get("ResourceConfig") or _tuning_resources(definition)
    return TrainingJobDefinition(
        name=definition.get("DefinitionName"),
        metric=objective["MetricName"],
        is_minimized=objective["Type"] == "Minimize",
        objective_type=objective["Type"],
        space=parse_ranges(
            definition.get("HyperParameterRanges") or config.get("ParameterRanges") or {}, static=static
        ),
        static=static,
        request=request,
    )


def _tuning_resources(definition: Mapping[str, Any]) -> dict[str, Any]:
    resources = definition.get("HyperParameterTuningResourceConfig") or {}
    first = (resources.get("InstanceConfigs") or [resources])[0]
    return {
        "InstanceType": first.get("InstanceType", "ml.m5.large"),
        "InstanceCount": first.get("InstanceCount", 1),
        "VolumeSizeInGB": first.get("VolumeSizeInGB", resources.get("VolumeSizeInGB", 1)),
    }
