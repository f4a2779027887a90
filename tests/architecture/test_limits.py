"""The limits that modules know by heart, compared with the shapes of the API."""

from __future__ import annotations

import importlib

import pytest

from airflow_sm_pipelines.service_model import load_service_model
from tests.architecture.source_tree import PACKAGE

LIMITS = [
    ("client.valid_names.MAX_DISPLAY_NAME", "PipelineExecutionName"),
    ("client.valid_names.MAX_DISPLAY_NAME", "PipelineVersionName"),
    ("client.valid_names.MAX_PIPELINE_NAME", "PipelineName"),
    ("definition.parameters.MAX_VALUE_LENGTH", "String1024"),
    ("definition.steps.MAX_STEP_NAME", "StepName"),
    ("deployment.provenance.MAX_VERSION_DESCRIPTION", "PipelineVersionDescription"),
    ("engine.rules.definition_limits._MAX_DESCRIPTION", "StepDescription"),
    ("engine.rules.definition_limits._MAX_DISPLAY_NAME", "StepDisplayName"),
    ("engine.rules.definition_limits._MAX_MLFLOW_NAME", "MlflowExperimentName"),
    ("engine.rules.definition_limits.MAX_ENTITY_NAME", "ExperimentEntityName"),
    ("engine.rules.errors.MAX_REASON_CHARACTERS", "FailureReason"),
    ("engine.rules.errors.MAX_REASON_CHARACTERS", "ExitMessage"),
    ("engine.operations.tags._MAX_TAGS", "TagList"),
    ("engine.operations.versions._MAX_ALIASES", "PipelineVersionAliasList"),
    ("engine.steps.callback._MAX_URL", "String256"),
    ("engine.steps.lambda_function._MAX_OUTPUT", "String1024"),
    ("policy.limits.MAX_INLINE_CHARACTERS", "PipelineDefinition"),
    ("policy.limits.MAX_PARAMETERS", "ParameterList"),
    ("runs.start_request.MAX_DESCRIPTION", "PipelineExecutionDescription"),
    ("step_values.MAX_ARGUMENT_CHARACTERS", "ContainerArgument"),
    ("step_values.MAX_OUTPUT_CHARACTERS", "String1024"),
]


@pytest.mark.parametrize(("constant", "shape"), LIMITS)
def test_a_limit_is_that_of_the_shape(constant: str, shape: str) -> None:
    module, _, name = constant.rpartition(".")
    assert (
        getattr(importlib.import_module(f"{PACKAGE}.{module}"), name) == load_service_model().get_shape(shape).maximum
    )
