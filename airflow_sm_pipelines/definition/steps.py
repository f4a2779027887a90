"""The steps of a pipeline: what all steps share, and the two kinds that hold other steps.

Every other kind, known or not, is a plain :class:`Step` with its request in ``arguments``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.json_value import JsonObject, JsonPath, JsonValue, copy_json
from airflow_sm_pipelines.definition.origin import Member, Origin, write_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_sm_pipelines.definition.conditions import Condition


class StepType(str, Enum):
    """The step types that AWS documents or an SDK writes. A definition may hold others."""

    ATHENA = "Athena"
    AUTO_ML = "AutoML"
    CALLBACK = "Callback"
    CLARIFY_CHECK = "ClarifyCheck"
    CLEANUP = "Cleanup"
    CONDITION = "Condition"
    EMR = "EMR"
    EMR_SERVERLESS = "EMRServerless"
    ENDPOINT = "Endpoint"
    ENDPOINT_CONFIG = "EndpointConfig"
    FAIL = "Fail"
    FOR_EACH = "ForEach"
    INFERENCE_COMPONENT = "InferenceComponent"
    JOB = "Job"
    LAMBDA = "Lambda"
    LINEAGE = "Lineage"
    MODEL = "Model"
    PROCESSING = "Processing"
    QUALITY_CHECK = "QualityCheck"
    REGISTER_MODEL = "RegisterModel"
    TRAINING = "Training"
    TRANSFORM = "Transform"
    TUNING = "Tuning"

    def __str__(self) -> str:
        return self.value


DEPENDENCY_TRIGGERS = ("Completed", "Failed", "Stopped", "Any")
"""On which end of the upstream step a dependency is met; source: SDK v3 ``TriggerCondition``."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """A step that must have ended first.

    :param trigger: how it must have ended: one of :data:`DEPENDENCY_TRIGGERS`.
    """

    step: str
    trigger: str = "Completed"

    def to_json(self) -> JsonValue:
        """The entry of ``DependsOn``: a plain name where completion is awaited, as the SDK writes it."""
        return self.step if self.trigger == "Completed" else {"Step": self.step, "Trigger": self.trigger}


@dataclass(frozen=True, slots=True)
class PropertyFile:
    """A JSON file among a step's outputs, readable by ``Std:JsonGet``.

    :param output_name: the processing output that holds it.
    :param path: the file's place in that output.
    """

    name: str
    output_name: str
    path: str

    def to_json(self) -> JsonObject:
        """The entry of ``PropertyFiles``."""
        return {"PropertyFileName": self.name, "OutputName": self.output_name, "FilePath": self.path}


_DURATION = re.compile(
    r"P?(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?\Z",
    re.IGNORECASE,
)
_DAYS = {"years": 365, "months": 30, "weeks": 7, "days": 1}


def parse_duration(text: str) -> timedelta | None:
    """The duration that ``text`` means, or ``None`` when it means none. A month is 30 days here, a year 365."""
    match = _DURATION.match(text.strip())
    parts = {name: int(number) for name, number in match.groupdict().items() if number} if match else {}
    if not parts:
        return None
    days = sum(number * _DAYS.get(name, 0) for name, number in parts.items())
    try:
        return timedelta(
            days=days, hours=parts.get("hours", 0), minutes=parts.get("minutes", 0), seconds=parts.get("seconds", 0)
        )
    except OverflowError:
        return timedelta.max


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """Whether, and for how long, a step may take an earlier execution's result.

    :param expire_after: the duration as written; :attr:`lifetime` reads it.
    """

    enabled: bool = False
    expire_after: str | None = None

    @property
    def lifetime(self) -> timedelta | None:
        """How old a result may be; ``None`` for any age, also where the text is no duration."""
        return parse_duration(self.expire_after) if self.expire_after else None

    def to_json(self) -> JsonObject:
        """The step's ``CacheConfig``."""
        written: JsonObject = {"Enabled": self.enabled}
        if self.expire_after is not None:
            written["ExpireAfter"] = self.expire_after
        return written


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a step is tried again, and after which faults.

    The defaults are the service's: two seconds become four, and so on, up to five attempts unless
    ``expire_after_min`` bounds the time instead. ``None`` stands where the definition says nothing.
    """

    exception_types: tuple[str, ...]
    backoff_rate: float | None = None
    interval_seconds: int | None = None
    max_attempts: int | None = None
    expire_after_min: int | None = None

    def to_json(self) -> JsonObject:
        """The entry of ``RetryPolicies``."""
        numbers: dict[str, JsonValue] = {
            "BackoffRate": self.backoff_rate,
            "IntervalSeconds": self.interval_seconds,
            "MaxAttempts": self.max_attempts,
            "ExpireAfterMin": self.expire_after_min,
        }
        types: list[JsonValue] = list(self.exception_types)
        return {"ExceptionType": types, **{key: value for key, value in numbers.items() if value is not None}}


@dataclass(frozen=True, slots=True)
class OutputParameter:
    """A value that a Lambda or Callback step gives.

    :param type: ``String``, ``Integer``, ``Float`` or ``Boolean``.
    """

    name: str
    type: str = "String"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a pipeline.

    :param type: SageMaker's name for the kind, see :class:`StepType`; may be one that nobody here knows.
    :param arguments: the request of the call that the step makes. For Condition and ForEach steps: what of
        ``Arguments`` has no field of its own.
    :param depends_on: the explicit dependencies; :mod:`graph` adds those that expressions imply.
    :param attributes: every other key beside ``Arguments``: ``FunctionArn``, ``SqsQueueUrl``, ``CheckType``, ...
    :param origin: what the step was read from; leave it alone.
    """

    name: str = field(kw_only=False)
    type: str = field(kw_only=False)
    arguments: JsonObject = field(default_factory=dict)
    depends_on: tuple[Dependency, ...] = ()
    display_name: str | None = None
    description: str | None = None
    property_files: tuple[PropertyFile, ...] = ()
    cache_config: CacheConfig | None = None
    retry_policies: tuple[RetryPolicy, ...] = ()
    attributes: JsonObject = field(default_factory=dict)
    origin: Origin | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> JsonObject:
        """The step as JSON; what was not replaced since it was read is written as it stood."""
        return write_object(self.origin, self._members(self._arguments_member()), self.attributes)

    @property
    def output_parameters(self) -> tuple[OutputParameter, ...]:
        """The values that a Lambda or Callback step declares to give; empty for other steps."""
        declared = self.attributes.get("OutputParameters")
        if not isinstance(declared, list):
            return ()
        return tuple(
            OutputParameter(str(item["OutputName"]), str(item.get("OutputType") or "String"))
            for item in declared
            if isinstance(item, dict) and isinstance(item.get("OutputName"), str)
        )

    def property_file(self, name: str) -> PropertyFile | None:
        """The property file of that name, if the step declares one."""
        return next((file for file in self.property_files if file.name == name), None)

    def iter_operands(self) -> Iterator[tuple[JsonPath, JsonValue]]:
        """Every JSON value of the step that may hold expressions, with its path in the step.

        The steps inside a Condition or ForEach step are not visited.
        """
        yield ("Arguments",), self.arguments
        for key, value in self.attributes.items():
            yield (key,), value

    def _arguments_member(self) -> Member:
        return Member("Arguments", self.arguments, not self.arguments, lambda: copy_json(self.arguments))

    def _members(self, arguments: Member) -> tuple[Member, ...]:
        cache = self.cache_config
        return (
            Member("Name", self.name, False, lambda: self.name),
            Member("Type", self.type, False, lambda: self.type),
            arguments,
            Member("DependsOn", self.depends_on, not self.depends_on, lambda: [d.to_json() for d in self.depends_on]),
            Member("DisplayName", self.display_name, self.display_name is None, lambda: self.display_name),
            Member("Description", self.description, self.description is None, lambda: self.description),
            Member("CacheConfig", cache, cache is None, lambda: cache.to_json() if cache else None),
            Member(
                "RetryPolicies",
                self.retry_policies,
                not self.retry_policies,
                lambda: [policy.to_json() for policy in self.retry_policies],
            ),
            Member(
                "PropertyFiles",
                self.property_files,
                not self.property_files,
                lambda: [file.to_json() for file in self.property_files],
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionStep(Step):
    """A step that chooses between two branches.

    :param conditions: all must hold for the If branch.
    :param arguments_origin: what ``Arguments`` was read from; leave it alone.
    """

    conditions: tuple[Condition, ...] = ()
    if_steps: tuple[Step, ...] = ()
    else_steps: tuple[Step, ...] = ()
    arguments_origin: Origin | None = field(default=None, repr=False, compare=False)

    @property
    def branches(self) -> tuple[tuple[str, tuple[Step, ...]], ...]:
        """The branches by name: ``If`` and ``Else``."""
        return (("If", self.if_steps), ("Else", self.else_steps))

    def iter_operands(self) -> Iterator[tuple[JsonPath, JsonValue]]:
        """Every JSON value of the step that may hold expressions: what the conditions compare, and the attributes."""
        for index, condition in enumerate(self.conditions):
            for path, value in condition.iter_operands():
                yield ("Arguments", "Conditions", index, *path), value
        for key, value in {**self.arguments, **self.attributes}.items():
            yield (("Arguments", key) if key in self.arguments else (key,)), value

    def _arguments_member(self) -> Member:
        members = (
            Member("Conditions", self.conditions, False, lambda: [c.to_json() for c in self.conditions]),
            Member("IfSteps", self.if_steps, self._is_new_default(self.if_steps), lambda: _write(self.if_steps)),
            Member(
                "ElseSteps", self.else_steps, self._is_new_default(self.else_steps), lambda: _write(self.else_steps)
            ),
        )
        return Member("Arguments", None, False, lambda: write_object(self.arguments_origin, members, self.arguments))

    def _is_new_default(self, steps: Sequence[Step]) -> bool:
        return not steps and self.arguments_origin is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForEachStep(Step):
    """A step that runs its body once per item.

    :param items: ``IterableItems``: an array of literals and expressions, or an expression that gives a JSON list.
    :param max_concurrency: how many children run at once.
    :param selector: ``{"Pick": "MaxBy" | "MinBy", "Field": {"Get": "IterationOutput..."}}``, or ``None``.
    :param body: the steps made for every item.
    :param arguments_origin: what ``Arguments`` was read from; leave it alone.
    """

    items: JsonValue = None
    max_concurrency: int = 1
    selector: JsonObject | None = None
    body: tuple[Step, ...] = ()
    arguments_origin: Origin | None = field(default=None, repr=False, compare=False)

    def iter_operands(self) -> Iterator[tuple[JsonPath, JsonValue]]:
        """Every JSON value of the step that may hold expressions, its body's steps aside."""
        yield ("Arguments", "IterableItems"), self.items
        if self.selector is not None:
            yield ("Arguments", "Selector"), self.selector
        for key, value in self.arguments.items():
            yield ("Arguments", key), value
        for key, value in self.attributes.items():
            yield (key,), value

    def _arguments_member(self) -> Member:
        selector = self.selector
        members = (
            Member("IterableItems", self.items, False, lambda: copy_json(self.items)),
            Member("MaxConcurrency", self.max_concurrency, False, lambda: self.max_concurrency),
            Member("Selector", selector, selector is None, lambda: copy_json(selector)),
            Member("ForEachBody", self.body, False, lambda: _write(self.body)),
        )
        return Member("Arguments", None, False, lambda: write_object(self.arguments_origin, members, self.arguments))


def name_iteration(body_step: str, index: int) -> str:
    """The name of the step that a ForEach step makes of a body step for the item at ``index``, from 0."""
    return f"{body_step}-{index}"


def _write(steps: Sequence[Step]) -> list[JsonValue]:
    return [step.to_json() for step in steps]
