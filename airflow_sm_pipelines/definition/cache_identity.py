"""What a cached step is known by: which of its members decide whether an earlier result may take its place.

``plan`` forecasts with this table and the local engine keys its cache with it, so the two cannot differ. How old a
result may be is said by ``CacheConfig``; where results are kept is for the engine to know.

Source: developer guide, "Default cache key attributes by pipeline step type". S3 addresses are compared, not what is
stored there. For the job steps outputs, instances, roles, networks and stopping conditions do not count. The SDKs put a
digest of the code into the address of an upload, so changed code is a changed member.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition.json_value import JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class CacheFields:
    """The members of one step type that count.

    :param arguments: paths in the step's ``Arguments``.
    :param attributes: members that stand beside ``Arguments``.
    """

    arguments: tuple[tuple[str, ...], ...]
    attributes: tuple[str, ...] = ()


_CHECK_JOB = (
    ("AppSpecification",),
    ("Environment",),
    ("ProcessingInputs",),
    # The guide lists CheckJobConfig as a whole. These four are what the SDKs make of it, beside Environment.
    ("NetworkConfig",),
    ("ProcessingResources",),
    ("RoleArn",),
    ("StoppingCondition",),
)
_CHECK = (
    "CheckType",
    "ModelName",
    "ModelPackageGroupName",
    "RegisterNewBaseline",
    "SkipCheck",
    "SuppliedBaselineConstraints",
    # Newer than the guide's list. It counts here, so that no cached success hides a violation.
    "FailOnViolation",
)

CACHE_FIELDS: Mapping[str, CacheFields] = {
    "AutoML": CacheFields(
        (
            ("AutoMLJobConfig", "CandidateGenerationConfig"),
            ("AutoMLJobConfig", "CompletionCriteria"),
            ("AutoMLJobConfig", "DataSplitConfig"),
            ("AutoMLJobConfig", "Mode"),
            ("AutoMLJobObjective",),
            ("InputDataConfig",),
            ("ProblemType",),
        )
    ),
    "ClarifyCheck": CacheFields(_CHECK_JOB, _CHECK),
    "EMR": CacheFields((("ClusterId",), ("StepConfig",))),
    "Processing": CacheFields((("AppSpecification",), ("Environment",), ("ProcessingInputs",))),
    "QualityCheck": CacheFields(_CHECK_JOB, (*_CHECK, "SuppliedBaselineStatistics")),
    "Training": CacheFields(
        (
            ("AlgorithmSpecification",),
            ("CheckpointConfig",),
            ("DebugHookConfig",),
            ("DebugRuleConfigurations",),
            ("Environment",),
            ("HyperParameters",),
            ("InputDataConfig",),
        )
    ),
    "Transform": CacheFields((("DataProcessing",), ("Environment",), ("ModelName",), ("TransformInput",))),
    "Tuning": CacheFields(
        (
            ("HyperParameterTuningJobConfig",),
            ("TrainingJobDefinition", "AlgorithmSpecification"),
            ("TrainingJobDefinition", "HyperParameterRanges"),
            ("TrainingJobDefinition", "InputDataConfig"),
            ("TrainingJobDefinition", "StaticHyperParameters"),
            ("TrainingJobDefinition", "TuningObjective"),
            # The guide names no members of the entries, so all of them count.
            ("TrainingJobDefinitions",),
        )
    ),
}
"""By step type. SageMaker caches no other type, or publishes no rule for it."""


def select_cache_fields(step_type: str, arguments: JsonObject, attributes: JsonObject) -> JsonObject:
    """Pick the members of a step that decide about caching; two steps with equal ones share a result.

    What the service takes for the same is written the same: a member that is null, empty or absent; a number or a truth
    value and its text.

    :param arguments: the step's ``Arguments``, with or without the values of its expressions.
    :param attributes: the members beside ``Arguments``.
    :return: the members in their places; empty for a type that is not in :data:`CACHE_FIELDS`.
    """
    fields = CACHE_FIELDS.get(step_type, CacheFields(()))
    selected: JsonObject = {}
    for path in fields.arguments:
        source: JsonValue = arguments
        for key in path:
            source = source.get(key) if isinstance(source, dict) else None
        _put(selected, path, source)
    for key in fields.attributes:
        _put(selected, (key,), attributes.get(key))
    return selected


def _put(selected: JsonObject, path: tuple[str, ...], value: JsonValue) -> None:
    normal = _normalize(value)
    if normal in (None, {}, []):
        return
    here = selected
    for key in path[:-1]:
        inner = here.setdefault(key, {})
        here = inner if isinstance(inner, dict) else {}
    here[path[-1]] = normal


def _normalize(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _normalize(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_normalize(item) for item in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value
