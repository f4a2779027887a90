"""The expressions of a definition: ``Get``, ``Std:Join`` and ``Std:JsonGet``, parsed into typed references.

This module reads what an expression says. Whether the step or parameter exists is checked in :mod:`checks`; the engine
works out the value. Source: the SDKs' ``workflow`` modules and the developer guide's "Step properties".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from airflow_sm_pipelines.definition.json_value import JsonObject, JsonPath, JsonValue, describe_kind
from airflow_sm_pipelines.definition.problems import list_names, suggest
from airflow_sm_pipelines.definition.property_path import PropertyPath, format_tail, parse_tail
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
"""The words a ``Get`` may begin with."""

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
    path: PropertyPath

    def __str__(self) -> str:
        return f"Steps.{self.step}{format_tail(self.path)}"


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
    """The current item of a ForEach step, or a value inside it; only in the step's body.

    :param path: the path that follows ``ForEach.CurrentItem``; empty for the whole item.
    """

    path: PropertyPath

    def __str__(self) -> str:
        return f"ForEach.CurrentItem{format_tail(self.path)}"


@dataclass(frozen=True, slots=True)
class IterationReference:
    """A body step's property in each iteration: ``IterationOutput.<body step>.<path>``; only in ``Selector.Field``."""

    body_step: str
    path: PropertyPath

    def __str__(self) -> str:
        return f"IterationOutput.{self.body_step}{format_tail(self.path)}"


@dataclass(frozen=True, slots=True)
class Join:
    """``Std:Join``: the values as text, with ``on`` between them. A value may be an expression too."""

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
"""A value that is worked out when the step runs."""

_NAMESPACE = re.compile(r"[^.\[\]]+")


def parse_expression(value: JsonValue) -> Expression | None:
    """Parse a JSON value as an expression; ``None`` for a literal.

    An expression is an object whose only key is ``Get``, ``Std:Join`` or ``Std:JsonGet``. The values inside a Join or
    a JsonGet stay JSON: parse them in turn.

    :raises DefinitionError: if an object has such a key, but SageMaker knows no such expression.
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
    """Parse the text of a ``Get``.

    :raises DefinitionError: if the text is not of a known form.
    """
    namespace, name, tail = _split_reference(text)
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


def _split_reference(text: str) -> tuple[str, str, PropertyPath]:
    """Split ``Steps.Train.A[0]`` into ``("Steps", "Train", ("A", 0))``."""
    match = _NAMESPACE.match(text)
    namespace = match.group() if match else ""
    rest = text[len(namespace) :]
    if namespace not in NAMESPACES:
        raise DefinitionError(
            f"{text!r} refers to nothing SageMaker knows: a reference begins with one of {list_names(NAMESPACES)}."
            f"{suggest(namespace, NAMESPACES)}"
        )
    path = parse_tail(rest, whole=text)
    if not path:
        raise DefinitionError(f"{text!r} names no member; expected '{namespace}.<name>'.")
    name = path[0]
    if not isinstance(name, str) or not rest.startswith("."):
        raise DefinitionError(f"{text!r} must go on with a dot and a name: '{namespace}.<name>'.")
    return namespace, name, path[1:]


def parse_property_path(text: str) -> StepReference:
    """Parse ``Steps.<step>.<path>``, as authors write it for outputs.

    :raises DefinitionError: if the text does not name a property of a step.
    """
    reference = parse_reference(text)
    if isinstance(reference, PropertyFileReference):
        return StepReference(reference.step, ("PropertyFiles", reference.property_file))
    if not isinstance(reference, StepReference):
        raise DefinitionError(f"{text!r} is not a step property; expected 'Steps.<step>.<property>'.")
    return reference


def iter_expressions(value: JsonValue) -> Iterator[tuple[JsonPath, Expression]]:
    """Find every expression in a JSON value, with its path in the value, outer before inner.

    A Join is followed by the expressions among its values, a JsonGet by the expression it reads from.

    :raises DefinitionError: at the first malformed expression.
    """
    for path, item in iter_candidates(value):
        expression = parse_expression(item)
        if expression is not None:
            yield path, expression


def is_candidate(value: JsonObject) -> bool:
    """Whether an object has the form of an expression, well-formed or not."""
    return len(value) == 1 and (next(iter(value)) == "Get" or next(iter(value)).startswith("Std:"))


def iter_candidates(value: JsonValue) -> Iterator[tuple[JsonPath, JsonObject]]:
    """Find every object that has the form of an expression, with its path; :func:`parse_expression` may refuse it."""
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


def _step_reference(step: str, tail: PropertyPath, text: str) -> StepReference | PropertyFileReference:
    if not tail:
        raise DefinitionError(f"{text!r} must name a property of the step: 'Steps.{step}.<property>'.")
    if tail[0] != "PropertyFiles":
        return StepReference(step, tail)
    if len(tail) != 2 or not isinstance(tail[1], str):
        raise DefinitionError(f"{text!r} must name one property file: 'Steps.{step}.PropertyFiles.<name>'.")
    return PropertyFileReference(step, tail[1])
