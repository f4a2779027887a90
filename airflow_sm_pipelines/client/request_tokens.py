"""Idempotency tokens: the same intention to start gives the same ``ClientRequestToken`` in every process.

SageMaker answers a repeated token and request with the execution that it already started.
"""

from __future__ import annotations

import hashlib
import uuid


def make_token(*parts: object) -> str:
    """A token of 64 characters made from the parts; the API takes 32 to 128 of ``[a-zA-Z0-9-]``."""
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def make_stop_token(execution_arn: str) -> str:
    """A token for stopping an execution now, another one each time.

    An execution that was stopped may have been resumed since, and must then be stopped again: SageMaker answers a
    repeated token without doing anything. A second stop of one that is stopping does no harm.
    """
    return make_token("stop", execution_arn, uuid.uuid4())
