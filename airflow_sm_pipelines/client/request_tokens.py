"""Idempotency tokens: the same intention always gives the same ``ClientRequestToken``, in whichever process it is made.

SageMaker answers a repeated token and request with the execution it already started.
"""

from __future__ import annotations

import hashlib


def make_token(*parts: object) -> str:
    """A token of 64 characters for what the parts name; the API takes 32 to 128 of ``[a-zA-Z0-9-]``."""
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def make_stop_token(execution_arn: str) -> str:
    """The token for stopping an execution, whoever asks."""
    return make_token("stop", execution_arn)
