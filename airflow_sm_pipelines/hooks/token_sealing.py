"""Callback tokens on their way through Airflow: sealed with Airflow's Fernet key, opened only by the task that answers.

Whoever has a token may end its step, and XComs, asset events and rendered arguments are shown to whoever may read the
DAG. The key is ``[core] fernet_key``, with which Airflow keeps connections; worker and triggerer must have the same.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow_sm_pipelines.exceptions import PipelineRequestError

_PREFIX = "sealed:"

log = logging.getLogger(__name__)


def seal_token(token: str) -> str:
    """The token, sealed, also if it is already; as it is, with a warning, where Airflow has no Fernet key."""
    if token.startswith(_PREFIX):
        return token
    fernet = _fernet()
    if not fernet.is_encrypted:
        log.warning("[core] fernet_key is empty: the token of a Callback step is kept readable.")
        return token
    return _PREFIX + str(fernet.encrypt(token.encode()).decode())


def open_token(text: str) -> str:
    """The token that :func:`seal_token` sealed, from now on masked in logs; a token that is not sealed as it is.

    For tasks that answer by themselves; :class:`SageMakerAnswerCallbackOperator` opens what it is given.

    :raises PipelineRequestError: if it was sealed with a key that this process does not have.
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
    # Not airflow.sdk.crypto: where a home has no airflow.cfg yet it takes the template's '{FERNET_KEY}' for a key.
    from airflow.models.crypto import get_fernet

    return get_fernet()
