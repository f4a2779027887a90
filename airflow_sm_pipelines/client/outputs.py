"""Outputs of an execution, read from the steps, their jobs and property files.

What may be asked for stands in :mod:`~airflow_sm_pipelines.client.output_requests`, what steps yield unasked in
:mod:`~airflow_sm_pipelines.client.step_outputs`; :class:`OutputReader` makes the calls, each at most once per step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.output_requests import OutputRequest, parse_output_requests
from airflow_sm_pipelines.client.step_outputs import default_outputs
from airflow_sm_pipelines.exceptions import DefinitionError, OutputError, PipelineApiError

__all__ = ["OutputReader", "OutputRequest", "parse_output_requests", "to_json_value", "walk_path"]

if TYPE_CHECKING:
    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport

# Metadata key -> (boto3 method, its argument, what of the ARN it takes). Source: PipelineExecutionStepMetadata,
# Describe* shapes.
_DESCRIBE: dict[str, tuple[str, str, Callable[[str], str]]] = {
    "ProcessingJob": ("describe_processing_job", "ProcessingJobName", lambda arn: arn.rpartition("/")[2]),
    "TrainingJob": ("describe_training_job", "TrainingJobName", lambda arn: arn.rpartition("/")[2]),
    "TransformJob": ("describe_transform_job", "TransformJobName", lambda arn: arn.rpartition("/")[2]),
    "TuningJob": (
        "describe_hyper_parameter_tuning_job",
        "HyperParameterTuningJobName",
        lambda arn: arn.rpartition("/")[2],
    ),
    "AutoMLJob": ("describe_auto_ml_job", "AutoMLJobName", lambda arn: arn.rpartition("/")[2]),
    "Model": ("describe_model", "ModelName", lambda arn: arn.rpartition("/")[2]),
    "RegisterModel": ("describe_model_package", "ModelPackageName", lambda arn: arn),
    "Endpoint": ("describe_endpoint", "EndpointName", lambda arn: arn.rpartition("/")[2]),
    "EndpointConfig": ("describe_endpoint_config", "EndpointConfigName", lambda arn: arn.rpartition("/")[2]),
    "InferenceComponent": (
        "describe_inference_component",
        "InferenceComponentName",
        lambda arn: arn.rpartition("/")[2],
    ),
}
# Lists that property paths look into by name: the member that names an element. Source: the developer guide's "Step
# properties".
_NAMING_KEYS = ("OutputName", "InputName", "MetricName", "ChannelName", "Name", "StepName")
MAX_OUTPUT_CHARACTERS = 1_000_000
"""What one output may have as JSON: XComs lie in Airflow's database, and go through its API with each pull."""


def walk_path(root: Any, path: tuple[str | int, ...]) -> Any:
    """The value at a path, as the definition's ``Get`` and ``Std:JsonGet`` would find it.

    A name applied to a list finds the element that carries this name (``Outputs['train']``,
    ``FinalMetricDataList['rmse']``).

    :raises LookupError: saying which part leads nowhere, and what there is instead.
    """
    value = root
    for position, part in enumerate(path):
        where = ".".join(str(item) for item in path[:position]) or "the top"
        if isinstance(value, Mapping):
            if str(part) not in value:
                raise LookupError(
                    f"no '{part}' at {where}; there is {', '.join(map(str, list(value)[:20])) or 'nothing'}"
                )
            value = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int):
            if part >= len(value):
                raise LookupError(f"no [{part}] at {where}, which has {len(value)} elements")
            value = value[part]
        elif isinstance(value, list):
            value = _named_element(value, part, where)
        else:
            raise LookupError(f"no '{part}' at {where}, which is the plain value {value!r}")
    return value


class OutputReader:
    """Reads outputs of one ended execution.

    :param calls: the connection to read through.
    :param report: the execution with its steps.
    :param warn: told why an output that is not required is None.
    """

    def __init__(self, calls: SageMakerCalls, report: ExecutionReport, *, warn: Callable[[str], None]) -> None:
        """Read nothing yet."""
        self._calls = calls
        self._report = report
        self._warn = warn
        self._roots: dict[str, Any] = {}
        self._files: dict[tuple[str, str], Any] = {}
        self._definition: dict[str, Any] | None = None

    def read(self, requests: tuple[OutputRequest, ...]) -> dict[str, Any]:
        """Every requested output by name, as JSON; None for one that is missing and not required.

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
                text = f"Output '{request.name}' could not be read from step '{request.step}': {reason}"
                if request.is_required:
                    problems.append(text)
                else:
                    self._warn(f"{text}. It is None.")
        if problems:
            raise OutputError("\n".join(problems))
        return found

    def read_defaults(self, *, max_steps: int) -> dict[str, dict[str, Any]]:
        """The default outputs of each step that succeeded, by step name, as JSON; what cannot be read is left out.

        :param max_steps: of so many steps at most, the last ones to start.
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
        """The kind of what a step made, and what its Describe call, or its metadata, says of it; asked once.

        :raises LookupError: if it made nothing.
        """
        root = self._root(step)
        return next(iter(step.metadata or ())), root

    def _value(self, request: OutputRequest) -> Any:
        name, path = self._locate(request)
        step = self._step(name)
        if request.property_file is not None:
            return walk_path(self._property_file(step, request.property_file), request.path)
        return walk_path(self._root(step), path)

    def _locate(self, request: OutputRequest) -> tuple[str, tuple[str | int, ...]]:
        """The step that is meant, and where in it: of a ForEach step's iterations, the step made for the item."""
        path = request.path
        if request.property_file is None and path[:1] == ("IterationOutputs",) and len(path) > 2:
            return f"{path[2]}-{path[1]}", path[3:]
        if request.property_file is None and path[:1] == ("Selected",):
            selector = walk_path(self._root(self._step(request.step)), ("Selector",))
            return f"{selector['StepName']}-{selector['Index']}", path[1:]
        return request.step, path

    def _step(self, name: str) -> StepReport:
        for step in reversed(self._report.steps):
            if step.name == name:
                return step
        raise LookupError(
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
            types = {
                item.get("OutputName"): item.get("OutputType")
                for item in self._raw_step(step).get("OutputParameters") or ()
            }
            root["OutputParameters"] = {
                item["Name"]: _typed_output(item.get("Value"), types.get(item["Name"]))
                for item in root["OutputParameters"]
            }
        return root

    def _property_file(self, step: StepReport, name: str) -> Any:
        if (step.name, name) not in self._files:
            files = {item.get("PropertyFileName"): item for item in self._raw_step(step).get("PropertyFiles") or ()}
            if name not in files:
                raise LookupError(
                    f"the step declares no property file '{name}'; it has {', '.join(map(str, files)) or 'none'}"
                )
            output, path = files[name]["OutputName"], files[name]["FilePath"]
            prefix = walk_path(self._root(step), ("ProcessingOutputConfig", "Outputs", output, "S3Output", "S3Uri"))
            uri = f"{str(prefix).rstrip('/')}/{path}"
            try:
                self._files[step.name, name] = json.loads(self._calls.read_s3_text(uri))
            except ValueError as error:
                raise LookupError(f"property file {uri} is not JSON: {error}") from error
        return self._files[step.name, name]

    def _raw_step(self, step: StepReport) -> dict[str, Any]:
        """The step as the executed definition spells it; looked up leniently, since the service has accepted it."""
        if self._definition is None:
            self._definition = json.loads(self._calls.describe_execution_definition(self._report.arn))
        # A ForEach step calls what it makes of its body "<body step>-<index>".
        name = step.name if step.iteration is None else step.name.removesuffix(f"-{step.iteration}")
        return next((step for step in _iter_raw_steps(self._definition.get("Steps")) if step.get("Name") == name), {})


def _checked_size(value: Any) -> Any:
    """The value, if an XCom should hold it.

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
    """The same value as JSON: times as ISO 8601 texts, anything unknown as its text."""
    if isinstance(value, Mapping):
        return {str(key): to_json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json_value(item) for item in value]
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def _named_element(elements: list[Any], name: str | int, where: str) -> Any:
    for key in _NAMING_KEYS:
        for element in elements:
            if isinstance(element, Mapping) and element.get(key) == name:
                return element
    names = [
        element.get(key)
        for element in elements
        if isinstance(element, Mapping)
        for key in _NAMING_KEYS
        if key in element
    ]
    raise LookupError(
        f"nothing is called '{name}' at {where}; there is {', '.join(map(str, names)) or 'nothing with a name'}"
    )


def _iter_raw_steps(steps: Any) -> Any:
    """Every step in the raw definition: Condition branches are inside ``Arguments``."""
    for step in steps if isinstance(steps, list) else ():
        if not isinstance(step, Mapping):
            continue
        yield step
        arguments = step.get("Arguments")
        if isinstance(arguments, Mapping):
            for branch in ("IfSteps", "ElseSteps", "ForEachBody"):
                yield from _iter_raw_steps(arguments.get(branch))


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
