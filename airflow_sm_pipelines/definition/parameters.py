"""Pipeline parameters: their declarations, reading these from JSON, and the values of an execution.

SageMaker takes values as strings. They are typed here first, so that a wrong one is refused before any call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from airflow_sm_pipelines.definition.json_value import (
    MISSING,
    JsonObject,
    JsonPath,
    JsonValue,
    Missing,
    copy_json,
    describe_kind,
    format_path,
    is_same_json,
)
from airflow_sm_pipelines.definition.origin import Member, Origin, write_object
from airflow_sm_pipelines.definition.problems import ProblemCollector, list_names, suggest
from airflow_sm_pipelines.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition.object_reader import ObjectReader
    from airflow_sm_pipelines.definition.pipeline import PipelineDefinition

PARAMETER_TYPES = ("String", "Integer", "Float", "Boolean")
"""The types a pipeline parameter may have."""

SCHEMA_TYPES = {"String": "string", "Integer": "integer", "Float": "number", "Boolean": "boolean"}
"""The JSON Schema name of each type, which Airflow params use."""

MAX_VALUE_LENGTH = 1024
"""The most characters of a value, as text; source: the API's ``PipelineParameter`` shape."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter that a pipeline declares.

    :param type: one of :data:`PARAMETER_TYPES`; ``String`` if the definition names no type.
    :param default: the value for executions that give none; ``MISSING`` if each execution must give one.
    :param enum_values: the allowed values; empty if any value is.
    :param extra: the declaration's other members.
    :param origin: the object it was read from; set by the reader.
    """

    name: str
    type: str = "String"
    default: JsonValue | Literal[Missing.MISSING] = MISSING
    enum_values: tuple[JsonValue, ...] = ()
    extra: JsonObject = field(default_factory=dict)
    origin: Origin | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> JsonObject:
        """The declaration as JSON; members that were not replaced are written as they were read."""
        default = self.default
        members: tuple[Member, ...] = (
            Member("Name", self.name, False, lambda: self.name),
            Member("Type", self.type, False, lambda: self.type),
            Member(
                "DefaultValue",
                default,
                default is MISSING,
                lambda: None if isinstance(default, Missing) else copy_json(default),
            ),
            Member(
                "EnumValues",
                self.enum_values,
                not self.enum_values,
                lambda: [copy_json(value) for value in self.enum_values],
            ),
        )
        if self.origin is not None and "Type" not in self.origin.raw and self.type == "String":
            members = (members[0], *members[2:])
        return write_object(self.origin, members, self.extra)


def fits_type(type_name: str, value: JsonValue) -> bool:
    """Whether a definition may hold ``value`` for a parameter of that type: 5 and 5.0 are integers, true is not."""
    if type_name == "String":
        return isinstance(value, str)
    if type_name == "Boolean":
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return type_name == "Float" or isinstance(value, int) or value.is_integer()


def read_parameters(fields: ObjectReader, problems: ProblemCollector) -> tuple[Parameter, ...]:
    """Read the parameters that a document declares; of two with one name, the first."""
    first: dict[str, JsonPath] = {}

    def read(item: ObjectReader) -> Parameter | None:
        parameter = _read_parameter(item, problems)
        if parameter is not None and parameter.name in first:
            problems.add(
                (*item.path, "Name"),
                f"the parameter {parameter.name!r} is declared already, at {format_path(first[parameter.name])}. "
                "Rename or remove one of them.",
            )
            return None
        if parameter is not None:
            first[parameter.name] = item.path
        return parameter

    return fields.items("Parameters", read)


def _read_parameter(fields: ObjectReader, problems: ProblemCollector) -> Parameter | None:
    name = fields.required_text("Name", "a parameter")
    given_type = fields.text("Type", default="String") or "String"
    type_name = fields.keep("Type", given_type)
    if type_name not in PARAMETER_TYPES:
        problems.add(
            (*fields.path, "Type"),
            f"{type_name!r} is not a parameter type; those are {list_names(PARAMETER_TYPES)}."
            f"{suggest(type_name, PARAMETER_TYPES)}",
        )
        type_name = ""
    default = fields.raw.get("DefaultValue", MISSING)
    values = tuple(fields.array("EnumValues") or [])
    if type_name:
        _check_values(fields, name, type_name, default, values, problems)
    if name is None:
        return None
    return Parameter(
        name=fields.keep("Name", name),
        type=given_type,
        default=fields.keep("DefaultValue", default),
        enum_values=fields.keep("EnumValues", values),
        extra=fields.extra,
        origin=fields.origin(),
    )


def _check_values(
    fields: ObjectReader,
    name: str | None,
    type_name: str,
    default: JsonValue | Missing,
    values: tuple[JsonValue, ...],
    problems: ProblemCollector,
) -> None:
    called = f"parameter {name!r}" if name else "the parameter"
    for index, value in enumerate(values):
        if not fits_type(type_name, value):
            problems.add(
                (*fields.path, "EnumValues", index),
                f"{called} is of type {type_name}, but this value is {describe_kind(value)}.",
            )
    if isinstance(default, Missing) or default is None:
        return
    place = (*fields.path, "DefaultValue")
    if not fits_type(type_name, default):
        problems.add(
            place,
            f"{called} is of type {type_name}, but its default is {describe_kind(default)}. Change one of them.",
        )
    elif values and not any(is_same_json(default, value) for value in values):
        allowed = [str(value) for value in values]
        problems.add(
            place,
            f"the default of {called} is {describe_kind(default)}, which is not one of its EnumValues "
            f"({list_names(allowed)}).{suggest(str(default), allowed)}",
        )


def resolve_parameters(
    definition: PipelineDefinition, given: Mapping[str, JsonValue]
) -> dict[str, str | int | float | bool]:
    """Give every parameter its value for an execution: the given one, typed, or else the default.

    :param given: values by parameter name, typed or as text (``"5"`` for an Integer, ``"true"`` for a Boolean).
    :return: a value of the declared type for each declared parameter, in the order of the definition.
    :raises ParameterError: names every unknown parameter, wrong value and missing value at once.
    """
    values, findings = _resolve(definition, given)
    for parameter in definition.parameters:
        if parameter.name in values or parameter.name in given:
            continue
        if isinstance(parameter.default, Missing) or parameter.default is None:
            findings.append(f"{parameter.name!r} ({parameter.type}) has no default, so each execution must give it.")
        else:
            values[parameter.name] = _typed(parameter.type, parameter.default)
    _raise(findings)
    return {parameter.name: values[parameter.name] for parameter in definition.parameters}


def encode_parameters(definition: PipelineDefinition, given: Mapping[str, JsonValue]) -> list[dict[str, str]]:
    """Write the given values as ``StartPipelineExecution`` takes them; parameters that keep their default are left out.

    The service takes no empty value, though a default may be empty: an empty value that is the default is left out.

    :return: ``[{"Name": ..., "Value": ...}]`` in the order of the definition.
    :raises ParameterError: as :func:`resolve_parameters` does, also for a missing value.
    """
    values = resolve_parameters(definition, given)
    taken = [one for one in definition.parameters if one.name in given and not values[one.name] == one.default == ""]
    _raise([f"{one.name!r} is empty, which SageMaker does not take." for one in taken if values[one.name] == ""])
    return [{"Name": one.name, "Value": str(values[one.name])} for one in taken]


def _resolve(
    definition: PipelineDefinition, given: Mapping[str, JsonValue]
) -> tuple[dict[str, str | int | float | bool], list[str]]:
    declared = {parameter.name: parameter for parameter in definition.parameters}
    values: dict[str, str | int | float | bool] = {}
    findings: list[str] = []
    for name, value in given.items():
        parameter = declared.get(name)
        if parameter is None:
            hint = suggest(str(name), declared) or f" It has {list_names(declared)}."
            findings.append(f"the pipeline has no parameter {name!r}.{hint}")
            continue
        try:
            typed = _convert(parameter, value)
        except ValueError as error:
            findings.append(f"{name!r} {error}")
            continue
        values[name] = typed
    return values, findings


def _convert(parameter: Parameter, value: JsonValue) -> str | int | float | bool:
    if value is None:
        raise ValueError("is null; leave it out to take the default.")
    typed = _from_text(parameter.type, value) if isinstance(value, str) else _from_value(parameter.type, value)
    if typed is None:
        wanted = {
            "String": "text",
            "Integer": "a whole number",
            "Float": "a number",
            "Boolean": "true or false",
        }.get(parameter.type, parameter.type)
        raise ValueError(f"is of type {parameter.type}: expected {wanted}, found {describe_kind(value)}.")
    if parameter.enum_values and typed not in parameter.enum_values:
        allowed = [str(item) for item in parameter.enum_values]
        raise ValueError(
            f"is {typed!r}, which is not one of its values: {list_names(allowed)}.{suggest(str(typed), allowed)}"
        )
    if len(str(typed)) > MAX_VALUE_LENGTH:
        raise ValueError(
            f"has {len(str(typed))} characters; SageMaker takes {MAX_VALUE_LENGTH}. "
            "Put it in a file on S3 and pass the URI."
        )
    return typed


def _from_text(type_name: str, text: str) -> str | int | float | bool | None:
    if type_name == "String":
        return text
    stripped = text.strip()
    if type_name == "Boolean":
        return {"true": True, "false": False}.get(stripped.lower())
    if "_" in stripped:  # Python reads 1_000 as a number, SageMaker does not
        return None
    try:
        return int(stripped) if type_name == "Integer" else _finite(float(stripped))
    except ValueError:
        return None


def _from_value(type_name: str, value: JsonValue) -> str | int | float | bool | None:
    if type_name == "String":
        # A DAG that renders templates as native objects turns "5" into 5; the text is the same.
        return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    if not fits_type(type_name, value):
        return None
    typed = _typed(type_name, value)
    return _finite(typed) if isinstance(typed, float) else typed


def _finite(number: float) -> float | None:
    return number if number - number == 0 else None


def _typed(type_name: str, value: JsonValue) -> str | int | float | bool:
    if type_name == "Integer" and isinstance(value, float):
        return int(value)
    if type_name == "Float" and isinstance(value, int):
        return float(value)
    return cast("str | int | float | bool", value)


def _raise(findings: list[str]) -> None:
    if len(findings) == 1:
        raise ParameterError(f"Pipeline parameter: {findings[0]}")
    if findings:
        raise ParameterError(
            "\n".join([f"{len(findings)} pipeline parameters are wrong:", *(f"  {f}" for f in findings)])
        )
