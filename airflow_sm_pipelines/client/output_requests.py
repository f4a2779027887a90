"""What an author may ask for as outputs of an execution, checked before anything runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_sm_pipelines.definition.expressions import parse_property_path
from airflow_sm_pipelines.exceptions import DefinitionError

RESERVED_NAMES = frozenset(
    {
        "return_value",
        "pipeline_execution_arn",
        "pipeline_name",
        "pipeline_version_id",
        "status",
        "failure_reason",
        "steps",
        "step_outputs",
    }
)
"""XCom keys the run operator pushes itself."""


@dataclass(frozen=True, slots=True)
class OutputRequest:
    """One output an author asks for.

    :param name: the XCom key.
    :param step: the step that yields it.
    :param path: a property path in the step's job, or the JSON path in the property file.
    :param property_file: the property file's name; None for a property of the job.
    :param is_required: whether its absence fails the task instead of giving None.
    """

    name: str
    step: str
    path: tuple[str | int, ...]
    property_file: str | None = None
    is_required: bool = False


def parse_output_requests(outputs: Mapping[str, Any]) -> tuple[OutputRequest, ...]:
    """The outputs an author asks for, in either form, all findings at once.

    :param outputs: by XCom key, ``"Steps.Train.ModelArtifacts.S3ModelArtifacts"``, or ``{"property": "Steps.…"}``, or
        ``{"property_file": "Steps.Evaluate.PropertyFiles.Metrics", "path": "regression.rmse.value"}``; the dict forms
        take ``"required": True``.
    :raises DefinitionError: naming every output that is none of these, and every key the operator uses itself.
    """
    found: list[OutputRequest] = []
    problems: list[str] = []
    for name, value in outputs.items():
        if name in RESERVED_NAMES:
            problems.append(f"Output '{name}' takes a name the operator uses itself; choose another.")
            continue
        try:
            found.append(_parse_output_request(name, value))
        except DefinitionError as error:
            problems.append(f"Output '{name}': {error}")
    if problems:
        raise DefinitionError("\n".join(problems))
    return tuple(found)


def _parse_output_request(name: str, value: Any) -> OutputRequest:
    if isinstance(value, str):
        value = {"property": value}
    if not isinstance(value, Mapping):
        raise DefinitionError(
            f"expected a property path such as 'Steps.Train.TrainingJobName', or a dict, found {value!r}."
        )
    unknown = set(value) - {"property", "property_file", "path", "required"}
    if unknown or ("property" in value) == ("property_file" in value):
        raise DefinitionError(
            "expected 'property', or 'property_file' with 'path'; 'required' may stand beside them; "
            f"found {', '.join(map(repr, value)) or 'nothing'}."
        )
    required = bool(value.get("required", False))
    reference = parse_property_path(str(value.get("property", value.get("property_file"))))
    is_file = reference.path[0] == "PropertyFiles"
    if "property" in value:
        if is_file:
            raise DefinitionError(
                "that is a property file: give it as 'property_file', with the 'path' of the value in it."
            )
        return OutputRequest(name, reference.step, reference.path, is_required=required)
    if not is_file:
        raise DefinitionError(f"'{reference}' is not a property file: expected 'Steps.<step>.PropertyFiles.<name>'.")
    path = str(value.get("path", ""))
    steps = parse_property_path(f"Steps.File{'' if path.startswith('[') else '.'}{path}").path if path else ()
    return OutputRequest(name, reference.step, steps, property_file=str(reference.path[1]), is_required=required)
