"""The steps of a pipeline: the members that all steps have, and the two types that hold other steps.

A step of any other type, known or not, is a plain :class:`Step` with its request in ``arguments``.
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
"""The ends of the upstream step that can meet a dependency; source: SDK v3 ``TriggerCondition``."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """A step that must have ended first.

    :param trigger: how it must have ended: one of :data:`DEPENDENCY_TRIGGERS`.
    """

    step: str
    trigger: str = "Completed"

    def to_json(self) -> JsonValue:
        """The entry of ``DependsOn``, as the SDK writes it: a plain name for the trigger ``Completed``."""
        return self.step if self.trigger == "Completed" else {"Step": self.step, "Trigger": self.trigger}


@dataclass(frozen=True, slots=True)
class PropertyFile:
    """A JSON file among a step's outputs, readable by ``Std:JsonGet``.

    :param output_name: the processing output that holds it.
    :param path: the file's path in that output.
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
    """Parse ``ExpireAfter``; ``None`` if the text is not a duration. A month has 30 days here, a year 365.

    The documentation asks for ISO 8601. AWS's own samples write ``p30d``, ``T12H`` and ``30d``, which the service
    accepts, so they are read here too.
    """
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
    """Whether a step may take the result of an earlier execution, and how old that may be.

    :param expire_after: the duration as written; :attr:`lifetime` parses it.
    """

    enabled: bool = False
    expire_after: str | None = None

    @property
    def lifetime(self) -> timedelta | None:
        """How old a result may be; ``None`` for any age, also if the text is not a duration."""
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

    ``None`` means that the definition says nothing. The service then takes an interval of 1 second, a backoff rate of
    2.0 and 5 attempts. ``expire_after_min`` limits the time instead of the attempts.
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
    """An output of a Lambda or Callback step.

    :param type: ``String``, ``Integer``, ``Float`` or ``Boolean``.
    """

    name: str
    type: str = "String"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a pipeline.

    :param type: SageMaker's name for the type, see :class:`StepType`; it may be an unknown one.
    :param arguments: the request of the call that the step makes. For Condition and ForEach steps: the members of
        ``Arguments`` that have no field of their own.
    :param depends_on: the explicit dependencies; :mod:`graph` adds those that expressions imply.
    :param attributes: the other members beside ``Arguments``: ``FunctionArn``, ``SqsQueueUrl``, ``CheckType``, ...
    :param origin: the object it was read from; set by the reader.
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
        """The step as JSON; members that were not replaced are written as they were read."""
        return write_object(self.origin, self._members(self._arguments_member()), self.attributes)

    @property
    def output_parameters(self) -> tuple[OutputParameter, ...]:
        """The outputs that a Lambda or Callback step declares; empty for other steps."""
        declared = self.attributes.get("OutputParameters")
        if not isinstance(declared, list):
            return ()
        return tuple(
            OutputParameter(str(item["OutputName"]), str(item.get("OutputType") or "String"))
            for item in declared
            if isinstance(item, dict) and isinstance(item.get("OutputName"), str)
        )

    def property_file(self, name: str) -> PropertyFile | None:
        """The property file of that name; ``None`` if the step declares none."""
        return next((file for file in self.property_files if file.name == name), None)

    def iter_operands(self) -> Iterator[tuple[JsonPath, JsonValue]]:
        """Visit every JSON value of the step that may hold expressions, with its path in the step.

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

    :param conditions: if all of them hold, the If branch runs, otherwise the Else branch.
    :param arguments_origin: the object that ``Arguments`` was read from; set by the reader.
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
        """Visit every JSON value of the step that may hold expressions: operands of conditions, and attributes."""
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
    :param max_concurrency: how many steps of its iterations run at once.
    :param selector: ``{"Pick": "MaxBy" | "MinBy", "Field": {"Get": "IterationOutput..."}}``, or ``None``.
    :param body: the steps that each iteration copies.
    :param arguments_origin: the object that ``Arguments`` was read from; set by the reader.
    """

    items: JsonValue = None
    max_concurrency: int = 1
    selector: JsonObject | None = None
    body: tuple[Step, ...] = ()
    arguments_origin: Origin | None = field(default=None, repr=False, compare=False)

    def iter_operands(self) -> Iterator[tuple[JsonPath, JsonValue]]:
        """Visit every JSON value of the step that may hold expressions, except its body."""
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


MAX_STEP_NAME = 64
"""Characters of a step's name; source: the API's ``StepName`` shape."""

MAX_ITERATED_NAME = MAX_STEP_NAME - len("-999")
"""Characters of the name of a step in a ForEach body, so that each of its iterations has a name of a step."""


def name_iteration(body_step: str, index: int) -> str:
    """The name of the step that a ForEach step makes of a body step for the item at ``index``, from 0."""
    return f"{body_step}-{index}"


def _write(steps: Sequence[Step]) -> list[JsonValue]:
    return [step.to_json() for step in steps]
