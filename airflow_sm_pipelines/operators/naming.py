"""Names that SageMaker accepts, made from names that Airflow uses."""

from __future__ import annotations

import hashlib
import re

MAX_DISPLAY_NAME = 82
"""Characters of an execution's display name; source: the API's ``PipelineExecutionName`` shape."""


def make_display_name(text: str, *, fallback: str = "airflow") -> str:
    """The text as an execution's display name: ``[a-zA-Z0-9](-*[a-zA-Z0-9]){0,81}``.

    A text that is too long is cut, and ends in a digest of the whole, so that two long names stay apart.
    """
    name = re.sub(r"[^a-zA-Z0-9]+", "-", text).strip("-")
    if not name:
        return fallback
    if len(name) <= MAX_DISPLAY_NAME:
        return name
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()[:8]
    return f"{name[: MAX_DISPLAY_NAME - 9].rstrip('-')}-{digest}"
