"""What ``StartPipelineExecution`` is sent: named after the task instance, checked against the deployed definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.naming import make_display_name
from airflow_sm_pipelines.exceptions import DefinitionError, PipelineAccessError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk.types import Logger

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.runs.submission import TaskIdentity

MAX_DESCRIPTION = 3072
"""Characters of an execution's description; source: the API's ``PipelineExecutionDescription`` shape."""


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What an author says about an execution; the run operator describes each."""

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


def plan_start_request(
    calls: SageMakerCalls, options: StartOptions, *, identity: TaskIdentity, log: Logger
) -> dict[str, Any]:
    """The start call's input without its token.

    :raises ParameterError: naming every parameter and step that the deployed definition does not have, or not so.
    """
    from airflow_sm_pipelines.client.calls import plan_version_arguments

    index = f"-{identity.map_index}" if identity.map_index >= 0 else ""
    display_name = options.display_name or f"{identity.dag_id}-{identity.task_id}{index}-{identity.run_id}"
    description = options.description or (
        f"Started by Airflow: DAG {identity.dag_id}, run {identity.run_id}, task {identity.task_id}{index}"
    )
    request: dict[str, Any] = {
        "PipelineName": options.pipeline_name,
        "PipelineExecutionDisplayName": make_display_name(display_name),
        "PipelineExecutionDescription": description[:MAX_DESCRIPTION],
        **plan_version_arguments(options.version),
    }
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
    from airflow_sm_pipelines.runs.selection import find_source, plan_selection, write_selection

    deployed = calls.describe_pipeline(options.pipeline_name, version=options.version)
    definition = parse_definition(deployed.definition_text, name=deployed.name)
    selection = plan_selection(definition, steps=options.select_steps or (), from_step=options.from_step or None)
    source = options.source_execution_arn or find_source(calls, options.pipeline_name, selection)
    log.info("Selected steps: %s; source execution: %s", ", ".join(selection.steps), source or "none needed")
    return write_selection(selection, source)


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
