"""The key under which a cached result is found again. Pure.

Which members of a step count is said by :mod:`~airflow_sm_pipelines.definition.cache_identity`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonObject, JsonValue


def make_cache_key(step_type: str, fields: JsonObject, *more: JsonValue) -> str:
    """The digest of what decides whether a cached result may take the place of a step.

    :param fields: the step's members that count, resolved.
    :param more: what else decides on this machine, such as the code of a stand-in.
    """
    text = json.dumps([step_type, fields, *more], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
