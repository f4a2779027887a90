"""Makes a DAG's params from a pipeline's parameters, so that the trigger form asks for them and checks them.

It reads one JSON file and makes no call, so it may run at every parse of a DAG file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import Parameter


def pipeline_params(
    definition: str | Path | Mapping[str, Any],
    *,
    only: Iterable[str] | None = None,
    section: str | Mapping[str, str] | None = None,
    details: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Param]:
    """Make an Airflow ``Param`` for each parameter of a pipeline definition.

    A parameter without a default is required in the trigger form; a DAG with such a Param needs ``schedule=None``.

    :param definition: the path of a file that holds one definition, as the deploy operator takes it, relative to the
        file that calls this; or the definition itself.
    :param only: the names of the wanted parameters, in this order; by default all.
    :param section: a heading in the trigger form for all parameters, or a dict with a heading for each by name.
    :param details: more for the form by parameter name, such as ``{"Depth": {"minimum": 1, "maximum": 10}}``: any
        keyword of JSON Schema, and ``title``, ``description``, ``examples``. Form and API then refuse other values.
    :return: Params by name, ready for ``DAG(params=...)``.
    :raises DefinitionError: the definition cannot be read, or has no parameter of a name in ``only``, ``section`` or
        ``details``.
    """
    from airflow_sm_pipelines.definition import parse_definition
    from airflow_sm_pipelines.documents import choose_definition, parse_held, read_document
    from airflow_sm_pipelines.exceptions import DefinitionError

    if isinstance(definition, Mapping):
        parsed = parse_definition(definition)
    else:
        path = Path(definition)
        if not path.is_absolute():
            # The frame of the DAG file. Airflow has no other way to know the file while it is parsed.
            path = Path(sys._getframe(1).f_code.co_filename).parent / path
        try:
            held = read_document(path.read_bytes(), name=str(path))
        except OSError as error:
            raise DefinitionError(f"The definition file {path} cannot be read: {error.strerror or error}.") from error
        parsed, _ = parse_held(choose_definition(held, wanted=None, name=str(path)), name=str(path))
    parameters = {parameter.name: parameter for parameter in parsed.parameters}
    names = list(parameters) if only is None else list(only)
    sections = section if isinstance(section, Mapping) else {}
    asked = dict.fromkeys([*names, *sections, *(details or {})])
    unknown = [name for name in asked if name not in parameters]
    if unknown:
        raise DefinitionError(f"The pipeline has no parameter {unknown}; it has {', '.join(parameters) or 'none'}.")
    heading = None if isinstance(section, Mapping) else section
    return {
        name: _make_param(parameters[name], sections.get(name, heading), (details or {}).get(name, {}))
        for name in names
    }


def _make_param(parameter: Parameter, section: str | None, details: Mapping[str, Any]) -> Param:
    from airflow_sm_pipelines.definition import MISSING
    from airflow_sm_pipelines.definition.parameters import MAX_VALUE_LENGTH, SCHEMA_TYPES

    kind = SCHEMA_TYPES.get(parameter.type, "string")
    schema: dict[str, Any] = {"type": kind, "title": parameter.name}
    if kind == "string":
        schema["maxLength"] = MAX_VALUE_LENGTH
    if parameter.default == "":
        # An empty field of the trigger form comes as null.
        schema["type"] = [kind, "null"]
    if parameter.enum_values:
        schema["enum"] = list(parameter.enum_values)
    if section:
        schema["section"] = section
    is_required = parameter.default is MISSING
    schema["description"] = f"{parameter.type}, {_format_default(parameter.default)}{_format_bounds(details)}."
    schema.update(details)
    return Param(**schema) if is_required else Param(parameter.default, **schema)


def _format_default(default: Any) -> str:
    from airflow_sm_pipelines.definition import MISSING

    if default is MISSING:
        return "required"
    if default == "":
        return "empty by default"
    return f"default {str(default).lower() if isinstance(default, bool) else default}"


def _format_bounds(details: Mapping[str, Any]) -> str:
    # The form's number field keeps to the bounds, but does not show them.
    low, high = details.get("minimum"), details.get("maximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f", {low} or more"
    return "" if high is None else f", {high} or less"
