"""The rule on the service's limits: sizes, names and lengths. Source: the shapes of the API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.pipeline import SCHEMA_VERSION
from airflow_sm_pipelines.definition.problems import suggest
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.definition.steps import MAX_ITERATED_NAME, MAX_STEP_NAME
from airflow_sm_pipelines.policy.fault_messages import describe_fault
from airflow_sm_pipelines.policy.findings import Finding, Severity, find
from airflow_sm_pipelines.service_model import judge_value, load_service_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonPath, PipelineDefinition

MAX_PARAMETERS = 200
"""How many parameters StartPipelineExecution takes."""

MAX_INLINE_CHARACTERS = 1_048_576
"""How long a definition may be in CreatePipeline's own request; source: the API's ``PipelineDefinition`` shape."""

_PARAMETER_VALUE = "String1024"
"""The API's shape of a parameter's value. An execution shows each of its values, so a default must fit it too. The
published JSON schema allows 4096 characters, but no call could give such a value and no answer could show it."""

RULE = "service-limits"


def check_limits(definition: PipelineDefinition) -> Iterator[Finding]:
    """Find every name, length and count that is beyond what the service takes."""
    yield from _check_document(definition)
    for index, parameter in enumerate(definition.parameters):
        place: JsonPath = ("Parameters", index)
        yield from _check_text(parameter.name, "PipelineParameterName", (*place, "Name"), "the parameter's name")
        if isinstance(parameter.default, str):
            what = f"the default of {parameter.name!r}"
            fix = "Put it in a file on S3 and give its URI."
            yield from _check_text(parameter.default, _PARAMETER_VALUE, (*place, "DefaultValue"), what, fix)
    for place, step in iter_step_places(definition):
        yield from _check_text(step.name, "StepName", (*place, "Name"), "the step's name")
        if "ForEachBody" in place and MAX_ITERATED_NAME < len(step.name) <= MAX_STEP_NAME:
            yield find(
                RULE,
                Severity.ERROR,
                (*place, "Name"),
                f"the name of step {step.name!r} has {len(step.name)} characters; in a ForEach body it may have "
                f"{MAX_ITERATED_NAME}, since its iterations are called '<name>-<index>'.",
                "Shorten it.",
            )
        for key, text, shape in (
            ("DisplayName", step.display_name, "StepDisplayName"),
            ("Description", step.description, "StepDescription"),
        ):
            if text:
                yield from _check_text(text, shape, (*place, key), f"the {key} of step {step.name!r}")


def _check_document(definition: PipelineDefinition) -> Iterator[Finding]:
    if definition.version != SCHEMA_VERSION:
        yield find(
            RULE,
            Severity.WARNING,
            ("Version",),
            f"{definition.version!r} is not a version of the pipeline definition that is known here.",
            f"Write {SCHEMA_VERSION!r}.",
        )
    if not definition.steps:
        yield find(RULE, Severity.WARNING, ("Steps",), "the pipeline has no steps.", "Add one.")
    if len(definition.parameters) > MAX_PARAMETERS:
        count = len(definition.parameters)
        yield find(
            RULE,
            Severity.WARNING,
            ("Parameters",),
            f"the pipeline has {count} parameters; an execution can be given {MAX_PARAMETERS}.",
            "Gather related ones in a file on S3.",
        )
    size = len(json.dumps(definition.to_json()))
    if size > MAX_INLINE_CHARACTERS:
        yield find(
            RULE,
            Severity.WARNING,
            (),
            f"the definition has {size} characters; a request takes {MAX_INLINE_CHARACTERS}.",
            "Upload it to S3 and pass PipelineDefinitionS3Location.",
        )
    known = ("Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps")
    for key in definition.extra:
        yield find(
            "unknown-key",
            Severity.WARNING,
            (key,),
            f"{key!r} is not a key of a pipeline definition that is known here.{suggest(key, known)}",
        )


def _check_text(text: str, shape_name: str, place: JsonPath, what: str, fix: str = "") -> Iterator[Finding]:
    for fault in judge_value(text, load_service_model().get_shape(shape_name)).faults:
        _, message, own_fix = describe_fault(fault)
        yield find(RULE, Severity.ERROR, place, f"{what}: {message}", own_fix or fix)
