"""The whole definition document as one typed value.

Read one from JSON with :func:`~airflow_sm_pipelines.definition.reader.parse_definition`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.json_value import JsonObject, copy_json
from airflow_sm_pipelines.definition.origin import Member, Origin, write_object
from airflow_sm_pipelines.definition.problems import list_names, suggest
from airflow_sm_pipelines.definition.step_places import iter_places
from airflow_sm_pipelines.exceptions import DefinitionError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition.parameters import Parameter
    from airflow_sm_pipelines.definition.steps import Step

SCHEMA_VERSION = "2020-12-01"
"""The only version of the document's schema."""


@dataclass(frozen=True, slots=True)
class PipelineDefinition:
    """A SageMaker pipeline definition. Immutable: change it with :func:`dataclasses.replace`.

    :param version: the document's schema version.
    :param experiment_config: ``PipelineExperimentConfig``; ``None`` if it is absent or null.
    :param mlflow_config: ``MlflowConfig``; ``None`` if it is absent or null.
    :param steps: the outermost steps in document order, which need not be an order in which they can run.
    :param extra: the document's other members.
    :param origin: the object it was read from; set by the reader.
    """

    version: str = SCHEMA_VERSION
    metadata: JsonObject = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    experiment_config: JsonObject | None = None
    mlflow_config: JsonObject | None = None
    steps: tuple[Step, ...] = ()
    extra: JsonObject = field(default_factory=dict)
    origin: Origin | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> JsonObject:
        """The document as JSON, a copy that may be changed; members that were not replaced are as they were read."""
        experiment, mlflow = self.experiment_config, self.mlflow_config
        members = (
            Member(
                "Version", self.version, self._had_no("Version", self.version == SCHEMA_VERSION), lambda: self.version
            ),
            Member(
                "Metadata", self.metadata, self._had_no("Metadata", not self.metadata), lambda: copy_json(self.metadata)
            ),
            Member(
                "Parameters",
                self.parameters,
                self._had_no("Parameters", not self.parameters),
                lambda: [parameter.to_json() for parameter in self.parameters],
            ),
            Member("PipelineExperimentConfig", experiment, experiment is None, lambda: copy_json(experiment)),
            Member("MlflowConfig", mlflow, mlflow is None, lambda: copy_json(mlflow)),
            Member("Steps", self.steps, False, lambda: [step.to_json() for step in self.steps]),
        )
        return write_object(self.origin, members, self.extra)

    def iter_steps(self) -> Iterator[Step]:
        """Visit every step that an execution can run under its own name: depth first, a Condition before its branches.

        The steps of ForEach bodies are templates and are left out.
        """
        for place in iter_places(self):
            if not place.is_template:
                yield place.step

    def step(self, name: str) -> Step:
        """Find a step by name, in branches too.

        :raises DefinitionError: if there is none.
        """
        for step in self.iter_steps():
            if step.name == name:
                return step
        names = [step.name for step in self.iter_steps()]
        raise DefinitionError(
            f"No step is called {name!r}.{suggest(name, names) or f' The steps are {list_names(names)}.'}"
        )

    def parameter(self, name: str) -> Parameter:
        """Find a parameter by name.

        :raises ParameterError: if there is none.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        names = [parameter.name for parameter in self.parameters]
        raise ParameterError(
            f"The pipeline has no parameter {name!r}.{suggest(name, names) or f' It has {list_names(names)}.'}"
        )

    def _had_no(self, key: str, is_empty: bool) -> bool:
        return is_empty and self.origin is not None and key not in self.origin.raw
