"""The operations that start, stop, retry and change executions. Those that only read are in ``execution_views``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition import ForEachStep, resolve_parameters
from airflow_sm_pipelines.definition.arns import execution_id_of
from airflow_sm_pipelines.definition.status import ExecutionStatus, StepStatus
from airflow_sm_pipelines.engine.driver.execution_scope import execution_variables, resolve_config
from airflow_sm_pipelines.engine.operations.context import (
    OperationContext,
    Request,
    Response,
    perform_once,
    require_execution,
    require_pipeline,
    select_version,
    without_none,
)
from airflow_sm_pipelines.engine.operations.pipelines import parallelism_of
from airflow_sm_pipelines.engine.rules.definition_limits import find_experiment_fault, find_mlflow_fault
from airflow_sm_pipelines.engine.rules.errors import ResolutionError, not_found, validation_error
from airflow_sm_pipelines.engine.rules.fan_out import plan_fan_out
from airflow_sm_pipelines.engine.rules.resource_names import EXECUTION_ID_ALPHABET, EXECUTION_ID_LENGTH
from airflow_sm_pipelines.engine.rules.scheduler import steps_to_reset
from airflow_sm_pipelines.engine.rules.selection import check_selection, check_source
from airflow_sm_pipelines.engine.rules.state import is_retryable
from airflow_sm_pipelines.engine.store import ExecutionRecord
from airflow_sm_pipelines.engine.store.documents import from_ms
from airflow_sm_pipelines.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.definition import JsonValue, PipelineDefinition, StepGraph


def start_pipeline_execution(context: OperationContext, request: Request) -> Response:
    """StartPipelineExecution: it runs the newest version, or the one named by number or alias."""

    def perform() -> Response:
        record = _new_execution(context, request)
        context.store.executions.add(record)
        if record.selection is not None:
            _take_over_steps(context, record)
        return {"PipelineExecutionArn": record.arn}

    pipeline = require_pipeline(context, request["PipelineName"])
    response = perform_once(context, "StartPipelineExecution", request, perform, pipeline=pipeline.name)
    context.runner.wake(execution_id_of(response["PipelineExecutionArn"]))
    return response


def stop_pipeline_execution(context: OperationContext, request: Request) -> Response:
    """StopPipelineExecution: running jobs are stopped, running functions may finish, and nothing new starts."""

    def perform() -> Response:
        record = require_execution(context, request["PipelineExecutionArn"])
        if record.status is not ExecutionStatus.EXECUTING:
            raise validation_error(
                f"Pipeline execution with ARN {record.arn} is in status '{record.status}'."
                " Only pipelines with 'Executing' status can be stopped."
            )
        context.store.executions.change_status(record.id, ExecutionStatus.STOPPING, now_ms=context.services.now_ms())
        return {"PipelineExecutionArn": record.arn}

    return _perform_and_wake(context, "StopPipelineExecution", request, perform)


def retry_pipeline_execution(context: OperationContext, request: Request) -> Response:
    """RetryPipelineExecution: steps that failed or stopped run again. The other steps and the parameters stay."""

    def perform() -> Response:
        record = require_execution(context, request["PipelineExecutionArn"])
        if not is_retryable(record.status):
            raise validation_error(
                f"Pipeline execution with ARN {record.arn} is in status '{record.status}'."
                " Only pipeline executions that failed or were stopped can be retried."
            )
        version = context.store.pipelines.find_version(record.pipeline, record.version)
        if version is None:
            raise not_found(f"Version {record.version} of pipeline '{record.pipeline}' does not exist.")
        graph = context.definitions.load(version).graph
        statuses = context.store.steps.statuses(record.id)
        ended_by = [
            name
            for name, status in statuses.items()
            if status is StepStatus.FAILED and name in graph.nodes and graph.nodes[name].step.type == "Fail"
        ]
        if ended_by:
            raise validation_error(f"An execution that was ended by a Fail step ('{ended_by[0]}') cannot be retried.")
        _reset_steps(context, record.id, graph, statuses)
        if request.get("ParallelismConfiguration"):
            context.store.executions.update(record.id, {"parallelism": parallelism_of(request)})
        context.store.executions.change_status(record.id, ExecutionStatus.EXECUTING, now_ms=context.services.now_ms())
        return {"PipelineExecutionArn": record.arn}

    return _perform_and_wake(context, "RetryPipelineExecution", request, perform)


def update_pipeline_execution(context: OperationContext, request: Request) -> Response:
    """UpdatePipelineExecution: it changes the display name, the description and the parallelism."""
    with context.store.transaction():
        record = require_execution(context, request["PipelineExecutionArn"])
        values: dict[str, Any] = without_none(
            description=request.get("PipelineExecutionDescription"),
            display_name=request.get("PipelineExecutionDisplayName"),
            parallelism=parallelism_of(request),
        )
        context.store.executions.update(record.id, {**values, "modified_ms": context.services.now_ms()})
    context.runner.wake(record.id)
    return {"PipelineExecutionArn": record.arn}


def _perform_and_wake(
    context: OperationContext, operation: str, request: Request, perform: Callable[[], Response]
) -> Response:
    pipeline = require_execution(context, request["PipelineExecutionArn"]).pipeline
    response = perform_once(context, operation, request, perform, pipeline=pipeline)
    context.runner.wake(execution_id_of(response["PipelineExecutionArn"]))
    return response


def _reset_steps(
    context: OperationContext, execution_id: str, graph: StepGraph, statuses: Mapping[str, StepStatus]
) -> None:
    """Make the steps unscheduled that are to run again. A ForEach step keeps the iterations that succeeded."""
    names = steps_to_reset(graph, statuses)
    context.store.steps.reset(execution_id, names)
    for name in names:
        step = graph.nodes[name].step
        if not isinstance(step, ForEachStep):
            continue
        items = context.store.steps.recorded_items(execution_id, name)
        # If something it waits for runs again, its items may change.
        if items is None or not set(graph.nodes[name].waits_for).isdisjoint(names):
            context.store.steps.forget_iterations(execution_id, name)
        else:
            fan_out = plan_fan_out(step, items)
            known = {child: statuses[child] for child in fan_out.graph.order if child in statuses}
            context.store.steps.reset(execution_id, steps_to_reset(fan_out.graph, known))


def _new_execution(context: OperationContext, request: Request) -> ExecutionRecord:
    pipeline = require_pipeline(context, request["PipelineName"])
    if request.get("RoleArn"):
        raise validation_error("RoleArn can be specified only for pipelines that AWS manages.")
    version = select_version(
        context, pipeline, version=request.get("PipelineVersionId"), alias=request.get("PipelineVersionAlias")
    )
    definition = context.definitions.load(version).definition
    try:
        parameters = resolve_parameters(definition, _given_parameters(request))
    except ParameterError as error:
        raise validation_error(str(error)) from error
    now_ms = context.services.now_ms()
    execution_id = context.services.new_id(EXECUTION_ID_LENGTH, EXECUTION_ID_ALPHABET)
    parallelism = parallelism_of(request)
    record = ExecutionRecord(
        id=execution_id,
        arn=context.arns.execution(pipeline.name, execution_id),
        pipeline=pipeline.name,
        version=version.version,
        display_name=request.get("PipelineExecutionDisplayName") or f"execution-{now_ms}",
        description=request.get("PipelineExecutionDescription"),
        status=ExecutionStatus.EXECUTING,
        failure_reason=None,
        parameters=dict(parameters),
        parallelism=parallelism if parallelism is not None else pipeline.parallelism,
        experiment={},
        role_arn=pipeline.role_arn,
        created_ms=now_ms,
        modified_ms=now_ms,
        selection=dict(request["SelectiveExecutionConfig"]) if request.get("SelectiveExecutionConfig") else None,
    )
    variables = execution_variables(record, context.arns, now=from_ms(now_ms))
    try:
        record.experiment.update(resolve_config(definition.experiment_config, record.parameters, variables))
    except ResolutionError as error:
        raise validation_error(f"PipelineExperimentConfig cannot be resolved. {error}") from error
    if fault := find_experiment_fault(record.experiment):
        raise validation_error(f"PipelineExperimentConfig cannot be used. {fault}")
    return replace(record, mlflow=_mlflow_config(record, definition, request, variables))


def _mlflow_config(
    record: ExecutionRecord, definition: PipelineDefinition, request: Request, variables: Mapping[str, JsonValue]
) -> dict[str, JsonValue] | None:
    """The definition's MlflowConfig with the request's experiment name; None if there is neither."""
    try:
        config = resolve_config(definition.mlflow_config, record.parameters, variables)
    except ResolutionError as error:
        raise validation_error(f"MlflowConfig cannot be resolved. {error}") from error
    if fault := find_mlflow_fault(config):
        raise validation_error(f"MlflowConfig cannot be used. {fault}")
    if request.get("MlflowExperimentName"):
        config["MlflowExperimentName"] = request["MlflowExperimentName"]
    return config or None


def _take_over_steps(context: OperationContext, record: ExecutionRecord) -> None:
    """Check the selection of a new execution, and copy the steps it needs from the source execution."""
    version = context.store.pipelines.find_version(record.pipeline, record.version)
    selected = record.selected_steps
    if version is None or record.selection is None or selected is None:
        raise validation_error("SelectiveExecutionConfig must name SelectedSteps.")
    graph = context.definitions.load(version).graph
    source_arn = record.selection.get("SourcePipelineExecutionArn")
    check_selection(graph, sorted(selected), source_arn=str(source_arn) if source_arn else None)
    if not source_arn:
        return
    source = require_execution(context, str(source_arn))
    if source.pipeline != record.pipeline:
        raise validation_error(f"The source execution {source.arn} belongs to another pipeline.")
    if not source.status.is_terminal:
        raise validation_error(f"The source execution {source.arn} is in status '{source.status}': it must have ended.")
    names = check_source(graph, selected, context.store.steps.statuses(source.id))
    context.store.steps.take_over(record.id, names, source_id=source.id, source_arn=source.arn)


def _given_parameters(request: Request) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for parameter in request.get("PipelineParameters") or []:
        if parameter["Name"] in given:
            raise validation_error(f"Parameter '{parameter['Name']}' is given twice.")
        if parameter["Value"] == "":
            # The service's words (aws/sagemaker-python-sdk, issue 4016). A default may be empty.
            raise validation_error('[string "" is too short (length: 0, required minimum: 1)]')
        given[parameter["Name"]] = parameter["Value"]
    return given
