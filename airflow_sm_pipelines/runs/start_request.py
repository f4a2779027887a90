"""The input of ``StartPipelineExecution``: what the author says, checked against the deployed definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.valid_names import make_display_name
from airflow_sm_pipelines.exceptions import ArgumentError, DefinitionError, PipelineAccessError
from airflow_sm_pipelines.option_reader import find_count_problems, find_list_problems, read_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.logger import Logger
    from airflow_sm_pipelines.definition import PipelineDefinition
    from airflow_sm_pipelines.runs.submission import TaskIdentity

MAX_DESCRIPTION = 3072
"""Characters of an execution's description; source: the API's ``PipelineExecutionDescription`` shape."""


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What to run, and how. The run operator describes each option for authors."""

    pipeline_name: str
    version: str | int | None = None
    parameters: Mapping[str, Any] | None = None
    display_name: str | None = None
    description: str | None = None
    max_parallel_steps: int | None = None
    select_steps: Sequence[str] | None = None
    from_step: str | None = None
    source_execution_arn: str | None = None
    role_arn: str | None = None
    mlflow_experiment_name: str | None = None

    @classmethod
    def of(cls, source: object, **given: Any) -> StartOptions:
        """Read the options from an operator or from parsed arguments.

        :param source: has attributes of the options' names; see :func:`read_options`.
        :param given: options to take instead of the source's.
        """
        return read_options(cls, source, **given)

    def check(self, definition: PipelineDefinition | None = None) -> None:
        """Refuse options that cannot be meant, before any call.

        :param definition: what will be run; None where only SageMaker has it.
        :raises ArgumentError: naming each wrong option, and what was expected.
        :raises ParameterError: naming every parameter and step that the definition does not have.
        """
        problems = find_count_problems("max_parallel_steps", self.max_parallel_steps)
        problems += find_list_problems("select_steps", self.select_steps)
        if problems:
            raise ArgumentError("\n".join(problems))
        if definition is None:
            return
        from airflow_sm_pipelines.definition import resolve_parameters
        from airflow_sm_pipelines.runs.selection import plan_selection

        resolve_parameters(definition, {str(name): value for name, value in (self.parameters or {}).items()})
        if self.select_steps or self.from_step:
            plan_selection(definition, steps=self.select_steps or (), from_step=self.from_step)


def plan_start_request(
    calls: SageMakerCalls, options: StartOptions, *, identity: TaskIdentity | None, log: Logger
) -> dict[str, Any]:
    """The start call's input without its token.

    :param identity: the task that starts, which names and describes the execution where the options do not; None for
        a command.
    :raises ArgumentError: if an option is wrong.
    :raises ParameterError: naming every parameter and step that does not fit the deployed definition.
    """
    from airflow_sm_pipelines.client.calls import plan_version_arguments

    options.check()
    request: dict[str, Any] = {"PipelineName": options.pipeline_name, **plan_version_arguments(options.version)}
    display_name, description = options.display_name, options.description
    if identity is not None:
        display_name = display_name or identity.display_name
        description = description or identity.description
    if display_name:
        request["PipelineExecutionDisplayName"] = make_display_name(display_name)
    if description:
        request["PipelineExecutionDescription"] = description[:MAX_DESCRIPTION]
    if options.parameters:
        request["PipelineParameters"] = _encode_parameters(calls, options, log=log)
    if options.select_steps or options.from_step:
        request["SelectiveExecutionConfig"] = _plan_selection(calls, options, log=log)
    for key, value in (("RoleArn", options.role_arn), ("MlflowExperimentName", options.mlflow_experiment_name)):
        if value:
            request[key] = value
    if options.max_parallel_steps is not None:
        request["ParallelismConfiguration"] = {"MaxParallelExecutionSteps": int(options.max_parallel_steps)}
    return request


def _plan_selection(calls: SageMakerCalls, options: StartOptions, *, log: Logger) -> dict[str, Any]:
    from airflow_sm_pipelines.definition import parse_definition
    from airflow_sm_pipelines.runs.selection import encode_selection, find_source, plan_selection

    deployed = calls.describe_pipeline(options.pipeline_name, version=options.version)
    definition = parse_definition(deployed.definition_text, name=deployed.name)
    selection = plan_selection(definition, steps=options.select_steps or (), from_step=options.from_step or None)
    source = options.source_execution_arn or find_source(calls, options.pipeline_name, selection)
    log.info("Selected steps: %s; source execution: %s", ", ".join(selection.steps), source or "none needed")
    return encode_selection(selection, source)


def _encode_parameters(calls: SageMakerCalls, options: StartOptions, *, log: Logger) -> list[dict[str, str]]:
    from airflow_sm_pipelines.definition import encode_parameters, parse_definition

    given = {str(name): value for name, value in (options.parameters or {}).items()}
    try:
        deployed = calls.describe_pipeline(options.pipeline_name, version=options.version)
        definition = parse_definition(deployed.definition_text, name=deployed.name)
    except (PipelineAccessError, DefinitionError) as error:
        log.warning("The parameters are sent unchecked, as text: %s", error)
        return [{"Name": name, "Value": str(value)} for name, value in given.items()]
    return encode_parameters(definition, given)
