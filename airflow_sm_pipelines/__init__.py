"""Amazon SageMaker pipelines in Apache Airflow: deploy, run, wait for and read them, on AWS or on a laptop.

Importing this package imports nothing else: each public name is loaded when it is first used, so that parsing a DAG
file pays only for what the file names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.2.0"
"""The version of the package; the only place that has it."""

_NAMES = {
    "cost.cost_tags": ("COST_PARAMETERS",),
    "decorators.sagemaker_pipeline": ("sagemaker_pipeline_task",),
    "exceptions": (
        "ArgumentError",
        "CompileError",
        "CompileTimeoutError",
        "DefinitionError",
        "EndpointUnreachableError",
        "EnvironmentBuildError",
        "LocalEndpointError",
        "MigrationError",
        "OldClientError",
        "OutputError",
        "ParameterError",
        "PipelineAccessError",
        "PipelineApiError",
        "PipelineConflictError",
        "PipelineExecutionFailedError",
        "PipelineNotFoundError",
        "PipelineRequestError",
        "PipelineUnavailableError",
        "PolicyError",
        "PriceError",
        "PromotionError",
        "SageMakerPipelinesError",
        "ScriptEnvironmentError",
        "ScriptFailedError",
        "ScriptFunctionError",
        "ScriptMetadataError",
        "ScriptNotFoundError",
    ),
    "hooks.sagemaker_pipelines": ("SageMakerPipelinesHook",),
    "airflow_task.token_sealing": ("open_token",),
    "operators.answer_callback": ("SageMakerAnswerCallbackOperator",),
    "operators.cost": ("SageMakerPipelineCostOperator",),
    "operators.deploy": ("SageMakerDeployPipelineOperator",),
    "operators.run": ("SageMakerRunPipelineOperator",),
    "operators.stop": ("SageMakerStopExecutionOperator",),
    "operators.versions": (
        "SageMakerDeletePipelineOperator",
        "SageMakerPromotePipelineOperator",
        "SageMakerPrunePipelinesOperator",
        "SageMakerRollBackPipelineOperator",
    ),
    "airflow_task.dag_params": ("pipeline_params",),
    "sensors.callback": ("SageMakerPipelineCallbackSensor",),
    "sensors.execution": ("SageMakerPipelineExecutionSensor",),
    "sensors.step": ("SageMakerPipelineStepSensor",),
    "task_groups.pipeline_steps": ("SageMakerPipelineTaskGroup",),
    "triggers.asset_events": (
        "SageMakerPipelineCallbackEventTrigger",
        "SageMakerPipelineExecutionEventTrigger",
        "pipeline_events",
    ),
    "triggers.execution": ("SageMakerPipelineExecutionTrigger",),
}
"""The public names, by the module that defines them."""

if TYPE_CHECKING:
    # For type checkers and editors, which do not run `__getattr__`. A test compares these with `_NAMES`.
    from airflow_sm_pipelines.airflow_task.dag_params import pipeline_params as pipeline_params
    from airflow_sm_pipelines.airflow_task.token_sealing import open_token as open_token
    from airflow_sm_pipelines.cost.cost_tags import COST_PARAMETERS as COST_PARAMETERS
    from airflow_sm_pipelines.decorators.sagemaker_pipeline import sagemaker_pipeline_task as sagemaker_pipeline_task
    from airflow_sm_pipelines.exceptions import *  # noqa: F403 - every error is public
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook as SageMakerPipelinesHook
    from airflow_sm_pipelines.operators.answer_callback import (
        SageMakerAnswerCallbackOperator as SageMakerAnswerCallbackOperator,
    )
    from airflow_sm_pipelines.operators.cost import SageMakerPipelineCostOperator as SageMakerPipelineCostOperator
    from airflow_sm_pipelines.operators.deploy import SageMakerDeployPipelineOperator as SageMakerDeployPipelineOperator
    from airflow_sm_pipelines.operators.run import SageMakerRunPipelineOperator as SageMakerRunPipelineOperator
    from airflow_sm_pipelines.operators.stop import SageMakerStopExecutionOperator as SageMakerStopExecutionOperator
    from airflow_sm_pipelines.operators.versions import (
        SageMakerDeletePipelineOperator as SageMakerDeletePipelineOperator,
    )
    from airflow_sm_pipelines.operators.versions import (
        SageMakerPromotePipelineOperator as SageMakerPromotePipelineOperator,
    )
    from airflow_sm_pipelines.operators.versions import (
        SageMakerPrunePipelinesOperator as SageMakerPrunePipelinesOperator,
    )
    from airflow_sm_pipelines.operators.versions import (
        SageMakerRollBackPipelineOperator as SageMakerRollBackPipelineOperator,
    )
    from airflow_sm_pipelines.sensors.callback import SageMakerPipelineCallbackSensor as SageMakerPipelineCallbackSensor
    from airflow_sm_pipelines.sensors.execution import (
        SageMakerPipelineExecutionSensor as SageMakerPipelineExecutionSensor,
    )
    from airflow_sm_pipelines.sensors.step import SageMakerPipelineStepSensor as SageMakerPipelineStepSensor
    from airflow_sm_pipelines.task_groups.pipeline_steps import SageMakerPipelineTaskGroup as SageMakerPipelineTaskGroup
    from airflow_sm_pipelines.triggers.asset_events import (
        SageMakerPipelineCallbackEventTrigger as SageMakerPipelineCallbackEventTrigger,
    )
    from airflow_sm_pipelines.triggers.asset_events import (
        SageMakerPipelineExecutionEventTrigger as SageMakerPipelineExecutionEventTrigger,
    )
    from airflow_sm_pipelines.triggers.asset_events import pipeline_events as pipeline_events
    from airflow_sm_pipelines.triggers.execution import (
        SageMakerPipelineExecutionTrigger as SageMakerPipelineExecutionTrigger,
    )
else:
    _MODULES = {name: module for module, names in _NAMES.items() for name in names}
    __all__ = sorted(_MODULES)  # noqa: PLE0605 - a list, made from the table

    def __getattr__(name: str) -> object:
        """Load a public name from the module that defines it (PEP 562)."""
        from importlib import import_module

        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """Every public name, whether it is loaded yet or not."""
        return sorted({*globals(), *__all__})
