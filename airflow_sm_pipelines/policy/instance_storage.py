"""Instance types that have a disk of their own, which the hardware encrypts.

The API refuses ``VolumeKmsKeyId`` for them. Source: the documentation of ``VolumeKmsKeyId`` and EC2's table of instance
store volumes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.expressions import is_expression

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonValue, Step
    from airflow_sm_pipelines.policy.possible_values import ValueFinder

_LOCAL = re.compile(r"ml\.(?:[cmr]\d+[agi]?d[n]?|x\d\w*|g4dn|g[56]e?|p3dn|p[45]\w*|trn\d\w*)\.")


def has_local_storage(cluster: JsonValue, step: Step | None, finder: ValueFinder) -> bool:
    """Whether one of the possible instance types has a disk of its own.

    :param cluster: the object that describes the instances, such as a ``ResourceConfig``.
    """
    if isinstance(cluster, list):
        return any(has_local_storage(item, step, finder) for item in cluster)
    if not isinstance(cluster, dict) or is_expression(cluster):
        return False
    values = finder.find(cluster.get("InstanceType"), step).values
    if any(isinstance(value, str) and _LOCAL.match(value) for value in values):
        return True
    return any(has_local_storage(item, step, finder) for item in cluster.values() if isinstance(item, (dict, list)))
