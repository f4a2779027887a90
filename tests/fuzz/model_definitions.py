"""Whole definitions made inside the API model: CreatePipeline may refuse none of them.

Their steps are of every type; arguments come from the shapes of the steps' calls, and in place of values stand
parameters, execution variables, joins and properties of earlier steps, of the type that the place takes.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.service_model import STEP_CALLS, load_service_model
from tests.service_model.argument_maker import ArgumentMaker

if TYPE_CHECKING:
    from airflow_sm_pipelines.service_model import Shape

_TYPES = {
    "string": "String",
    "integer": "Integer",
    "long": "Integer",
    "float": "Float",
    "double": "Float",
    "boolean": "Boolean",
}
_DEFAULTS: dict[str, Any] = {"String": "text", "Integer": 3, "Float": 0.5, "Boolean": True}
_CHECKS = {"QualityCheck": ("DATA_QUALITY", "MODEL_QUALITY"), "ClarifyCheck": ("DATA_BIAS", "MODEL_EXPLAINABILITY")}
_CACHED = ("Processing", "Training", "Transform", "Tuning", "QualityCheck", "ClarifyCheck", "AutoML")
_EXPIRIES = ("P30D", "PT12H", "30d", "T12H", "p30d", "P1Y2M3DT4H5M6S", "PT16m")
_RETRIES = (
    ("Step.SERVICE_FAULT", "Step.THROTTLING"),
    ("SageMaker.JOB_INTERNAL_ERROR",),
    ("SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT"),
)
_FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
_QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/queue"
_TEXTS: dict[str, list[str]] = {}
"""Good texts of each shape: they take long to find, and are always the same."""


def list_properties(step_type: str) -> list[tuple[str, str]]:
    """Properties of a step of a type that are single values: their paths and their types."""
    call = STEP_CALLS.get(step_type)
    answer = call.find_answer() if call else None
    return [] if answer is None else [*_walk(answer, "", 3)]


def _walk(shape: Shape, path: str, depth: int) -> list[tuple[str, str]]:
    found = []
    for name, member in shape.members.items():
        place = f"{path}.{name}" if path else name
        if member.type_name in _TYPES:
            found.append((place, _TYPES[member.type_name]))
        elif member.type_name == "structure" and depth:
            found += _walk(member, place, depth - 1)
    return found


class ModelDefinitionMaker:
    """Makes one definition from a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.model = load_service_model()
        self.count = 0
        self.steps: list[tuple[str, str]] = []
        """Names and types of the steps that later ones may refer to and wait for."""

    def make(self) -> dict[str, Any]:
        """The document."""
        steps = self._make_steps(self.chance.randint(1, 7), depth=2)
        parameters = [
            {"Name": f"{kind}{number}", "Type": kind, **({"DefaultValue": value} if number else {})}
            for kind, value in _DEFAULTS.items()
            for number in (0, 1)
        ]
        document: dict[str, Any] = {"Version": "2020-12-01", "Metadata": {}, "Parameters": parameters, "Steps": steps}
        if self._happens(0.5):
            names = {"ExperimentName": "Execution.PipelineName", "TrialName": "Execution.PipelineExecutionId"}
            document["PipelineExperimentConfig"] = {name: {"Get": value} for name, value in names.items()}
        return document

    def _happens(self, probability: float) -> bool:
        return self.chance.random() < probability

    def _make_steps(self, count: int, *, depth: int) -> list[dict[str, Any]]:
        return [self._make_step(depth) for _ in range(count)]

    def _make_step(self, depth: int) -> dict[str, Any]:
        kinds = [*STEP_CALLS, "Lambda", "Callback", "Fail", *(["Condition", "Condition", "ForEach"] if depth else [])]
        kind = self.chance.choice(kinds)
        self.count += 1
        step: dict[str, Any] = {"Name": f"Step-{self.count}", "Type": kind}
        earlier = [name for name, _ in self.steps]
        if earlier and self._happens(0.3):
            step["DependsOn"] = self.chance.sample(earlier, self.chance.randint(1, min(2, len(earlier))))
        if self._happens(0.2):
            step |= {"DisplayName": "A step", "Description": "What it does"}
        step |= self._make_body(kind, depth)
        if kind in STEP_CALLS or kind in {"Lambda", "Callback"}:
            self._add_settings(step, kind)
            self.steps.append((step["Name"], kind))
        return step

    def _add_settings(self, step: dict[str, Any], kind: str) -> None:
        if kind in _CACHED and self._happens(0.3):
            step["CacheConfig"] = {"Enabled": self._happens(0.5), "ExpireAfter": self.chance.choice(_EXPIRIES)}
        if kind in STEP_CALLS and self._happens(0.2):
            exceptions = list(self.chance.choice(_RETRIES))
            limit = self.chance.choice(({"MaxAttempts": 3}, {"ExpireAfterMin": 5}))
            step["RetryPolicies"] = [
                {"ExceptionType": exceptions, "IntervalSeconds": 1, "BackoffRate": 2.0, **limit},
            ]

    def _make_body(self, kind: str, depth: int) -> dict[str, Any]:
        if kind == "Condition":
            return {"Arguments": self._make_condition(depth)}
        if kind == "ForEach":
            return {"Arguments": self._make_loop()}
        if kind == "Fail":
            return {"Arguments": {"ErrorMessage": self._put("failed")}}
        if kind in {"Lambda", "Callback"}:
            address = {"FunctionArn": _FUNCTION} if kind == "Lambda" else {"SqsQueueUrl": _QUEUE}
            outputs = [{"OutputName": name.lower(), "OutputType": name} for name in _DEFAULTS]
            return {**address, "OutputParameters": outputs, "Arguments": {"a": self._put("x"), "b": self._put(1)}}
        checks = {"CheckType": self.chance.choice(_CHECKS[kind])} if kind in _CHECKS else {}
        return {**checks, "Arguments": self._make_arguments(kind)}

    def _make_arguments(self, kind: str) -> dict[str, Any]:
        call = STEP_CALLS[kind]
        made = ArgumentMaker(self.chance, self._put, _TEXTS).make(self.model.get_request_shape(call.operation))
        optional = {path[0] for path in call.may_miss if len(path) == 1}
        return {
            name: value
            for name, value in made.items()
            if name not in call.closed and (name not in optional or self._happens(0.5))
        }

    def _make_condition(self, depth: int) -> dict[str, Any]:
        conditions = [self._make_comparison(2) for _ in range(self.chance.randint(1, 3))]
        inside = list(self.steps)
        branches = {}
        for branch in ("IfSteps", "ElseSteps"):
            branches[branch] = self._make_steps(self.chance.randint(0, 2), depth=depth - 1)
            # What a branch may skip is nothing that others should wait for.
            self.steps = list(inside)
        return {"Conditions": conditions, **branches}

    def _make_comparison(self, depth: int) -> dict[str, Any]:
        kind = self.chance.choice(("Equals", "GreaterThan", "LessThanOrEqualTo", "In", *(("Not", "Or") * bool(depth))))
        if kind == "Not":
            return {"Type": kind, "Condition": self._make_comparison(depth - 1)}
        if kind == "Or":
            return {"Type": kind, "Conditions": [self._make_comparison(depth - 1) for _ in range(2)]}
        if kind == "In":
            return {"Type": kind, "QueryValue": self._put("a", 0.9), "Values": ["a", self._put("b")]}
        return {"Type": kind, "LeftValue": self._put(1, 0.9), "RightValue": self._put(2)}

    def _make_loop(self) -> dict[str, Any]:
        self.count += 1
        kind = self.chance.choice(("Processing", "Training", "Lambda"))
        body = {"Name": f"Body-{self.count}", "Type": kind, **self._make_body(kind, 0)}
        items = self.chance.choice((["a", "b"], [{"k": 1}, {"k": 2}], {"Get": "Parameters.String0"}))
        return {"IterableItems": items, "MaxConcurrency": self.chance.randint(1, 50), "ForEachBody": [body]}

    def _put(self, value: Any, probability: float = 0.15) -> Any:
        """Keep a single value, or put an expression of its type there."""
        if isinstance(value, (dict, list)) or value is None or not self._happens(probability):
            return value
        kind = next(name for name, default in _DEFAULTS.items() if type(default) is type(value))
        places = [
            f"Steps.{step}.{path}"
            for step, type_ in self.steps
            for path, found in list_properties(type_)
            if found == kind
        ]
        outputs = [
            f"Steps.{step}.OutputParameters['{kind.lower()}']" for step, type_ in self.steps if type_ == "Lambda"
        ]
        choices: list[Any] = [{"Get": f"Parameters.{kind}{number}"} for number in (0, 1)]
        choices += [{"Get": place} for place in self.chance.sample(places, min(2, len(places))) + outputs]
        if kind == "String":
            choices += [
                {"Get": "Execution.PipelineExecutionId"},
                {"Std:Join": {"On": "/", "Values": ["s3:/", 1, self.chance.choice(choices)]}},
                {"Std:JsonGet": {"S3Uri": "s3://bucket/key", "Path": "a.b"}},
            ]
        return self.chance.choice(choices)
