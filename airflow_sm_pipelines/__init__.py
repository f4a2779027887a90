"""Amazon SageMaker pipelines in Apache Airflow: deploy, run, wait for and read them, on AWS or on a laptop.

Importing this package imports nothing else: each public name is loaded when it is first used, so that parsing a DAG
file pays only for what the file names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_sm_pipelines.airflow_task.dag_params import pipeline_params
    from airflow_sm_pipelines.decorators.pipeline import sagemaker_pipeline_task
    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook
    from airflow_sm_pipelines.operators.callback import SageMakerAnswerCallbackOperator
    from airflow_sm_pipelines.operators.cost import SageMakerPipelineCostOperator
    from airflow_sm_pipelines.operators.deploy import SageMakerDeployPipelineOperator
    from airflow_sm_pipelines.operators.run import SageMakerRunPipelineOperator
    from airflow_sm_pipelines.operators.versions import (
        SageMakerDeletePipelineOperator,
        SageMakerPromotePipelineOperator,
        SageMakerPrunePipelinesOperator,
        SageMakerRollBackPipelineOperator,
    )
    from airflow_sm_pipelines.sensors.callback import SageMakerPipelineCallbackSensor
    from airflow_sm_pipelines.sensors.execution import SageMakerPipelineExecutionSensor
    from airflow_sm_pipelines.sensors.step import SageMakerPipelineStepSensor
    from airflow_sm_pipelines.triggers.asset_events import (
        SageMakerPipelineCallbackEventTrigger,
        SageMakerPipelineExecutionEventTrigger,
        pipeline_events,
    )
    from airflow_sm_pipelines.triggers.execution import SageMakerPipelineExecutionTrigger

__version__ = "0.1.0"

__all__ = [
    "SageMakerAnswerCallbackOperator",
    "SageMakerDeletePipelineOperator",
    "SageMakerDeployPipelineOperator",
    "SageMakerPipelineCallbackEventTrigger",
    "SageMakerPipelineCallbackSensor",
    "SageMakerPipelineCostOperator",
    "SageMakerPipelineExecutionEventTrigger",
    "SageMakerPipelineExecutionSensor",
    "SageMakerPipelineExecutionTrigger",
    "SageMakerPipelineStepSensor",
    "SageMakerPipelinesHook",
    "SageMakerPromotePipelineOperator",
    "SageMakerPrunePipelinesOperator",
    "SageMakerRollBackPipelineOperator",
    "SageMakerRunPipelineOperator",
    "pipeline_events",
    "pipeline_params",
    "sagemaker_pipeline_task",
]

_HOMES = {
    "SageMakerAnswerCallbackOperator": "airflow_sm_pipelines.operators.callback",
    "SageMakerPipelineCostOperator": "airflow_sm_pipelines.operators.cost",
    "SageMakerDeployPipelineOperator": "airflow_sm_pipelines.operators.deploy",
    "SageMakerPipelineCallbackSensor": "airflow_sm_pipelines.sensors.callback",
    "SageMakerPipelineExecutionSensor": "airflow_sm_pipelines.sensors.execution",
    "SageMakerPipelineCallbackEventTrigger": "airflow_sm_pipelines.triggers.asset_events",
    "SageMakerPipelineExecutionEventTrigger": "airflow_sm_pipelines.triggers.asset_events",
    "SageMakerPipelineExecutionTrigger": "airflow_sm_pipelines.triggers.execution",
    "SageMakerPipelineStepSensor": "airflow_sm_pipelines.sensors.step",
    "SageMakerPipelinesHook": "airflow_sm_pipelines.hooks.pipelines",
    "SageMakerDeletePipelineOperator": "airflow_sm_pipelines.operators.versions",
    "SageMakerPromotePipelineOperator": "airflow_sm_pipelines.operators.versions",
    "SageMakerPrunePipelinesOperator": "airflow_sm_pipelines.operators.versions",
    "SageMakerRollBackPipelineOperator": "airflow_sm_pipelines.operators.versions",
    "SageMakerRunPipelineOperator": "airflow_sm_pipelines.operators.run",
    "pipeline_events": "airflow_sm_pipelines.triggers.asset_events",
    "pipeline_params": "airflow_sm_pipelines.airflow_task.dag_params",
    "sagemaker_pipeline_task": "airflow_sm_pipelines.decorators.pipeline",
}


def __getattr__(name: str) -> object:
    """Load a public name from the module that defines it (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Every public name, whether it is loaded yet or not."""
    return sorted({*globals(), *__all__})
