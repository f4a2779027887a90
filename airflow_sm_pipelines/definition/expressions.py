"""The expressions of a definition: ``Get``, ``Std:Join`` and ``Std:JsonGet``, parsed once into typed references.

Only what the text says is here. Whether a reference leads anywhere is checked in :mod:`checks`; what it is worth in an
execution is the engine's business. Source: the SDKs' ``workflow`` modules and the developer guide's "Step properties".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from airflow_sm_pipelines.definition.json_value import JsonObject, JsonPath, JsonValue, describe_kind
from airflow_sm_pipelines.definition.problems import list_names, suggest
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator

EXECUTION_VARIABLES = (
    "StartDateTime",
    "CurrentDateTime",
    "PipelineName",
    "PipelineArn",
    "PipelineExecutionId",
    "PipelineExecutionArn",
    "TrainingJobName",
    "ProcessingJobName",
)
"""What may follow ``Execution.``; source: ``sagemaker.workflow.execution_variables``."""

EXPERIMENT_FIELDS = ("ExperimentName", "TrialName")
"""What may follow ``PipelineExperimentConfig.``."""

NAMESPACES = ("Parameters", "Execution", "Steps", "PipelineExperimentConfig", "ForEach", "IterationOutput")
"""What a ``Get`` may begin with."""

FUNCTIONS = ("Std:Join", "Std:JsonGet")
"""The functions that an expression may call."""


@dataclass(frozen=True, slots=True)
class ParameterReference:
    """The value of a pipeline parameter: ``Parameters.MaxDepth``."""

    name: str

    def __str__(self) -> str:
        return f"Parameters.{self.name}"


@dataclass(frozen=True, slots=True)
class ExecutionReference:
    """A fact of the running execution: ``Execution.PipelineExecutionId``."""

    variable: str

    def __str__(self) -> str:
        return f"Execution.{self.variable}"


@dataclass(frozen=True, slots=True)
class StepReference:
    """A property of a step, by its path in the Describe answer of the step's job.

    :param path: member names, list indexes and map keys: ``("ProcessingOutputConfig", "Outputs", "train")``.
        ``Outputs['train']`` and ``Outputs.train`` read the same here; a list of named things is looked up by name.
    """

    step: str
    path: tuple[str | int, ...]

    def __str__(self) -> str:
        return f"Steps.{self.step}{_format_tail(self.path)}"


@dataclass(frozen=True, slots=True)
class PropertyFileReference:
    """A property file that a step writes: ``Steps.Evaluate.PropertyFiles.Report``; only inside ``Std:JsonGet``."""

    step: str
    property_file: str

    def __str__(self) -> str:
        return f"Steps.{self.step}.PropertyFiles.{self.property_file}"


@dataclass(frozen=True, slots=True)
class ExperimentReference:
    """The experiment's or the trial's name: ``PipelineExperimentConfig.TrialName``."""

    field: str

    def __str__(self) -> str:
        return f"PipelineExperimentConfig.{self.field}"


@dataclass(frozen=True, slots=True)
class ForEachReference:
    """The current item of a ForEach step, or a place in it; stands in its body only.

    :param path: what follows ``ForEach.CurrentItem``; empty for the whole item.
    """

    path: tuple[str | int, ...]

    def __str__(self) -> str:
        return f"ForEach.CurrentItem{_format_tail(self.path)}"


@dataclass(frozen=True, slots=True)
class IterationReference:
    """A body step's property in each iteration: ``IterationOutput.<body step>.<path>``; only in ``Selector.Field``."""

    body_step: str
    path: tuple[str | int, ...]

    def __str__(self) -> str:
        return f"IterationOutput.{self.body_step}{_format_tail(self.path)}"


@dataclass(frozen=True, slots=True)
class Join:
    """``Std:Join``: the values as text, with ``on`` between them. Values may be expressions again."""

    on: str
    values: tuple[JsonValue, ...]


@dataclass(frozen=True, slots=True)
class JsonGet:
    """``Std:JsonGet``: the value at ``path`` in a JSON file.

    :param source: a property file, or the JSON value of ``S3Uri``: a string or an expression that gives one.
    """

    source: PropertyFileReference | JsonValue
    path: str


Reference: TypeAlias = (
    "ParameterReference | ExecutionReference | StepReference | PropertyFileReference | ExperimentReference "
    "| ForEachReference | IterationReference"
)
"""What a ``Get`` can name."""

Expression: TypeAlias = "Reference | Join | JsonGet"
"""Anything that is worked out when the step runs."""

_NAME = re.compile(r"[^.\[\]]+")
_TAIL = re.compile(
    r"\.(?P<member>[^.\[\]]+)|\[(?P<index>\d+)\]|\['(?P<single>.*?)'\]|\[\"(?P<double>.*?)\"\]", re.DOTALL
)


def parse_expression(value: JsonValue) -> Expression | None:
    """The expression that a JSON value is, or ``None`` for a plain literal.

    An expression is an object whose only key is ``Get``, ``Std:Join`` or ``Std:JsonGet``. What stands inside a Join or
    a JsonGet is kept as JSON: parse it in turn.

    :raises DefinitionError: for an object with such a key that is no expression SageMaker knows.
    """
    if not isinstance(value, dict) or len(value) != 1:
        return None
    ((key, body),) = value.items()
    if key == "Get":
        if not isinstance(body, str):
            raise DefinitionError(f"'Get' takes a string such as 'Parameters.InputData', found {describe_kind(body)}.")
        return parse_reference(body)
    if key == "Std:Join":
        return _parse_join(body)
    if key == "Std:JsonGet":
        return _parse_json_get(body)
    if key.startswith("Std:"):
        raise DefinitionError(
            f"{key!r} is not a function of SageMaker Pipelines; those are {list_names(FUNCTIONS)}."
            f"{suggest(key, FUNCTIONS)}"
        )
    return None


def parse_reference(text: str) -> Reference:
    """What the text of a ``Get`` names.

    :raises DefinitionError: when the text is not of a known form.
    """
    match = _NAME.match(text)
    namespace = match.group() if match else ""
    rest = text[len(namespace) :]
    if namespace not in NAMESPACES:
        raise DefinitionError(
            f"{text!r} refers to nothing SageMaker knows: a reference begins with one of {list_names(NAMESPACES)}."
            f"{suggest(namespace, NAMESPACES)}"
        )
    path = _parse_tail(rest, text)
    if not path:
        raise DefinitionError(f"{text!r} names no member; expected '{namespace}.<name>'.")
    name, tail = path[0], path[1:]
    if not isinstance(name, str) or not rest.startswith("."):
        raise DefinitionError(f"{text!r} must go on with a dot and a name: '{namespace}.<name>'.")
    if namespace == "Steps":
        return _step_reference(name, tail, text)
    if namespace == "IterationOutput":
        if not tail:
            raise DefinitionError(
                f"{text!r} must name a property of the body step: 'IterationOutput.{name}.<property>'."
            )
        return IterationReference(name, tail)
    if namespace == "ForEach":
        if name != "CurrentItem":
            raise DefinitionError(f"{text!r} refers to nothing: ForEach has only 'ForEach.CurrentItem'.")
        return ForEachReference(tail)
    if tail:
        raise DefinitionError(f"{text!r} goes too far: '{namespace}.{name}' is a plain value without members.")
    if namespace == "Parameters":
        return ParameterReference(name)
    known = EXECUTION_VARIABLES if namespace == "Execution" else EXPERIMENT_FIELDS
    if name not in known:
        raise DefinitionError(f"{namespace!r} has no {name!r}; it has {list_names(known)}.{suggest(name, known)}")
    return ExecutionReference(name) if namespace == "Execution" else ExperimentReference(name)


def parse_property_path(text: str) -> StepReference:
    """The step property that ``Steps.<step>.<path>`` names, as authors write it for outputs.

    :raises DefinitionError: when the text does not name a property of a step.
    """
    reference = parse_reference(text)
    if isinstance(reference, PropertyFileReference):
        return StepReference(reference.step, ("PropertyFiles", reference.property_file))
    if not isinstance(reference, StepReference):
        raise DefinitionError(f"{text!r} is not a step property; expected 'Steps.<step>.<property>'.")
    return reference


def iter_expressions(value: JsonValue) -> Iterator[tuple[JsonPath, Expression]]:
    """Every expression in a JSON value with its path from there, outer before inner.

    A Join is followed by the expressions among its values, a JsonGet by the one it reads from.

    :raises DefinitionError: at an object that looks like an expression and is none.
    """
    for path, item in iter_candidates(value):
        expression = parse_expression(item)
        if expression is not None:
            yield path, expression


def is_candidate(value: JsonObject) -> bool:
    """Whether an object is or wants to be an expression: what :func:`parse_expression` gives or refuses."""
    return len(value) == 1 and (next(iter(value)) == "Get" or next(iter(value)).startswith("Std:"))


def is_expression(value: JsonValue) -> bool:
    """Whether a value of a valid definition is worked out when the step runs."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("Get", *FUNCTIONS)


def iter_candidates(value: JsonValue) -> Iterator[tuple[JsonPath, JsonObject]]:
    """Every object that is or wants to be an expression, with its path: what :func:`parse_expression` may refuse."""
    stack: list[tuple[JsonPath, JsonValue]] = [((), value)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, dict):
            if is_candidate(item):
                yield path, item
            stack.extend([((*path, key), inner) for key, inner in item.items()][::-1])
        elif isinstance(item, list):
            stack.extend([((*path, index), inner) for index, inner in enumerate(item)][::-1])


def _parse_join(body: JsonValue) -> Join:
    if not isinstance(body, dict):
        raise DefinitionError(f"'Std:Join' takes an object with 'On' and 'Values', found {describe_kind(body)}.")
    values = body.get("Values")
    if not isinstance(values, list):
        raise DefinitionError(f"'Std:Join' needs 'Values', an array, found {describe_kind(values)}.")
    on = body.get("On")
    if on is not None and not isinstance(on, str):
        raise DefinitionError(f"'On' of 'Std:Join' is the text between the values, found {describe_kind(on)}.")
    return Join(on or "", tuple(values))


def _parse_json_get(body: JsonValue) -> JsonGet:
    if not isinstance(body, dict):
        raise DefinitionError(f"'Std:JsonGet' takes an object, found {describe_kind(body)}.")
    path = body.get("Path")
    if not isinstance(path, str):
        raise DefinitionError(
            f"'Std:JsonGet' needs 'Path', a string such as 'metrics.rmse.value', found {describe_kind(path)}."
        )
    if ("PropertyFile" in body) == ("S3Uri" in body):
        raise DefinitionError("'Std:JsonGet' needs exactly one of 'PropertyFile' and 'S3Uri'.")
    if "S3Uri" in body:
        return JsonGet(body["S3Uri"], path)
    source = body["PropertyFile"]
    file = parse_expression(source)
    if not isinstance(file, PropertyFileReference):
        raise DefinitionError(
            "'PropertyFile' of 'Std:JsonGet' must be {'Get': 'Steps.<step>.PropertyFiles.<name>'}, found "
            f"{describe_kind(source) if file is None else repr(str(file))}."
        )
    return JsonGet(file, path)


def _step_reference(step: str, tail: tuple[str | int, ...], text: str) -> StepReference | PropertyFileReference:
    if not tail:
        raise DefinitionError(f"{text!r} must name a property of the step: 'Steps.{step}.<property>'.")
    if tail[0] != "PropertyFiles":
        return StepReference(step, tail)
    if len(tail) != 2 or not isinstance(tail[1], str):
        raise DefinitionError(f"{text!r} must name one property file: 'Steps.{step}.PropertyFiles.<name>'.")
    return PropertyFileReference(step, tail[1])


def _parse_tail(rest: str, text: str) -> tuple[str | int, ...]:
    path: list[str | int] = []
    position = 0
    while position < len(rest):
        match = _TAIL.match(rest, position)
        if match is None:
            raise DefinitionError(
                f"{text!r} cannot be read from {rest[position:]!r} on: a path goes on with .name, [0] or ['key']."
            )
        index = match.group("index")
        path.append(int(index) if index is not None else str(match.group(match.lastgroup or 0)))
        position = match.end()
    return tuple(path)


def _format_tail(path: tuple[str | int, ...]) -> str:
    parts = []
    for part in path:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        else:
            parts.append(f".{part}" if _NAME.fullmatch(part) else f"['{part}']")
    return "".join(parts)
