"""What stood-in parts of a pipeline give: values that let its conditions go where the rehearsal wants. Pure.

Every expression of the definition is looked at once. A value that a condition compares is chosen so that the condition
holds, or does not; any other is a sample by the name of the member it is used for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import (
    Comparison,
    ConditionStep,
    ForEachStep,
    InCondition,
    Join,
    JsonGet,
    NotCondition,
    OrCondition,
    ParameterReference,
    PropertyFileReference,
    StepReference,
    iter_expressions,
    parse_expression,
)
from airflow_sm_pipelines.definition.property_path import parse_document_path, walk_path
from airflow_sm_pipelines.definition.step_places import iter_step_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_sm_pipelines.definition import Condition, JsonObject, JsonPath, JsonValue, PipelineDefinition, Step

#: Below it are the S3 addresses that a rehearsal makes up.
SAMPLE_BUCKET = "sm-pipelines-rehearsal"
_SAMPLE_NUMBER = 0.5


@dataclass(frozen=True, slots=True)
class SampleValues:
    """What each step gives if a stand-in performs it.

    :ivar property_files: documents by step and property file name.
    :ivar documents: by step, pairs of the expression of an S3 address that depends on the step, and its document.
    :ivar properties: by step, the properties that others refer to, as a document.
    """

    property_files: dict[tuple[str, str], JsonValue] = field(default_factory=dict)
    documents: dict[str, list[tuple[JsonValue, JsonValue]]] = field(default_factory=dict)
    properties: dict[str, JsonObject] = field(default_factory=dict)


def choose_values(
    definition: PipelineDefinition, parameters: Mapping[str, JsonValue], *, takes_else: Callable[[str], bool]
) -> SampleValues:
    """Choose all values.

    :param parameters: the execution's, typed, with defaults.
    :param takes_else: whether the Condition step of this name is to take its Else branch.
    """
    chosen: dict[str, JsonValue] = {}
    for _, step in iter_step_places(definition):
        if isinstance(step, ConditionStep):
            _choose_branch(step.conditions, not takes_else(step.name), parameters, chosen)
    values = SampleValues()
    for _, step in iter_step_places(definition):
        for usage, value in _iter_operands(step):
            for path, _ in iter_expressions(value):
                _add(values, walk_path(value, path), _usage_of(value, path) or usage, chosen)
    return values


def sample_value(usage: str) -> JsonValue:
    """A value for a member of this name, such as ``S3Uri`` or ``Image``."""
    name = usage.lower()
    if name.endswith(("arn", "arns")):
        return "arn:aws:sagemaker:us-east-1:123456789012:rehearsal/sample"
    if "accept" in name or "contenttype" in name or "content_type" in name:
        return "text/csv"
    if any(part in name for part in ("image", "container")):
        return "123456789012.dkr.ecr.us-east-1.amazonaws.com/rehearsal:latest"
    if "modeldata" in name or "modelartifact" in name or "modelurl" in name:
        return f"s3://{SAMPLE_BUCKET}/{usage}/model.tar.gz"
    if name.endswith(("statistics", "constraints")):
        file = "statistics" if name.endswith("statistics") else "constraints"
        return f"s3://{SAMPLE_BUCKET}/{usage}/{file}.json"
    if "directory" in name or "sourcedir" in name:
        return f"s3://{SAMPLE_BUCKET}/{usage}/sourcedir.tar.gz"
    if any(part in name for part in ("s3", "uri", "url", "path", "location")):
        return f"s3://{SAMPLE_BUCKET}/{usage}"
    if any(part in name for part in ("name", "group", "status", "id", "message", "type")):
        return "rehearsal"
    return _SAMPLE_NUMBER


def _iter_operands(step: Step) -> Iterator[tuple[str, JsonValue]]:
    yield "", step.arguments
    yield "", step.attributes
    if isinstance(step, ConditionStep):
        for condition in step.conditions:
            for _, operand in condition.iter_operands():
                yield "", operand
    if isinstance(step, ForEachStep) and not isinstance(step.items, list):
        yield "", step.items


def _usage_of(value: JsonValue, path: JsonPath) -> str:
    """The member that an expression is the value of, looking through Joins and JsonGets."""
    names = [part for part in path if isinstance(part, str) and part not in ("Std:Join", "Values", "Std:JsonGet")]
    return names[-1] if names else ""


def _add(values: SampleValues, written: JsonValue, usage: str, chosen: Mapping[str, JsonValue]) -> None:
    expression = parse_expression(written)
    if isinstance(expression, StepReference):
        name = next((part for part in reversed(expression.path) if isinstance(part, str)), "")
        known = sample_value(name)
        if "Environment" in expression.path and not isinstance(known, str):
            known = "rehearsal"
        # "OutputParameters['x']" says less of itself than where it is used.
        sample = known if known != _SAMPLE_NUMBER or not usage else sample_value(usage)
        document = values.properties.setdefault(expression.step, {})
        _put(document, expression.path, chosen.get(_key(written), sample))
    elif isinstance(expression, JsonGet):
        value = chosen.get(_key(written), sample_value(usage))
        path = parse_document_path(expression.path)
        if isinstance(expression.source, PropertyFileReference):
            key = (expression.source.step, expression.source.property_file)
            values.property_files[key] = _put(values.property_files.get(key), path, value)
            return
        step = next(
            (inner.step for _, inner in iter_expressions(expression.source) if isinstance(inner, StepReference)), None
        )
        if step is not None:
            entries = values.documents.setdefault(step, [])
            known_document = next((entry for entry in entries if _key(entry[0]) == _key(expression.source)), None)
            if known_document is not None:
                entries.remove(known_document)
            entries.append((expression.source, _put(known_document and known_document[1], path, value)))


def _put(document: JsonValue, path: tuple[str | int, ...], value: JsonValue) -> JsonValue:
    """The document with the value at the path; what is there already stays."""
    if not path:
        return value if document is None else document
    head, rest = path[0], path[1:]
    if isinstance(head, int):
        items = document if isinstance(document, list) else []
        items += [None] * (head + 1 - len(items))
        items[head] = _put(items[head], rest, value)
        return items
    members = document if isinstance(document, dict) else {}
    members[head] = _put(members.get(head), rest, value)
    return members


def _choose_branch(
    conditions: tuple[Condition, ...],
    wanted: bool,
    parameters: Mapping[str, JsonValue],
    chosen: dict[str, JsonValue],
) -> None:
    # All have to hold for the If branch; one that does not is enough for the Else branch, and so is each.
    for condition in conditions:
        _choose(condition, wanted, parameters, chosen)


def _choose(
    condition: Condition, wanted: bool, parameters: Mapping[str, JsonValue], chosen: dict[str, JsonValue]
) -> None:
    if isinstance(condition, NotCondition):
        _choose(condition.condition, not wanted, parameters, chosen)
    elif isinstance(condition, OrCondition):
        _choose_branch(condition.conditions, wanted, parameters, chosen)
    elif isinstance(condition, InCondition):
        members = [value for item in condition.values if (value := _known(item, parameters, chosen)) is not None]
        is_member = wanted != condition.is_negated
        if members and is_member:
            chosen.setdefault(_key(condition.query), members[0])
        elif members:
            chosen.setdefault(_key(condition.query), _other_than(members))
    elif isinstance(condition, Comparison):
        _choose_comparison(condition, wanted, parameters, chosen)


_OPPOSITES = {
    "Equals": "NotEquals",
    "NotEquals": "Equals",
    "GreaterThan": "LessThanOrEqualTo",
    "GreaterThanOrEqualTo": "LessThan",
    "LessThan": "GreaterThanOrEqualTo",
    "LessThanOrEqualTo": "GreaterThan",
}
_MIRRORED = {
    "GreaterThan": "LessThan",
    "GreaterThanOrEqualTo": "LessThanOrEqualTo",
    "LessThan": "GreaterThan",
    "LessThanOrEqualTo": "GreaterThanOrEqualTo",
}


def _choose_comparison(
    condition: Comparison, wanted: bool, parameters: Mapping[str, JsonValue], chosen: dict[str, JsonValue]
) -> None:
    kind = condition.type if wanted else _OPPOSITES[condition.type]
    left, right = condition.left, condition.right
    known_left, known_right = _known(left, parameters, chosen), _known(right, parameters, chosen)
    if known_left is None and known_right is None:
        known_right = chosen.setdefault(_key(right), _SAMPLE_NUMBER)
    if known_left is None and known_right is not None:
        chosen.setdefault(_key(left), _fitting(kind, known_right))
    elif known_right is None and known_left is not None:
        chosen.setdefault(_key(right), _fitting(_MIRRORED.get(kind, kind), known_left))


def _fitting(kind: str, limit: JsonValue) -> JsonValue:
    """A value for which ``value <kind> limit`` holds."""
    if kind == "NotEquals":
        return _other_than([limit])
    if isinstance(limit, bool) or not isinstance(limit, (int, float)):
        if isinstance(limit, str) and kind.startswith("Greater"):
            return limit + "z"
        return limit if not isinstance(limit, str) or kind != "LessThan" else ""
    if kind == "GreaterThan":
        return limit + 1
    return limit - 1 if kind == "LessThan" else limit


def _other_than(values: Sequence[JsonValue]) -> JsonValue:
    first = values[0]
    if isinstance(first, bool):
        return not first
    if isinstance(first, (int, float)):
        return max(value for value in values if isinstance(value, (int, float))) + 1
    return "-".join(str(value) for value in values) + "-other"


def _known(operand: JsonValue, parameters: Mapping[str, JsonValue], chosen: Mapping[str, JsonValue]) -> JsonValue:
    """The value of an operand that stands fast: a literal, a parameter, or one chosen before."""
    expression = parse_expression(operand)
    if expression is None:
        return operand
    if isinstance(expression, ParameterReference):
        return parameters.get(expression.name)
    if isinstance(expression, Join) and len(expression.values) == 1:
        return _known(expression.values[0], parameters, chosen)
    return chosen.get(_key(operand))


def _key(operand: JsonValue) -> str:
    return json.dumps(operand, sort_keys=True)
