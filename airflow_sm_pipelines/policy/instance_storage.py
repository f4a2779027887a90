"""Instance types that have a disk of their own, which the hardware encrypts.

The API refuses ``VolumeKmsKeyId`` for them. Source: the documentation of ``VolumeKmsKeyId`` and EC2's table of instance
store volumes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Missing
from airflow_sm_pipelines.policy.job_fields import JobFields, iter_field
from airflow_sm_pipelines.policy.possible_values import find_possible_values

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonValue, PipelineDefinition, Step

_LOCAL = re.compile(r"ml\.(?:[cmr]\d+[agi]?d[n]?|x\d\w*|g4dn|g[56]e?|p3dn|p[45]\w*|trn\d\w*)\.")


def has_local_storage(step: Step, fields: JobFields, definition: PipelineDefinition) -> bool:
    """Whether one of the step's possible instance types has a disk of its own."""
    values: list[JsonValue] = []
    for field in fields.instance_types:
        for _, value in iter_field(step.arguments, field):
            if not isinstance(value, Missing):
                values += find_possible_values(value, definition).values
    return any(isinstance(value, str) and _LOCAL.match(value) for value in values)
