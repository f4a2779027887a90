"""Outputs of an execution, read from the steps, their jobs and property files.

:func:`parse_output_requests` checks what an author asks for before anything runs; :class:`OutputReader` makes the calls
when the execution has ended, each at most once per step. What steps yield unasked is in
:mod:`~airflow_sm_pipelines.client.step_outputs`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.step_outputs import default_outputs, named_values
from airflow_sm_pipelines.definition import PipelineDefinition, inspect_definition
from airflow_sm_pipelines.definition.arns import resource_name_of
from airflow_sm_pipelines.definition.expressions import parse_property_path
from airflow_sm_pipelines.definition.problems import list_names, suggest
from airflow_sm_pipelines.definition.property_path import (
    PropertyNotFoundError,
    PropertyPath,
    locate_property_file,
    parse_document_path,
    split_iteration,
    walk_path,
    walk_step_property,
)
from airflow_sm_pipelines.definition.status import ExecutionStatus
from airflow_sm_pipelines.definition.step_places import find_step_problem, iter_step_places
from airflow_sm_pipelines.definition.steps import name_iteration
from airflow_sm_pipelines.exceptions import DefinitionError, OutputError, PipelineApiError

if TYPE_CHECKING:
    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
    from airflow_sm_pipelines.definition import Step

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
"""XCom keys that the run operator pushes itself."""


@dataclass(frozen=True, slots=True)
class OutputRequest:
    """One output that an author asks for.

    :param name: the XCom key.
    :param step: the step that yields it.
    :param path: a property path in the step's job, or the JSON path in the property file.
    :param property_file: the property file's name; None for a property of the job.
    :param is_required: whether its absence fails the task instead of giving None; None where the author leaves it to
        the definition: see :meth:`OutputReader.read`.
    """

    name: str
    step: str
    path: PropertyPath
    property_file: str | None = None
    is_required: bool | None = None


def parse_output_requests(outputs: Mapping[str, Any]) -> tuple[OutputRequest, ...]:
    """The outputs that an author asks for, in either form.

    :param outputs: by XCom key, ``"Steps.Train.ModelArtifacts.S3ModelArtifacts"``, or ``{"property": "Steps.…"}``, or
        ``{"property_file": "Steps.Evaluate.PropertyFiles.Metrics", "path": "regression.rmse.value"}``; the dict forms
        take ``"required"``, True or False.
    :raises DefinitionError: naming every output that is none of these, and every name that the operator uses itself.
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


def parse_output_text(text: str) -> dict[str, Any]:
    """One of the run operator's ``outputs`` in a line, such as a command's argument.

    :param text: ``"Steps.Train.ModelArtifacts.S3ModelArtifacts"``, or ``"Steps.Train.PropertyFiles.Metrics#rmse"`` for
        a place in a property file.
    """
    reference, mark, path = text.partition("#")
    return {"property_file": reference, "path": path} if mark else {"property": reference}


def check_output_steps(requests: tuple[OutputRequest, ...], definition: PipelineDefinition) -> None:
    """Refuse outputs of steps, or of property files, that the pipeline does not have.

    :raises DefinitionError: naming each of them, with the nearest name.
    """
    problems = []
    for request in requests:
        problem = find_step_problem(definition, request.step)
        if problem is None and request.property_file is not None:
            steps = [step for _, step in iter_step_places(definition) if step.name == request.step]
            names = [file.name for step in steps for file in step.property_files]
            if steps and request.property_file not in names:
                hint = suggest(request.property_file, names) or f" It has {list_names(names)}."
                problem = f"Step '{request.step}' has no property file '{request.property_file}'.{hint}"
        if problem is not None:
            problems.append(f"Output '{request.name}': {problem}")
    if problems:
        raise DefinitionError("\n".join(problems))


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
    required = value.get("required")
    if required is not None and not isinstance(required, bool):
        raise DefinitionError(f"'required' must be True or False, found {required!r}.")
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
    path = parse_document_path(str(value.get("path", "")))
    return OutputRequest(name, reference.step, path, property_file=str(reference.path[1]), is_required=required)


# Metadata key -> (boto3 method, its argument, what of the ARN it takes). Source: PipelineExecutionStepMetadata,
# Describe* shapes.
_DESCRIBE: dict[str, tuple[str, str, Callable[[str], str]]] = {
    "ProcessingJob": ("describe_processing_job", "ProcessingJobName", resource_name_of),
    "TrainingJob": ("describe_training_job", "TrainingJobName", resource_name_of),
    "TransformJob": ("describe_transform_job", "TransformJobName", resource_name_of),
    "TuningJob": (
        "describe_hyper_parameter_tuning_job",
        "HyperParameterTuningJobName",
        resource_name_of,
    ),
    "AutoMLJob": ("describe_auto_ml_job", "AutoMLJobName", resource_name_of),
    "Model": ("describe_model", "ModelName", resource_name_of),
    "RegisterModel": ("describe_model_package", "ModelPackageName", lambda arn: arn),
    "Endpoint": ("describe_endpoint", "EndpointName", resource_name_of),
    "EndpointConfig": ("describe_endpoint_config", "EndpointConfigName", resource_name_of),
    "InferenceComponent": (
        "describe_inference_component",
        "InferenceComponentName",
        resource_name_of,
    ),
}
MAX_OUTPUT_CHARACTERS = 1_000_000
"""Characters that one output may have as JSON: Airflow keeps XComs in its database, and each pull sends them."""


class StepNotRunError(LookupError):
    """A step that the execution did not run, so that it has no outputs."""


class OutputReader:
    """Reads outputs of one ended execution.

    :param calls: the connection to read through.
    :param report: the execution with its steps.
    :param warn: told why an output that is not required is None.
    :param is_selective: whether the execution ran selected steps only.
    """

    def __init__(
        self,
        calls: SageMakerCalls,
        report: ExecutionReport,
        *,
        warn: Callable[[str], None],
        is_selective: bool = False,
    ) -> None:
        self._is_selective = is_selective
        self._calls = calls
        self._report = report
        self._warn = warn
        self._roots: dict[str, Any] = {}
        self._files: dict[tuple[str, str], Any] = {}
        self._definition: PipelineDefinition | None = None

    def read(self, requests: tuple[OutputRequest, ...]) -> dict[str, Any]:
        """Every requested output by name, as JSON; None for one that is missing and not required.

        Where the author does not say, an output is required of a step that ran, and of a step that each path through
        the pipeline runs. Nothing is required of an execution that did not succeed, or that ran selected steps only.

        :raises OutputError: naming each required output that is missing, and why.
        """
        found: dict[str, Any] = {}
        problems: list[str] = []
        for request in requests:
            found[request.name] = None
            try:
                found[request.name] = _checked_size(to_json_value(self._value(request)))
            except (LookupError, PipelineApiError, DefinitionError, ValueError) as error:
                reason = error.args[0] if isinstance(error, LookupError) else str(error)
                reason = f"it has {reason}" if isinstance(error, PropertyNotFoundError) else reason
                text = f"Output '{request.name}' could not be read from step '{request.step}': {reason}"
                if self._is_required(request, error):
                    problems.append(text)
                else:
                    self._warn(f"{text}. It is None.")
        if problems:
            raise OutputError("\n".join(problems))
        return found

    def _is_required(self, request: OutputRequest, error: Exception) -> bool:
        """Whether an output that could not be read fails the task."""
        if request.is_required is not None:
            return request.is_required
        if self._report.status != ExecutionStatus.SUCCEEDED:
            return False
        if not isinstance(error, StepNotRunError):
            return True
        from airflow_sm_pipelines.definition.graph import list_unconditional_steps

        if self._is_selective:
            return False
        return request.step in list_unconditional_steps(self._read_definition())

    def read_defaults(self, *, max_steps: int) -> dict[str, dict[str, Any]]:
        """The default outputs of each step that succeeded, by step name, as JSON. Unreadable ones are left out.

        :param max_steps: of at most so many steps, the last ones to start.
        """
        succeeded = [step for step in self._report.steps if step.status == "Succeeded" and step.metadata]
        if len(succeeded) > max_steps:
            self._warn(
                f"{len(succeeded)} steps succeeded; step_outputs has the last {max_steps}. Ask for others by outputs."
            )
        found: dict[str, dict[str, Any]] = {}
        for step in succeeded[-max_steps:] if max_steps > 0 else ():
            try:
                kind, details = self.describe(step)
            except (LookupError, PipelineApiError) as error:
                self._warn(f"The outputs of step '{step.name}' could not be read: {error}")
                continue
            found[step.name] = to_json_value(default_outputs(kind, details))
        return found

    def describe(self, step: StepReport) -> tuple[str, Mapping[str, Any]]:
        """The kind of what a step made, and its description: the Describe call's answer, or the step's metadata.

        Each step's call is made once.

        :raises LookupError: if the step made nothing.
        """
        root = self._root(step)
        return next(iter(step.metadata or ())), root

    def _value(self, request: OutputRequest) -> Any:
        name, path = self._locate(request)
        step = self._step(name)
        if request.property_file is not None:
            return walk_path(self._property_file(step, request.property_file), request.path)
        value = walk_step_property(self._root(step), path)
        return named_values(value) if path == ("OutputParameters",) else value

    def _locate(self, request: OutputRequest) -> tuple[str, PropertyPath]:
        """The step that is meant, and where in it: of a ForEach step's iterations, the step made for the item."""
        path = request.path
        iteration = split_iteration(path) if request.property_file is None else None
        if iteration is not None:
            return iteration
        if request.property_file is None and path[:1] == ("Selected",):
            selector = walk_path(self._root(self._step(request.step)), ("Selector",))
            return name_iteration(selector["StepName"], selector["Index"]), path[1:]
        return request.step, path

    def _step(self, name: str) -> StepReport:
        for step in reversed(self._report.steps):
            if step.name == name:
                return step
        raise StepNotRunError(
            f"the step did not run; steps that did: {', '.join(step.name for step in self._report.steps) or 'none'}"
        )

    def _root(self, step: StepReport) -> Any:
        if step.name not in self._roots:
            self._roots[step.name] = self._read_root(step)
        return self._roots[step.name]

    def _read_root(self, step: StepReport) -> Any:
        if not step.metadata:
            raise LookupError(f"the step is {step.status} and made no job")
        ((kind, details),) = step.metadata.items()
        if kind in _DESCRIBE and details.get("Arn"):
            operation, argument, take = _DESCRIBE[kind]
            return self._calls.describe_resource(operation, argument, take(details["Arn"]))
        root = dict(details)
        if isinstance(root.get("OutputParameters"), list):
            written = self._written_step(step)
            types = {output.name: output.type for output in written.output_parameters} if written else {}
            root["OutputParameters"] = [
                {**item, "Value": _typed_output(item.get("Value"), types.get(item["Name"]))}
                for item in root["OutputParameters"]
            ]
        return root

    def _property_file(self, step: StepReport, name: str) -> Any:
        if (step.name, name) not in self._files:
            written = self._written_step(step)
            file = written.property_file(name) if written else None
            if file is None:
                declared = list_names(file.name for file in written.property_files) if written else "none"
                raise LookupError(f"the step declares no property file '{name}'; it has {declared}")
            uri = locate_property_file(self._root(step), file)
            try:
                self._files[step.name, name] = json.loads(self._calls.read_s3_text(uri))
            except ValueError as error:
                raise LookupError(f"property file {uri} is not JSON: {error}") from error
        return self._files[step.name, name]

    def _read_definition(self) -> PipelineDefinition:
        if self._definition is None:
            text = self._calls.describe_execution_definition(self._report.arn)
            self._definition = inspect_definition(text)[0] or PipelineDefinition()
        return self._definition

    def _written_step(self, step: StepReport) -> Step | None:
        """The step as the executed definition has it; problems are passed over, since the service has accepted it."""
        definition = self._read_definition()
        # A ForEach step calls what it makes of its body "<body step>-<index>".
        name = step.name if step.iteration is None else step.name.removesuffix(f"-{step.iteration}")
        return next((written for _, written in iter_step_places(definition) if written.name == name), None)


def _checked_size(value: Any) -> Any:
    """The value, if it is small enough for an XCom.

    :raises LookupError: saying how large it is.
    """
    size = len(json.dumps(value)) if isinstance(value, (str, dict, list)) else 0
    if size > MAX_OUTPUT_CHARACTERS:
        raise LookupError(
            f"it has {size:,} characters as JSON, and an XCom takes {MAX_OUTPUT_CHARACTERS:,} here; ask for a "
            "part of it, or for the address of its file"
        )
    return value


def to_json_value(value: Any) -> Any:
    """The value as JSON: times become ISO 8601 texts, anything unknown becomes its text."""
    if isinstance(value, Mapping):
        return {str(key): to_json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json_value(item) for item in value]
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def _typed_output(value: Any, type_name: Any) -> Any:
    """A Lambda or callback output as the type its step declares; numbers arrive as texts such as ``"200.0"``."""
    if value is None or not isinstance(value, str):
        return value
    try:
        if type_name == "Integer":
            return int(float(value))
        if type_name == "Float":
            return float(value)
    except ValueError:
        return value
    if type_name == "Boolean":
        return {"true": True, "false": False}.get(value.lower(), value)
    return value
