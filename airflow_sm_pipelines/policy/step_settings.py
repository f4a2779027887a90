"""The rule on what stands beside a step's arguments: attributes, retries, caching, fan-out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import ConditionStep, ForEachStep, StepType, parse_duration
from airflow_sm_pipelines.definition.problems import suggest
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.policy.findings import Finding, Severity, find

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonPath, PipelineDefinition, RetryPolicy, Step

RULE = "step-settings"

REQUIRED_ATTRIBUTES = {
    "Lambda": ("FunctionArn",),
    "Callback": ("SqsQueueUrl",),
    "QualityCheck": ("CheckType",),
    "ClarifyCheck": ("CheckType",),
}
"""The keys that stand beside ``Arguments`` and must; source: the published schema."""

KNOWN_ATTRIBUTES = frozenset(
    {
        "CheckType",
        "FailOnViolation",
        "FunctionArn",
        "ModelName",
        "ModelPackageGroupName",
        "OutputParameters",
        "RegisterNewBaseline",
        "SkipCheck",
        "SqsQueueUrl",
        "SuppliedBaselineConstraints",
        "SuppliedBaselineStatistics",
    }
)

STANDARD_KEYS = (
    "Name",
    "Type",
    "Arguments",
    "DependsOn",
    "DisplayName",
    "Description",
    "CacheConfig",
    "RetryPolicies",
    "PropertyFiles",
)

RETRY_EXCEPTIONS = (
    "Step.SERVICE_FAULT",
    "Step.THROTTLING",
    "SageMaker.JOB_INTERNAL_ERROR",
    "SageMaker.CAPACITY_ERROR",
    "SageMaker.RESOURCE_LIMIT",
    "Emr.RESOURCE_LIMIT",
)
"""What a retry policy can catch; source: the published schema and SDK v2 ``workflow/retry.py``."""

_RETRY_LIMITS = {"interval_seconds": 43200, "max_attempts": 20, "expire_after_min": 14400}
_RETRY_KEYS = {
    "interval_seconds": "IntervalSeconds",
    "max_attempts": "MaxAttempts",
    "expire_after_min": "ExpireAfterMin",
}

MAX_CONCURRENCY = 50
MAX_LITERAL_ITEMS = 100


def check_step_settings(definition: PipelineDefinition) -> Iterator[Finding]:
    """Find every setting of a step that the service refuses or does not know."""
    known_types = [kind.value for kind in StepType]
    for place, step in iter_step_places(definition):
        if step.type not in known_types:
            yield find(
                RULE,
                Severity.WARNING,
                (*place, "Type"),
                f"step {step.name!r} is of the type {step.type!r}, which is not known here."
                f"{suggest(step.type, known_types)}",
            )
        yield from _check_attributes(step, place)
        for index, policy in enumerate(step.retry_policies):
            yield from _check_retry_policy(step, policy, (*place, "RetryPolicies", index))
        yield from _check_cache(step, place)
        yield from _check_property_files(step, place)
        if isinstance(step, ConditionStep):
            yield from _check_condition(step, place)
        elif isinstance(step, ForEachStep):
            yield from _check_for_each(step, place)


def _check_attributes(step: Step, place: JsonPath) -> Iterator[Finding]:
    for key in REQUIRED_ATTRIBUTES.get(step.type, ()):
        if step.attributes.get(key) is None:
            hint = f"It stands beside 'Arguments', not in it: move {key!r} there." if key in step.arguments else ""
            yield find(RULE, Severity.ERROR, place, f"the {step.type} step {step.name!r} has no {key!r}.", hint)
    for key in step.attributes:
        if key not in KNOWN_ATTRIBUTES:
            yield find(
                "unknown-key",
                Severity.WARNING,
                (*place, key),
                f"{key!r} of step {step.name!r} is not a key of a step that is known here."
                f"{suggest(key, (*STANDARD_KEYS, *KNOWN_ATTRIBUTES))}",
            )


def _check_retry_policy(step: Step, policy: RetryPolicy, place: JsonPath) -> Iterator[Finding]:
    if policy.max_attempts is not None and policy.expire_after_min is not None:
        yield find(
            RULE,
            Severity.ERROR,
            place,
            f"a retry policy of step {step.name!r} limits both the attempts and the time.",
            "Keep one of 'MaxAttempts' and 'ExpireAfterMin'.",
        )
    for attribute, limit in _RETRY_LIMITS.items():
        value = getattr(policy, attribute)
        key = _RETRY_KEYS[attribute]
        if value is not None and not 0 < value <= limit:
            yield find(
                RULE,
                Severity.ERROR,
                (*place, key),
                f"{key!r} of step {step.name!r} is {value}; allowed is 1 to {limit}.",
            )
    for name in policy.exception_types:
        if name not in RETRY_EXCEPTIONS:
            yield find(
                RULE,
                Severity.WARNING,
                (*place, "ExceptionType"),
                f"{name!r} in a retry policy of step {step.name!r} is not a fault that is known here."
                f"{suggest(name, RETRY_EXCEPTIONS)}",
            )


def _check_cache(step: Step, place: JsonPath) -> Iterator[Finding]:
    text = step.cache_config.expire_after if step.cache_config else None
    if text is not None and parse_duration(text) is None:
        yield find(
            RULE,
            Severity.ERROR,
            (*place, "CacheConfig", "ExpireAfter"),
            f"{text!r} of step {step.name!r} is not a duration.",
            "Write ISO 8601, as 'P30D' or 'PT12H'.",
        )


def _check_property_files(step: Step, place: JsonPath) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, file in enumerate(step.property_files):
        if file.name in seen:
            yield find(
                RULE,
                Severity.WARNING,
                (*place, "PropertyFiles", index),
                f"step {step.name!r} declares the property file {file.name!r} twice.",
                "Rename one.",
            )
        seen.add(file.name)


def _check_condition(step: ConditionStep, place: JsonPath) -> Iterator[Finding]:
    if not step.conditions:
        yield find(
            RULE,
            Severity.WARNING,
            (*place, "Arguments", "Conditions"),
            f"the Condition step {step.name!r} has no conditions, so it says nothing.",
            "Add one.",
        )


def _check_for_each(step: ForEachStep, place: JsonPath) -> Iterator[Finding]:
    arguments = (*place, "Arguments")
    if not 1 <= step.max_concurrency <= MAX_CONCURRENCY:
        yield find(
            RULE,
            Severity.ERROR,
            (*arguments, "MaxConcurrency"),
            f"'MaxConcurrency' of step {step.name!r} is {step.max_concurrency}; allowed is 1 to {MAX_CONCURRENCY}.",
        )
    if isinstance(step.items, list) and len(step.items) > MAX_LITERAL_ITEMS:
        yield find(
            RULE,
            Severity.ERROR,
            (*arguments, "IterableItems"),
            f"step {step.name!r} lists {len(step.items)} items; at most {MAX_LITERAL_ITEMS} may be listed.",
            "Give the list as a JSON string in a parameter or a step's output.",
        )
    pick = step.selector.get("Pick") if step.selector else None
    if step.selector is not None and pick not in ("MaxBy", "MinBy"):
        yield find(
            RULE,
            Severity.ERROR,
            (*arguments, "Selector"),
            f"the selector of step {step.name!r} must pick 'MaxBy' or 'MinBy', found {pick!r}.",
        )
