"""Describes this provider package to Airflow, which loads this module at every start. So it imports nothing.

It names no ``plugins``: Airflow finds ours by its entry point, and would report one that is named twice as an import
error. It names no ``asset-uris``: an asset of ours has an S3 address, which is the amazon provider's, or an ARN.
"""

from __future__ import annotations

from typing import Any

from airflow_sm_pipelines import __version__


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
                    "airflow_sm_pipelines.operators.stop",
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
        "config": {
            "sagemaker_pipelines": {
                "description": "Settings of builds in a task, and of the page in Airflow's UI.",
                "options": {
                    "cache_dir": _option(
                        "A folder for the Python environments of pipeline scripts and for finished builds. It is kept "
                        "between tasks, and workers of one machine may share it. The variable is "
                        "SM_PIPELINES_CACHE_DIR; by default ~/.cache/airflow-sm-pipelines.",
                        example="/opt/airflow/sm-pipelines",
                    ),
                    "lock_file": _option(
                        "A file that 'sm-pipelines lock' has written. Where it is set, environments are made of its "
                        "exact packages and of nothing else. The variable is SM_PIPELINES_LOCK; by default none.",
                        example="/opt/airflow/dags/sm-pipelines.lock",
                    ),
                    "prices": _option(
                        "A TOML file with prices of instances, by which the page in Airflow's UI estimates what a run "
                        "has cost. The api-server reads it. By default none: the page then shows instance hours.",
                        example="/opt/airflow/dags/policies/prices.toml",
                    ),
                },
            }
        },
        "versions": [__version__],
        "extra-links": [
            "airflow_sm_pipelines.links.buttons.SageMakerPipelineExecutionLink",
            "airflow_sm_pipelines.links.buttons.SageMakerPipelineLink",
            "airflow_sm_pipelines.links.buttons.SageMakerJobLogsLink",
            "airflow_sm_pipelines.links.buttons.SageMakerCallbackQueueLink",
        ],
    }


def _option(description: str, *, example: str) -> dict[str, Any]:
    """An option of ``airflow.cfg`` that is a text, and is not set by default."""
    return {"description": description, "version_added": "0.2.0", "type": "string", "example": example, "default": ""}
