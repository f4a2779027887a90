"""The limits of the service on a definition as a whole: sizes, names and lengths. Source: the shapes of its API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.pipeline import SCHEMA_VERSION
from airflow_sm_pipelines.definition.problems import suggest
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.policy.findings import Finding, Severity, find
from airflow_sm_pipelines.policy.shapes import compare_text, load_service_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonPath, PipelineDefinition

MAX_PARAMETERS = 200
"""How many parameters StartPipelineExecution takes."""

MAX_INLINE_CHARACTERS = 1_048_576
"""How long a definition may be in CreatePipeline's own request; source: the API's ``PipelineDefinition`` shape."""

MAX_DEFAULT_LENGTH = 4096
"""How long the default of a String parameter may be; source: the published JSON schema."""

RULE = "service-limits"


def check_limits(definition: PipelineDefinition) -> Iterator[Finding]:
    """Every name, length and count that is beyond what the service takes."""
    yield from _check_document(definition)
    for index, parameter in enumerate(definition.parameters):
        place: JsonPath = ("Parameters", index)
        yield from _check_text(parameter.name, "PipelineParameterName", (*place, "Name"), "the parameter's name")
        if isinstance(parameter.default, str) and len(parameter.default) > MAX_DEFAULT_LENGTH:
            yield find(
                RULE,
                Severity.WARNING,
                (*place, "DefaultValue"),
                f"the default of {parameter.name!r} has {len(parameter.default)} characters; "
                f"SageMaker's schema allows {MAX_DEFAULT_LENGTH}.",
                "Put it in a file on S3 and give its URI.",
            )
    for place, step in iter_step_places(definition):
        yield from _check_text(step.name, "StepName", (*place, "Name"), "the step's name")
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


def _check_text(text: str, shape_name: str, place: JsonPath, what: str) -> Iterator[Finding]:
    for mismatch in compare_text(text, load_service_model().shape_for(shape_name), place):
        yield find(RULE, mismatch.severity, place, f"{what}: {mismatch.message}", mismatch.fix)
