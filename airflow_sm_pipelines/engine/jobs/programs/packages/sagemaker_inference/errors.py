"""Errors of the serving toolkit, with which a server answers."""

from __future__ import annotations

import sagemaker_toolkit_parts as parts  # type: ignore[import-not-found]  # beside this package

UnsupportedFormatError = parts.UnsupportedFormatError


class BaseInferenceToolkitError(Exception):
    """An error with the status, message and phrase of an answer."""

    def __init__(self, status_code: int, message: str, phrase: str) -> None:
        super().__init__(status_code, message, phrase)
        self.status_code, self.message, self.phrase = status_code, message, phrase


class GenericInferenceToolkitError(BaseInferenceToolkitError):
    """The same, with defaults."""

    def __init__(self, status_code: int, message: str | None = None, phrase: str | None = None) -> None:
        message = message or "Invalid Request"
        super().__init__(status_code, message, phrase or message)


__getattr__ = parts.refuse_missing(__name__, "sagemaker_inference")
