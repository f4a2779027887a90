"""Reads what requests say of themselves."""

from __future__ import annotations

import re
from typing import Any

import sagemaker_toolkit_parts as parts  # type: ignore[import-not-found]  # beside this package

_CONTENT_TYPE = re.compile("[Cc]ontent-?[Tt]ype")


def retrieve_content_type_header(request_property: Any) -> Any:
    """The content type of a request, however it is spelt; None if it has none."""
    return next((request_property[key] for key in request_property if _CONTENT_TYPE.match(key)), None)


def parse_accept(accept: str) -> list[str]:
    """The types in an Accept header."""
    return accept.replace(" ", "").split(",")


__getattr__ = parts.refuse_missing(__name__, "sagemaker_inference")
