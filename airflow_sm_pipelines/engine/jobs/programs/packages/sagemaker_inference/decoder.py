"""Reads arrays out of requests."""

from __future__ import annotations

import io
from typing import Any

import sagemaker_toolkit_parts as parts  # type: ignore[import-not-found]  # beside this package


def decode(obj: Any, content_type: str) -> Any:
    """Read an array in a content type; CSV as numbers, with nan for what is none."""
    if content_type == parts.CSV:
        import numpy

        return numpy.genfromtxt(io.StringIO(obj.decode() if isinstance(obj, bytes) else obj), delimiter=",")
    if content_type == parts.NPZ:
        import scipy.sparse  # type: ignore[import-untyped]

        return scipy.sparse.load_npz(io.BytesIO(obj))
    return parts.decode(obj, content_type)


__getattr__ = parts.refuse_missing(__name__, "sagemaker_inference")
