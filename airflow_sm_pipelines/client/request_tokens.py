"""Idempotency tokens: the same intention gives the same ``ClientRequestToken`` in every process.

SageMaker answers a repeated token and request with the execution that it already started.
"""

from __future__ import annotations

import hashlib


def make_token(*parts: object) -> str:
    """A token of 64 characters made from the parts; the API takes 32 to 128 of ``[a-zA-Z0-9-]``."""
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def make_stop_token(execution_arn: str) -> str:
    """The token for stopping an execution, the same for everybody who stops it."""
    return make_token("stop", execution_arn)
