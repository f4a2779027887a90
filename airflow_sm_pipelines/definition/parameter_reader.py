"""Reading the parameters that a definition declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.json_value import (
    MISSING,
    JsonPath,
    JsonValue,
    Missing,
    describe_kind,
    format_path,
    is_same_json,
)
from airflow_sm_pipelines.definition.parameters import PARAMETER_TYPES, Parameter, fits_type
from airflow_sm_pipelines.definition.problems import ProblemCollector, list_names, suggest

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition.object_reader import ObjectReader


def read_parameters(fields: ObjectReader, problems: ProblemCollector) -> tuple[Parameter, ...]:
    """The parameters that a document declares; the first of two with one name."""
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
