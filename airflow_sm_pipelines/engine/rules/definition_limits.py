"""Limits of the texts in a definition: the API shows these texts in its answers, so they must fit there.

Source: the API model's shapes PipelineParameterName, String1024, StepName, StepDisplayName, StepDescription,
ExperimentEntityName, MlflowExperimentName, MlflowArn.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.parameters import MAX_VALUE_LENGTH
from airflow_sm_pipelines.definition.step_places import iter_places
from airflow_sm_pipelines.definition.steps import MAX_ITERATED_NAME, MAX_STEP_NAME, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.definition import JsonValue, Parameter, PipelineDefinition, Step

_PARAMETER_NAME = re.compile(r"[A-Za-z0-9\-_]{1,256}")
MAX_ENTITY_NAME = 120
_STEP_NAME = re.compile(r"[A-Za-z0-9\-_]{1,64}")
_MAX_DISPLAY_NAME = 256
_MAX_DESCRIPTION = 3072
_ENTITY_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,119}")
_MLFLOW_ARN = re.compile(r"arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:mlflow-[a-zA-Z-]*/.*")
_EXPERIMENT_MEMBERS = ("ExperimentName", "TrialName")
_MLFLOW_MEMBERS = ("MlflowResourceArn", "MlflowExperimentName")
_MAX_MLFLOW_NAME = 256


def find_text_faults(definition: PipelineDefinition) -> list[str]:
    """What is wrong with texts of parameters and steps: names, descriptions, defaults, cache expiries. In sentences."""
    faults = [fault for parameter in definition.parameters for fault in _parameter_faults(parameter)]
    for place in iter_places(definition):
        limit = MAX_ITERATED_NAME if place.is_template else MAX_STEP_NAME
        faults.extend(_step_faults(place.step, limit))
    return faults


def find_storage_fault(text: str) -> str | None:
    """What in the text of a definition the engine could not store, or None."""
    if '"$time"' in text:
        return "An object has the member '$time', which the local engine needs for itself: give it another name."
    if "\\ud" in text.lower():
        try:
            json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            return "A text holds half of a surrogate pair (\\ud800 to \\udfff), which is no character."
    return None


def find_experiment_fault(config: Mapping[str, JsonValue]) -> str | None:
    """What is wrong with a resolved PipelineExperimentConfig, or None."""
    for name, value in config.items():
        if name not in _EXPERIMENT_MEMBERS:
            return f"It has no member '{name:.100}'; there are {' and '.join(_EXPERIMENT_MEMBERS)}."
        if not isinstance(value, str) or not is_entity_name(value):
            return f"{name} must be up to 120 letters, digits, and hyphens between them; found {_quote(value)}."
    return None


def find_mlflow_fault(config: Mapping[str, JsonValue]) -> str | None:
    """What is wrong with a resolved MlflowConfig, or None."""
    for name, value in config.items():
        if name not in _MLFLOW_MEMBERS:
            return f"It has no member '{name:.100}'; there are {' and '.join(_MLFLOW_MEMBERS)}."
        if name == "MlflowExperimentName" and not (isinstance(value, str) and 0 < len(value) <= _MAX_MLFLOW_NAME):
            return f"{name} must be text of up to {_MAX_MLFLOW_NAME} characters; found {_quote(value)}."
    arn = config.get("MlflowResourceArn")
    if arn is not None and not _MLFLOW_ARN.fullmatch(str(arn)):
        return f"MlflowResourceArn is not the ARN of an MLflow resource: {_quote(arn)}."
    return None


def is_entity_name(text: str) -> bool:
    """Whether an experiment, a trial or a trial component may have this name."""
    return _ENTITY_NAME.fullmatch(text) is not None and len(text) <= MAX_ENTITY_NAME


def _parameter_faults(parameter: Parameter) -> Iterator[str]:
    if not _PARAMETER_NAME.fullmatch(parameter.name):
        yield (
            f"A parameter is called {_quote(parameter.name)}; the name of a parameter has up to 256 letters, digits,"
            " hyphens and underscores."
        )
    if isinstance(parameter.default, str) and len(parameter.default) > MAX_VALUE_LENGTH:
        yield (
            f"The default of parameter '{parameter.name:.256}' has {len(parameter.default)} characters; at most"
            f" {MAX_VALUE_LENGTH} are allowed. Put it in a file on S3 and give its URI."
        )


def _step_faults(step: Step, limit: int) -> Iterator[str]:
    if not _STEP_NAME.fullmatch(step.name):
        yield (
            f"A step is called {_quote(step.name)}; the name of a step has up to {MAX_STEP_NAME} letters, digits,"
            " hyphens and underscores."
        )
    elif len(step.name) > limit:
        yield (
            f"Step '{step.name}' of a ForEach body has a name of {len(step.name)} characters; its iterations are called"
            f" <name>-<index>, so use at most {limit}."
        )
    for what, text, longest in (
        ("DisplayName", step.display_name, _MAX_DISPLAY_NAME),
        ("Description", step.description, _MAX_DESCRIPTION),
    ):
        if text is not None and len(text) > longest:
            yield f"The {what} of step '{step.name:.64}' has {len(text)} characters; at most {longest} are allowed."
    expiry = step.cache_config.expire_after if step.cache_config else None
    if expiry is not None and parse_duration(expiry) is None:
        yield (
            f"The ExpireAfter of step '{step.name:.64}' is no duration: {_quote(expiry)}. Write ISO 8601, as 'P30D' or"
            " 'PT12H'."
        )


def _quote(value: JsonValue) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
