"""Describes this provider package to Airflow, which loads this module at every start. So it imports nothing."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The provider's description, by Airflow's schema ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-sm-pipelines",
        "name": "Amazon SageMaker Pipelines",
        "description": (
            "Build, version, start and monitor Amazon SageMaker pipelines from Apache Airflow, "
            "and run them on a laptop."
        ),
        "integrations": [
            {
                "integration-name": "Amazon SageMaker Pipelines",
                "external-doc-url": "https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines.html",
                "tags": ["aws"],
            }
        ],
        "hooks": [
            {
                "integration-name": "Amazon SageMaker Pipelines",
                "python-modules": ["airflow_sm_pipelines.hooks.sagemaker_pipelines"],
            }
        ],
        "triggers": [
            {
                "integration-name": "Amazon SageMaker Pipelines",
                "python-modules": [
                    "airflow_sm_pipelines.triggers.asked_step",
                    "airflow_sm_pipelines.triggers.asset_events",
                    "airflow_sm_pipelines.triggers.callback",
                    "airflow_sm_pipelines.triggers.execution",
                    "airflow_sm_pipelines.triggers.mirrored_step",
                    "airflow_sm_pipelines.triggers.step",
                ],
            }
        ],
        "operators": [
            {
                "integration-name": "Amazon SageMaker Pipelines",
                "python-modules": [
                    "airflow_sm_pipelines.operators.answer_callback",
                    "airflow_sm_pipelines.operators.ask_step",
                    "airflow_sm_pipelines.operators.cost",
                    "airflow_sm_pipelines.operators.deploy",
                    "airflow_sm_pipelines.operators.group_run",
                    "airflow_sm_pipelines.operators.mirror_step",
                    "airflow_sm_pipelines.operators.run",
                    "airflow_sm_pipelines.operators.versions",
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": "Amazon SageMaker Pipelines",
                "python-modules": [
                    "airflow_sm_pipelines.sensors.callback",
                    "airflow_sm_pipelines.sensors.execution",
                    "airflow_sm_pipelines.sensors.step",
                ],
            }
        ],
        "task-decorators": [
            {
                "name": "sagemaker_pipeline",
                "class-name": "airflow_sm_pipelines.decorators.sagemaker_pipeline.sagemaker_pipeline_task",
            }
        ],
        "extra-links": [
            "airflow_sm_pipelines.links.buttons.SageMakerPipelineExecutionLink",
            "airflow_sm_pipelines.links.buttons.SageMakerPipelineLink",
            "airflow_sm_pipelines.links.buttons.SageMakerJobLogsLink",
            "airflow_sm_pipelines.links.buttons.SageMakerCallbackQueueLink",
        ],
    }
