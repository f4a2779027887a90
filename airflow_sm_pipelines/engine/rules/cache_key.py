"""The key under which a cached result is found again.

:mod:`~airflow_sm_pipelines.definition.cache_identity` says which members of a step are part of it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonObject, JsonValue


def make_cache_key(step_type: str, fields: JsonObject, *more: JsonValue) -> str:
    """The digest of all that decides whether a step may take a cached result.

    :param fields: the members of the step that count, resolved.
    :param more: what else counts on this machine, such as the code of a stand-in.
    """
    text = json.dumps([step_type, fields, *more], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
