"""By which fields SageMaker knows that a step has run before, for each step type that it caches.

Source: developer guide, "Caching pipeline steps", "Cache key attributes". S3 addresses are compared, not what is there;
outputs, instances, roles, networks and stopping conditions do not count. The SDKs put a digest of the code into the
address of an upload, so changed code is a changed field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonValue

_TUNED = (
    "AlgorithmSpecification",
    "HyperParameterRanges",
    "InputDataConfig",
    "StaticHyperParameters",
    "TuningObjective",
)

CACHE_FIELDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "Processing": (("AppSpecification",), ("ProcessingInputs",), ("Environment",)),
    "Training": (
        ("AlgorithmSpecification",),
        ("CheckpointConfig",),
        ("DebugHookConfig",),
        ("DebugRuleConfigurations",),
        ("Environment",),
        ("HyperParameters",),
        ("InputDataConfig",),
    ),
    "Tuning": (
        ("HyperParameterTuningJobConfig",),
        *(("TrainingJobDefinition", key) for key in _TUNED),
        ("TrainingJobDefinitions",),
    ),
    "Transform": (("DataProcessing",), ("Environment",), ("ModelName",), ("TransformInput",)),
    "AutoML": (("AutoMLJobConfig",), ("AutoMLJobObjective",), ("InputDataConfig",), ("ProblemType",)),
    "EMR": (("ClusterId",), ("StepConfig",)),
}
"""Paths in a step's arguments. Types that are not here are not cached, or by rules that are not published."""


def find_cache_fields(step_type: str, arguments: JsonObject) -> dict[str, JsonValue]:
    """The fields that count, by their path; those that are absent, null or empty are left out."""
    found: dict[str, JsonValue] = {}
    for path in CACHE_FIELDS.get(step_type, ()):
        value: JsonValue = arguments
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None and value != {} and value != []:
            found[".".join(path)] = value
    return found
