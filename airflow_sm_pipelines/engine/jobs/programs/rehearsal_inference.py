"""Replaces the inference code of a model in a rehearsal: it answers each record with the same score."""

from __future__ import annotations

import json
from typing import Any

SCORE = 0.5


def model_fn(model_dir: str) -> object:
    """A model, which may be anything."""
    return object()


def transform_fn(model: object, data: Any, content_type: str | None, accept: str | None) -> tuple[str, str]:
    """A score for each line, or for a JSON document."""
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    records = [line for line in text.splitlines() if line.strip()]
    kind = (accept or content_type or "").partition(";")[0].strip().lower()
    if kind in ("application/jsonlines", "application/x-jsonlines"):
        return "".join(json.dumps({"score": SCORE}) + "\n" for _ in records), kind
    if kind == "application/json":
        return json.dumps({"predictions": [SCORE] * max(1, len(records))}), kind
    return f"{SCORE}\n" * len(records), kind or "text/csv"
