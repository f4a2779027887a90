"""Makes a migration of a pipeline that a file holds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition import Parameter
from airflow_sm_pipelines.definition.expressions import iter_candidates
from airflow_sm_pipelines.migrate.kubeflow.argo import convert_workflow
from airflow_sm_pipelines.migrate.kubeflow.component_steps import MAX_ARGUMENT, UPLOAD
from airflow_sm_pipelines.migrate.kubeflow.input_values import Absent, Imported, Literal, RunValue
from airflow_sm_pipelines.migrate.kubeflow.pipeline_model import parse_pipeline
from airflow_sm_pipelines.migrate.kubeflow.pipeline_reader import GraphReader, GraphScope
from airflow_sm_pipelines.migrate.names import ClaimedNames
from airflow_sm_pipelines.migrate.node_references import find_own_values, iter_gets
from airflow_sm_pipelines.migrate.report import Migration, Outcome, Reason
from airflow_sm_pipelines.migrate.workflow import OperatorNode, PipelineStepNode, Workflow, iter_nodes
from airflow_sm_pipelines.service_model import find_parameter_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue
    from airflow_sm_pipelines.migrate.kubeflow.input_values import Value
    from airflow_sm_pipelines.migrate.kubeflow.pipeline_files import HeldPipeline
    from airflow_sm_pipelines.migrate.kubeflow.pipeline_model import InputDefinition, Pipeline
    from airflow_sm_pipelines.migrate.workflow import Node

DEFAULT_INSTANCE = "ml.m5.large"
"""The instance of tasks that ask for no resources."""

_TYPES = {"NUMBER_INTEGER": "Integer", "NUMBER_DOUBLE": "Float", "BOOLEAN": "Boolean"}
_REGISTRY = ".dkr.ecr."


def read_pipeline(held: HeldPipeline, *, name: str, origin: str, images: Mapping[str, str] | None = None) -> Migration:
    """Read a pipeline into a migration.

    :param name: of the DAG.
    :param origin: what was read, for the report's title.
    :param images: the images to use in place of others, by their old names.
    :raises MigrationError: with the place, at what KFP would refuse.
    """
    document = convert_workflow(held) if held.is_argo else held.document
    pipeline = parse_pipeline(document, locate=held.locate)
    return _Migrator(pipeline, held, name, images or {}).migrate(origin)


class _Migrator:
    def __init__(self, pipeline: Pipeline, held: HeldPipeline, name: str, images: Mapping[str, str]) -> None:
        self._pipeline = pipeline
        self._held = held
        self._name = name
        self._names = ClaimedNames()
        self._parameters: dict[str, Parameter] = {}
        self._differences: list[Reason] = []
        self._inputs = {key: self._read_input(key, one) for key, one in pipeline.root.inputs.items()}
        self._instance = self._names.claim("instance_type")
        self._root = self._names.claim("pipeline_root")
        self._reader = GraphReader(
            pipeline,
            platform=held.platform,
            images=images,
            instance_type={"Get": f"Parameters.{self._instance}"},
            ask_address=self._ask_address,
        )

    def migrate(self, origin: str) -> Migration:
        artifacts = {key: self._read_artifact(key) for key in self._pipeline.root.input_artifacts}
        group = self._reader.walk(self._pipeline.root, GraphScope(self._inputs, artifacts))
        nodes: tuple[Node, ...] = group.nodes
        if self._reader.components:
            nodes = (self._make_upload(), *nodes)
        used = {text for node in iter_nodes(nodes) for value in find_own_values(node) for _, text in iter_gets(value)}
        default = self._pipeline.default_root if self._pipeline.default_root.startswith("s3://") else ""
        added = (Parameter(self._instance, "String", DEFAULT_INSTANCE), Parameter(self._root, "String", default))
        parameters = [
            *(_fit_type(one, nodes) for one in self._parameters.values()),
            *(one for one in added if f"Parameters.{one.name}" in used),
        ]
        workflow = Workflow(self._name, nodes, tuple(parameters), description=self._pipeline.description)
        files = {}
        if self._reader.components:
            text = json.dumps(self._reader.components, indent=2, ensure_ascii=False)
            files[self._file_name] = f"{text}\n"
        return Migration(
            origin, workflow, self._reader.records.get_all(), (*self._differences, *self._find_differences()), files
        )

    @property
    def _file_name(self) -> str:
        return f"{self._name}.components.json"

    def _make_upload(self) -> OperatorNode:
        arguments: JsonObject = {
            "components": self._file_name,
            "pipeline_root": {"Get": f"Parameters.{self._root}"},
        }
        operator = "airflow_sm_pipelines.migrated_tasks.UploadComponentsOperator"
        return OperatorNode(UPLOAD, "the pipeline's components", operator, arguments)

    # --- parameters -------------------------------------------------------------------------------------------------

    def _read_input(self, key: str, definition: InputDefinition) -> Value:
        """A parameter of the pipeline, as a run is given it."""
        default = self._held.given.get(key, definition.default)
        if default is None and definition.is_optional:
            text = f"The parameter {key!r} is optional and has no default; no run gives it."
            self._differences.append(Reason("KFP-PARAMETER-001", text))
            return Absent(f"the pipeline's parameter {key!r} is optional, and not given")
        kind = _TYPES.get(definition.kind, "String")
        value = _convert(default, kind)
        if isinstance(value, str) and len(value) > MAX_ARGUMENT - 20:
            text = f"The parameter {key!r} is fixed: its default is longer than the arguments of a job may be."
            self._differences.append(Reason("KFP-PARAMETER-002", text))
            return Literal(default)
        name = self._names.claim(key, otherwise="parameter")
        given: dict[str, JsonValue] = {} if value is None else {"default": value}
        self._parameters[name] = Parameter(name, kind, **given)  # type: ignore[arg-type]
        return RunValue({"Get": f"Parameters.{name}"}, is_number=kind in ("Integer", "Float"), default=value)

    def _read_artifact(self, key: str) -> Value:
        """An artifact that the pipeline is given."""
        return Imported(self._ask_address(key), "system.Artifact", {})

    def _ask_address(self, key: str) -> Value:
        """An artifact's address, which each run says."""
        name = self._names.claim(f"{key}_uri", otherwise="artifact_uri")
        self._parameters[name] = Parameter(name, "String")
        return RunValue({"Get": f"Parameters.{name}"})

    # --- differences ------------------------------------------------------------------------------------------------

    def _find_differences(self) -> list[Reason]:
        found = []
        foreign = [image for image in self._reader.images if _REGISTRY not in image]
        if foreign:
            text = (
                f"On AWS, a job's image comes from ECR. Copy these there, and name the copies with --image OLD=NEW: "
                f"{', '.join(foreign)}."
            )
            found.append(Reason("KFP-IMAGE-001", text))
        if self._reader.components:
            text = (
                f"Outputs and components are in S3 below the DAG param {self._root}; SageMaker's default bucket, if "
                "it is empty."
            )
            found.append(Reason("KFP-ROOT-001", text))
        if self._reader.cached:
            text = "KFP's cache lasts for ever and knows the component; SageMaker's lasts a year and knows the request."
            found.append(Reason("KFP-CACHE-001", text))
        if any(record.outcome is Outcome.TRANSLATED for record in self._reader.records.get_all()):
            text = f"A text that a task is given by the pipeline's parameters has at most {MAX_ARGUMENT} characters."
            found.append(Reason("KFP-ARGUMENT-001", text))
        return found


def _convert(value: JsonValue, kind: str) -> JsonValue:
    """A default as a pipeline parameter of a type has it."""
    if value is None:
        return None
    if kind == "String":
        return value if isinstance(value, str) else json.dumps(value)
    text = value if isinstance(value, str) else json.dumps(value)
    if kind == "Boolean":
        return text.strip().lower() in ("true", "1")
    try:
        return int(float(text)) if kind == "Integer" else float(text)
    except ValueError:
        return None


def _fit_type(parameter: Parameter, nodes: Sequence[Node]) -> Parameter:
    """The parameter with the type of the places in requests that it stands in: KFP 1 has texts only."""
    if parameter.type != "String":
        return parameter
    wanted = {kind for node in iter_nodes(tuple(nodes)) for kind in _find_types(node, parameter.name)}
    if len(wanted) != 1:
        return parameter
    kind = wanted.pop()
    default = parameter.default
    if not isinstance(default, str):
        return parameter if kind == "String" else replace(parameter, type=kind)
    converted = _convert(default, kind)
    return parameter if converted is None else replace(parameter, type=kind, default=cast("str", converted))


def _find_types(node: Node, name: str) -> list[str]:
    if not isinstance(node, PipelineStepNode):
        return []
    places: list[JsonPath] = [
        path for path, one in iter_candidates(node.arguments) if one.get("Get") == f"Parameters.{name}"
    ]
    return [find_parameter_type(node.type, path) or "String" for path in places]
