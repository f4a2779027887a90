"""What a cached step is recognised by. Pure.

A step with ``CacheConfig`` may take the result of an earlier execution of its pipeline if these attributes of its
resolved request are the same. Source: developer guide, "Caching pipeline steps": S3 paths are compared, not what is
there; outputs, resources, role and stopping condition do not count.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.engine.rules.job_documents import JobKind

KEY_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "Processing": ("AppSpecification", "Environment", "ProcessingInputs"),
    "Training": (
        "AlgorithmSpecification",
        "CheckpointConfig",
        "DebugHookConfig",
        "DebugRuleConfigurations",
        "Environment",
        "HyperParameters",
        "InputDataConfig",
    ),
    "HyperParameterTuning": ("HyperParameterTuningJobConfig", "TrainingJobDefinition", "TrainingJobDefinitions"),
    "Transform": ("DataProcessing", "Environment", "ModelName", "TransformInput"),
}


def make_cache_key(kind: JobKind, request: Mapping[str, Any]) -> str:
    """The digest of the attributes of a job request that decide whether a cached result may stand in."""
    attributes = {name: request[name] for name in KEY_ATTRIBUTES[kind.name] if request.get(name) not in (None, {}, [])}
    text = json.dumps([kind.name, attributes], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
