"""The SageMaker API operations that the engine answers: a function for each, and the table of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.operations import (
    automl,
    callbacks,
    endpoints,
    execution_views,
    executions,
    hubs,
    models,
    pipelines,
    tags,
    tuning,
    versions,
)
from airflow_sm_pipelines.engine.operations.context import Operation, OperationContext
from airflow_sm_pipelines.engine.operations.experiments import experiment_operations
from airflow_sm_pipelines.engine.operations.jobs import job_operations
from airflow_sm_pipelines.engine.operations.lineage_entities import lineage_operations
from airflow_sm_pipelines.engine.operations.search import search
from airflow_sm_pipelines.engine.rules.job_documents import AUTOML, PROCESSING, TRAINING, TRANSFORM, TUNING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Operation", "OperationContext", "all_operations"]


def all_operations() -> Mapping[str, Operation]:
    """Every operation by its API name."""
    return {
        "CreatePipeline": pipelines.create_pipeline,
        "UpdatePipeline": pipelines.update_pipeline,
        "DeletePipeline": pipelines.delete_pipeline,
        "DescribePipeline": pipelines.describe_pipeline,
        "ListPipelines": pipelines.list_pipelines,
        "ListPipelineVersions": versions.list_pipeline_versions,
        "UpdatePipelineVersion": versions.update_pipeline_version,
        "StartPipelineExecution": executions.start_pipeline_execution,
        "StopPipelineExecution": executions.stop_pipeline_execution,
        "RetryPipelineExecution": executions.retry_pipeline_execution,
        "UpdatePipelineExecution": executions.update_pipeline_execution,
        "SendPipelineExecutionStepSuccess": callbacks.send_step_success,
        "SendPipelineExecutionStepFailure": callbacks.send_step_failure,
        "DescribePipelineExecution": execution_views.describe_pipeline_execution,
        "DescribePipelineDefinitionForExecution": execution_views.describe_definition_for_execution,
        "ListPipelineParametersForExecution": execution_views.list_parameters_for_execution,
        "ListPipelineExecutions": execution_views.list_pipeline_executions,
        "ListPipelineExecutionSteps": execution_views.list_pipeline_execution_steps,
        **job_operations(PROCESSING),
        **job_operations(TRAINING),
        **job_operations(TRANSFORM),
        **job_operations(TUNING),
        **job_operations(AUTOML),
        "CreateAutoMLJob": automl.refuse_automl_job,
        "CreateAutoMLJobV2": automl.refuse_automl_job,
        "DescribeAutoMLJobV2": automl.describe_automl_job_v2,
        "ListCandidatesForAutoMLJob": automl.list_candidates,
        "ListTrainingJobsForHyperParameterTuningJob": tuning.list_training_jobs_for_tuning_job,
        **experiment_operations(),
        **lineage_operations(),
        "Search": search,
        "CreateEndpointConfig": endpoints.create_endpoint_config,
        "DescribeEndpointConfig": endpoints.describe_endpoint_config,
        "DeleteEndpointConfig": endpoints.delete_endpoint_config,
        "ListEndpointConfigs": endpoints.list_endpoint_configs,
        "CreateEndpoint": endpoints.create_endpoint,
        "UpdateEndpoint": endpoints.update_endpoint,
        "UpdateEndpointWeightsAndCapacities": endpoints.update_weights,
        "DescribeEndpoint": endpoints.describe_endpoint,
        "DeleteEndpoint": endpoints.delete_endpoint,
        "ListEndpoints": endpoints.list_endpoints,
        "CreateHub": hubs.create_hub,
        "DescribeHub": hubs.describe_hub,
        "DeleteHub": hubs.delete_hub,
        "ListHubs": hubs.list_hubs,
        "ImportHubContent": hubs.import_hub_content,
        "DescribeHubContent": hubs.describe_hub_content,
        "DeleteHubContent": hubs.delete_hub_content,
        "ListHubContents": hubs.list_hub_contents,
        "ListHubContentVersions": hubs.list_hub_content_versions,
        "CreateModel": models.create_model,
        "DescribeModel": models.describe_model,
        "DeleteModel": models.delete_model,
        "ListModels": models.list_models,
        "CreateModelPackage": models.create_model_package,
        "DescribeModelPackage": models.describe_model_package,
        "UpdateModelPackage": models.update_model_package,
        "DeleteModelPackage": models.delete_model_package,
        "ListModelPackages": models.list_model_packages,
        "CreateModelPackageGroup": models.create_model_package_group,
        "DescribeModelPackageGroup": models.describe_model_package_group,
        "DeleteModelPackageGroup": models.delete_model_package_group,
        "ListModelPackageGroups": models.list_model_package_groups,
        "AddTags": tags.add_tags,
        "ListTags": tags.list_tags,
        "DeleteTags": tags.delete_tags,
    }
