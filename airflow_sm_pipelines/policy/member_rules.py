"""Rules between members of a request that the API's shapes cannot say, each with the place where AWS states it.

The endpoint asks :func:`find_conflicts` of every request, ``validate`` asks it of the arguments of steps. What belongs
here: rules that need nothing but the request. What does not: what a value may be (``service_model``), and whether what
a request names exists. A value that is not known yet, an expression, breaks no rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.image_uri import parse_image_uri
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.policy.findings import Finding, Severity, find
from airflow_sm_pipelines.service_model import STEP_CALLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_sm_pipelines.definition import PipelineDefinition
    from airflow_sm_pipelines.service_model import ValuePath

RULE = "member-rules"
_DEFAULT_MAX_RUNTIME_SECONDS = 86400
"""Source: the API reference, ``StoppingCondition``."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Members of a request that do not go together.

    :param path: the member to change.
    :param message: a sentence; the service's where it is published.
    :param fix: what to do, a sentence.
    :param holds_for_steps: whether a step's call is refused as a client's is; else nobody knows.
    """

    path: ValuePath
    message: str
    fix: str
    holds_for_steps: bool = True


def find_conflicts(operation: str, request: Mapping[str, Any]) -> list[Conflict]:
    """Find every rule between members that a request breaks.

    :param operation: such as ``CreateTrainingJob``.
    :param request: it fits the operation's shape, but for expressions; a part that does not is passed over.
    """
    find = RULES.get(operation)
    return list(find(request)) if find else []


def check_members(definition: PipelineDefinition) -> Iterator[Finding]:
    """Find every rule between members that the arguments of a step break."""
    for path, step in iter_step_places(definition):
        call = STEP_CALLS.get(step.type)
        for conflict in find_conflicts(call.operation, step.arguments) if call else ():
            severity = Severity.ERROR if conflict.holds_for_steps else Severity.WARNING
            place = (*path, "Arguments", *conflict.path)
            yield find(RULE, severity, place, f"step {step.name!r}: {conflict.message}", conflict.fix)


def _training(request: Mapping[str, Any], path: ValuePath = ()) -> Iterator[Conflict]:
    """Source: the API reference, ``StoppingCondition``; developer guide, "Managed Spot Training"."""
    place = (*path, "StoppingCondition", "MaxWaitTimeInSeconds")
    yield from _input_modes(request, path)
    limits = _object(request.get("StoppingCondition"))
    longest, run = limits.get("MaxWaitTimeInSeconds"), limits.get("MaxRuntimeInSeconds", _DEFAULT_MAX_RUNTIME_SECONDS)
    if longest is None and request.get("EnableManagedSpotTraining") is True:
        message = "MaxWaitTimeInSeconds must be present where EnableManagedSpotTraining is true."
        yield Conflict(place, message, "Give the time that waiting for Spot capacity and training may take together.")
    elif isinstance(longest, int) and isinstance(run, int) and longest < run:
        message = f"MaxWaitTimeInSeconds ({longest}) must be equal to or greater than MaxRuntimeInSeconds ({run})."
        yield Conflict(place, message, "It is the time for waiting and training together: raise it.")


def _input_modes(request: Mapping[str, Any], path: ValuePath) -> Iterator[Conflict]:
    """Source: the service's error, in comments of public pipeline scripts."""
    channels = request.get("InputDataConfig")
    if not isinstance(channels, list):
        return
    default = _object(request.get("AlgorithmSpecification")).get("TrainingInputMode")
    modes = [_object(channel).get("InputMode") or default for channel in channels]
    if "Pipe" in modes and "FastFile" in modes:
        yield Conflict(
            (*path, "InputDataConfig", modes.index("FastFile"), "InputMode"),
            "Cannot use both 'Pipe' and 'FastFile' TrainingInputMode on the same Training Job.",
            "Give all channels one of the two.",
        )
    for index, (channel, mode) in enumerate(zip(channels, modes, strict=True)):
        if _object(channel).get("CompressionType") == "Gzip" and mode == "File":
            # The words are the service's: aws/sagemaker-python-sdk, issue 716.
            yield Conflict(
                (*path, "InputDataConfig", index, "CompressionType"),
                f"Invalid compression type for channel {_object(channel).get('ChannelName')}: File mode only supports "
                "NONE, got Gzip instead",
                "Leave it out, and unpack the files in the program; or give the channel the InputMode Pipe.",
            )


def _processing(request: Mapping[str, Any]) -> Iterator[Conflict]:
    """Source: the API reference, ``ProcessingS3Input``, ``S3CompressionType``."""
    inputs = request.get("ProcessingInputs")
    for index, entry in enumerate(inputs if isinstance(inputs, list) else ()):
        source = _object(_object(entry).get("S3Input"))
        if source.get("S3CompressionType") == "Gzip" and source.get("S3InputMode", "File") == "File":
            yield Conflict(
                ("ProcessingInputs", index, "S3Input", "S3CompressionType"),
                "Gzip can only be used if Pipe mode is specified as the S3InputMode.",
                "Leave it out, and unpack the files in the program.",
            )


def _tuning(request: Mapping[str, Any]) -> Iterator[Conflict]:
    shared = _object(_object(request.get("HyperParameterTuningJobConfig")).get("HyperParameterTuningJobObjective"))
    definitions = request.get("TrainingJobDefinitions")
    places: list[tuple[ValuePath, Any]] = [(("TrainingJobDefinition",), request.get("TrainingJobDefinition"))]
    if isinstance(definitions, list):
        places += [(("TrainingJobDefinitions", index), one) for index, one in enumerate(definitions)]
    for path, definition in places:
        if not isinstance(definition, dict):
            continue
        yield from _training(definition, path)
        objective = (_object(definition.get("TuningObjective")) or shared).get("MetricName")
        algorithm = _object(definition.get("AlgorithmSpecification"))
        if isinstance(objective, str) and _lacks_metric(algorithm, objective):
            yield Conflict(
                (*path, "AlgorithmSpecification", "MetricDefinitions"),
                "A metric is required for this hyperparameter tuning job objective. Provide a metric in the metric"
                " definitions.",
                f"None is called {objective!r}.",
            )


def _lacks_metric(algorithm: Mapping[str, Any], objective: str) -> bool:
    """Whether an algorithm of the user's own defines no metric of this name (aws/sagemaker-python-sdk, issue 3932)."""
    image, metrics = algorithm.get("TrainingImage"), algorithm.get("MetricDefinitions")
    if not isinstance(image, str) or parse_image_uri(image).is_built_in_algorithm:
        return False
    if metrics is not None and not isinstance(metrics, list):
        return False
    names = [_object(metric).get("Name") for metric in metrics or ()]
    return all(isinstance(name, str) and name != objective for name in names)


def _model_package(request: Mapping[str, Any]) -> Iterator[Conflict]:
    """Source: the API reference, ``CreateModelPackage``, ``Tags``. The SDKs write them in RegisterModel steps, too."""
    if request.get("ModelPackageGroupName") and request.get("Tags"):
        yield Conflict(
            ("Tags",),
            "A versioned model package uses the tags of its model package group: Tags cannot be given.",
            "Tag the group.",
            holds_for_steps=False,
        )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


RULES: dict[str, Callable[[Mapping[str, Any]], Iterator[Conflict]]] = {
    "CreateTrainingJob": _training,
    "CreateProcessingJob": _processing,
    "CreateHyperParameterTuningJob": _tuning,
    "CreateModelPackage": _model_package,
}
