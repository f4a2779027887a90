"""Who reads the outputs of processing steps, which says what a stand-in should write there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition import StepReference, iter_expressions
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.engine.jobs.training import runs_image_program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import PipelineDefinition


def find_content_types(definition: PipelineDefinition) -> dict[tuple[str, str], str]:
    """What training jobs take the outputs of processing steps for."""
    found: dict[tuple[str, str], str] = {}
    for _, step in iter_step_places(definition):
        channels = step.arguments.get("InputDataConfig")
        if step.type != "Training" or not isinstance(channels, list):
            continue
        # The built-in XGBoost takes what says nothing of itself for libsvm.
        default = "text/libsvm" if _is_builtin(step.arguments) else ""
        for channel in channels:
            kind = channel.get("ContentType") if isinstance(channel, dict) else None
            for _, expression in iter_expressions(channel):
                if isinstance(expression, StepReference) and expression.path[:2] == (
                    "ProcessingOutputConfig",
                    "Outputs",
                ):
                    key = (expression.step, str(expression.path[2]))
                    found.setdefault(key, default if kind is None else kind if isinstance(kind, str) else "")
    return found


def _is_builtin(arguments: Mapping[str, Any]) -> bool:
    image = (arguments.get("AlgorithmSpecification") or {}).get("TrainingImage")
    is_script = "sagemaker_program" in (arguments.get("HyperParameters") or {})
    return isinstance(image, str) and not is_script and runs_image_program(arguments)


def find_transform_inputs(definition: PipelineDefinition) -> frozenset[tuple[str, str]]:
    """Outputs of processing steps that a transform reads without a filter: their rows have no label."""
    found = set()
    for _, step in iter_step_places(definition):
        if step.type != "Transform" or "InputFilter" in str(step.arguments.get("DataProcessing")):
            continue
        for _, expression in iter_expressions(step.arguments.get("TransformInput")):
            if isinstance(expression, StepReference) and expression.path[:2] == ("ProcessingOutputConfig", "Outputs"):
                found.add((expression.step, str(expression.path[2])))
    return frozenset(found)
