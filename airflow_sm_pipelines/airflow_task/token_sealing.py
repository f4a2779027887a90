"""Seals callback tokens with Airflow's Fernet key, and opens them in the task that answers.

Whoever has a token can end its step, and everybody who may read a DAG can see its XComs, asset events and rendered
arguments. The key is ``[core] fernet_key``, which also encrypts connections; workers and triggerer need the same one.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow_sm_pipelines.exceptions import PipelineRequestError

_PREFIX = "sealed:"

log = logging.getLogger(__name__)


def seal_token(token: str) -> str:
    """The token, sealed; a sealed one as it is. Without a Fernet key it stays readable, and the log has a warning."""
    if token.startswith(_PREFIX):
        return token
    fernet = _fernet()
    if not fernet.is_encrypted:
        log.warning("[core] fernet_key is empty: the token of a Callback step is kept readable.")
        return token
    return _PREFIX + str(fernet.encrypt(token.encode()).decode())


def open_token(text: str) -> str:
    """The token that :func:`seal_token` has sealed; a token that is not sealed as it is. Airflow masks it in logs.

    For tasks that answer without :class:`SageMakerAnswerCallbackOperator`, which opens tokens by itself.

    :raises PipelineRequestError: if the token was sealed with a key that this process does not have.
    """
    from airflow.sdk.log import mask_secret

    token = text
    if text.startswith(_PREFIX):
        fernet = _fernet()
        try:
            if not fernet.is_encrypted:
                raise ValueError("[core] fernet_key is empty here")
            token = fernet.decrypt(text.removeprefix(_PREFIX).encode()).decode()
        except Exception as error:
            # cryptography's InvalidToken; the library is Airflow's, not ours.
            raise PipelineRequestError(
                f"The callback token was sealed with another Fernet key ({type(error).__name__}): [core] fernet_key "
                f"of triggerer and workers must be the same.",
                code="InvalidToken",
            ) from error
    mask_secret(token)
    return token


def _fernet() -> Any:
    # Not airflow.sdk.crypto: in a home without airflow.cfg it takes the template's '{FERNET_KEY}' for a key.
    from airflow.models.crypto import get_fernet

    return get_fernet()
