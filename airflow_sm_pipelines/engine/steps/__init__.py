"""What a step of each type does when it is performed: one executor for each type, and the table of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.rules.job_documents import PROCESSING, TRAINING, TRANSFORM, TUNING
from airflow_sm_pipelines.engine.steps.automl import AutoMLStandInExecutor
from airflow_sm_pipelines.engine.steps.callback import CallbackExecutor
from airflow_sm_pipelines.engine.steps.cleanup import CleanupExecutor
from airflow_sm_pipelines.engine.steps.condition import ConditionExecutor
from airflow_sm_pipelines.engine.steps.endpoint import EndpointConfigExecutor, EndpointExecutor
from airflow_sm_pipelines.engine.steps.fail import FailExecutor
from airflow_sm_pipelines.engine.steps.for_each import ForEachExecutor
from airflow_sm_pipelines.engine.steps.job import JobExecutor
from airflow_sm_pipelines.engine.steps.lambda_function import LambdaExecutor
from airflow_sm_pipelines.engine.steps.lineage_entities import LineageExecutor
from airflow_sm_pipelines.engine.steps.model import ModelExecutor, RegisterModelExecutor
from airflow_sm_pipelines.engine.steps.quality_check import CheckExecutor
from airflow_sm_pipelines.engine.steps.stand_in import StandInExecutor
from airflow_sm_pipelines.engine.steps.task import StepExecutor, StepOutcome, StepTask
from airflow_sm_pipelines.engine.steps.unsupported import UnsupportedExecutor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import Step
    from airflow_sm_pipelines.engine.jobs.stand_in_table import StandIns

__all__ = ["StepExecutor", "StepOutcome", "StepTask", "executor_for", "step_executors"]


def step_executors() -> Mapping[str, StepExecutor]:
    """The executor of every step type that runs here."""
    return {
        "Callback": CallbackExecutor(),
        "ClarifyCheck": CheckExecutor(),
        "Cleanup": CleanupExecutor(),
        "Condition": ConditionExecutor(),
        "Endpoint": EndpointExecutor(),
        "EndpointConfig": EndpointConfigExecutor(),
        "Fail": FailExecutor(),
        "ForEach": ForEachExecutor(),
        "Lambda": LambdaExecutor(),
        "Lineage": LineageExecutor(),
        "Model": ModelExecutor(),
        "Processing": JobExecutor(PROCESSING),
        "QualityCheck": CheckExecutor(),
        "RegisterModel": RegisterModelExecutor(),
        "Training": JobExecutor(TRAINING),
        "Transform": JobExecutor(TRANSFORM),
        "Tuning": JobExecutor(TUNING),
    }


def executor_for(executors: Mapping[str, StepExecutor], step: Step, stand_ins: StandIns) -> StepExecutor:
    """The executor of a step: its stand-in, the executor of its type, or one that fails with an explanation."""
    stand_in = stand_ins.find(step=step.name, type=step.type)
    if stand_in is not None:
        return AutoMLStandInExecutor(stand_in) if step.type == "AutoML" else StandInExecutor(stand_in)
    return executors.get(step.type) or UnsupportedExecutor(executors)
