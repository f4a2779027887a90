"""Reads DMatrix objects out of requests."""

from __future__ import annotations

import csv
import json
import tempfile
from typing import TYPE_CHECKING, Any

import sagemaker_toolkit_parts as parts  # type: ignore[import-not-found]  # beside this package

if TYPE_CHECKING:
    from collections.abc import Callable


def csv_to_dmatrix(input: Any, dtype: Any = None) -> Any:
    """Read rows of numbers without a label. An empty field is nan."""
    import numpy
    import xgboost

    text = input.decode() if isinstance(input, bytes) else input
    delimiter = csv.Sniffer().sniff(text.split("\n")[0][:512]).delimiter
    delimiter = "," if delimiter.isalnum() else delimiter
    rows = [[word or "nan" for word in line.split(delimiter)] for line in text.split("\n")]
    return xgboost.DMatrix(numpy.array(rows).astype(dtype))


def libsvm_to_dmatrix(string_like: Any) -> Any:
    """Read lines of libsvm."""
    import xgboost

    with tempfile.NamedTemporaryFile() as file:
        file.write(string_like.encode() if isinstance(string_like, str) else bytes(string_like))
        file.flush()
        return xgboost.DMatrix(f"{file.name}?format=libsvm")


def json_to_jsonlines(json_data: Any) -> bytes:
    """The list in a JSON object of one member, with a line for each entry."""
    content = json_data if isinstance(json_data, dict) else json.loads(json_data)
    if len(content) != 1:
        raise ValueError("JSON response is not compatible for conversion to jsonlines.")
    return b"".join(json.dumps(entry).encode() + b"\n" for value in content.values() for entry in value)


_DECODERS: dict[str, Callable[[Any], Any]] = {
    parts.CSV: csv_to_dmatrix,
    "text/libsvm": libsvm_to_dmatrix,
    "text/x-libsvm": libsvm_to_dmatrix,
}


def decode(obj: Any, content_type: str) -> Any:
    """Read a DMatrix in a content type."""
    kind = content_type.partition(";")[0].strip()
    if kind not in _DECODERS:
        raise parts.UnsupportedFormatError(kind)
    return _DECODERS[kind](obj)


__getattr__ = parts.refuse_missing(__name__, "sagemaker_xgboost_container (from GitHub)")
