"""A pipeline's parameters as params of the DAG: the trigger form asks for them, and refuses what the pipeline refuses.

Used while a DAG file is parsed, so it is cheap: it reads one JSON file, and makes no call.
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
    """One Airflow ``Param`` for each parameter of a pipeline definition.

    A parameter without a default is required in the trigger form; a DAG with such a Param needs ``schedule=None``.

    :param definition: path of the definition's JSON file, relative to the file that calls this, or the definition
        itself.
    :param only: only these parameters, in this order; all where not given.
    :param section: heading in the trigger form; a dict gives each parameter its own, by name.
    :param details: more about parameters, by name, as ``{"Depth": {"minimum": 1, "maximum": 10}}``: any keyword of JSON
        Schema, and ``title``, ``description``, ``examples``. The form and the API refuse values that do not fit.
    :return: by parameter name, ready for ``DAG(params=...)``.
    :raises DefinitionError: if the definition cannot be read, or has no parameter that ``only`` names.
    """
    from airflow_sm_pipelines.definition import parse_definition
    from airflow_sm_pipelines.exceptions import DefinitionError

    if isinstance(definition, Mapping):
        parsed = parse_definition(definition)
    else:
        path = Path(definition)
        if not path.is_absolute():
            # The caller's frame is the DAG file's; while it is parsed, Airflow gives no other way to know the file.
            path = Path(sys._getframe(1).f_code.co_filename).parent / path
        try:
            parsed = parse_definition(path.read_text(encoding="utf-8"), name=str(path))
        except OSError as error:
            raise DefinitionError(f"The definition file {path} cannot be read: {error.strerror or error}.") from error
    parameters = {parameter.name: parameter for parameter in parsed.parameters}
    names = list(parameters) if only is None else list(only)
    sections = section if isinstance(section, Mapping) else {}
    asked = dict.fromkeys([*names, *sections, *(details or {})])
    unknown = [name for name in asked if name not in parameters]
    if unknown:
        raise DefinitionError(f"The pipeline has no parameter {unknown}; it has {', '.join(parameters) or 'none'}.")
    heading = None if isinstance(section, Mapping) else section
    return {
        name: _param(parameters[name], sections.get(name, heading), (details or {}).get(name, {})) for name in names
    }


def _param(parameter: Parameter, section: str | None, details: Mapping[str, Any]) -> Param:
    from airflow_sm_pipelines.definition import MISSING
    from airflow_sm_pipelines.definition.parameters import MAX_VALUE_LENGTH, SCHEMA_TYPES

    kind = SCHEMA_TYPES.get(parameter.type, "string")
    schema: dict[str, Any] = {"type": kind, "title": parameter.name}
    if kind == "string":
        schema["maxLength"] = MAX_VALUE_LENGTH
    if parameter.default == "":
        # An empty field of the trigger form arrives as null.
        schema["type"] = [kind, "null"]
    if parameter.enum_values:
        schema["enum"] = list(parameter.enum_values)
    if section:
        schema["section"] = section
    is_required = parameter.default is MISSING
    schema["description"] = f"{parameter.type}, {_render_default(parameter.default)}{_render_bounds(details)}."
    schema.update(details)
    return Param(**schema) if is_required else Param(parameter.default, **schema)


def _render_default(default: Any) -> str:
    from airflow_sm_pipelines.definition import MISSING

    if default is MISSING:
        return "required"
    if default == "":
        return "empty by default"
    return f"default {str(default).lower() if isinstance(default, bool) else default}"


def _render_bounds(details: Mapping[str, Any]) -> str:
    # The number field keeps to them, but does not show them.
    low, high = details.get("minimum"), details.get("maximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f", {low} or more"
    return "" if high is None else f", {high} or less"
