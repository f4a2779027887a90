"""Decodes payloads and encodes predictions as the SageMaker serving toolkits do if the script of a model does not.

The programs in this directory import it. Source: aws/sagemaker-inference-toolkit (decoder.py,
encoder.py), aws/sagemaker-scikit-learn-container (serving.py), aws/sagemaker-xgboost-container (encoder.py),
aws/sagemaker-pytorch-inference-toolkit (default_pytorch_inference_handler.py).
"""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING, Any

from payload_stream import ServingError  # type: ignore[import-not-found]  # in the directory of this script

if TYPE_CHECKING:
    from collections.abc import Iterable

CSV, JSON, JSON_LINES, NPY = "text/csv", "application/json", "application/jsonlines", "application/x-npy"
TEXT_TYPES = (CSV, JSON)


def decode(body: bytes | str, content_type: str) -> Any:
    """A payload as a NumPy array.

    :raises ServingError: there is no decoder for this content type.
    """
    import numpy

    if content_type == NPY:
        return numpy.load(io.BytesIO(body if isinstance(body, bytes) else body.encode()), allow_pickle=False)
    text = body if isinstance(body, str) else body.decode("utf-8")
    if content_type == JSON:
        return numpy.array(json.loads(text))
    if content_type == CSV:
        return numpy.genfromtxt(io.StringIO(text), dtype=None, delimiter=",", encoding="utf-8")
    raise ServingError(
        f"ClientError: unsupported content type '{content_type}'; the default input_fn takes {CSV}, {JSON} and {NPY}."
    )


def decode_matrix(body: bytes | str, content_type: str) -> Any:
    """A payload, CSV without label or libsvm, as a matrix of XGBoost.

    :raises ServingError: there is no decoder for this content type, or the payload is of another type.
    """
    import numpy
    import xgboost

    text = (body if isinstance(body, str) else body.decode("utf-8")).strip()
    try:
        if content_type == CSV:
            delimiter = csv.Sniffer().sniff(text.split("\n", 1)[0][:512]).delimiter if "," not in text else ","
            rows = csv.reader(
                io.StringIO(text), delimiter="," if delimiter.isalnum() or delimiter == "." else delimiter
            )
            return xgboost.DMatrix(numpy.array(read_numbers(rows), dtype="float64"))
        if content_type in ("text/libsvm", "text/x-libsvm"):
            return xgboost.DMatrix(_read_libsvm(text))
    except (ValueError, csv.Error) as error:
        raise ServingError(f"ClientError: Loading {content_type} data failed with Exception: {error}") from error
    raise ServingError(
        f"ClientError: Content-type {content_type} not supported. Supported content-type is {CSV}, text/libsvm."
    )


def read_numbers(rows: Iterable[list[str]]) -> list[list[float]]:
    """The numbers of CSV rows of one length; an empty field is NaN.

    :raises ValueError: a field is no number, or a row is shorter or longer than the first.
    """
    found: list[list[float]] = []
    for number, row in enumerate(rows, start=1):
        found.append([])
        for place, item in enumerate(row, start=1):
            try:
                found[-1].append(float(item) if item.strip() else math.nan)
            except ValueError:
                raise ValueError(f"line {number}, field {place}: could not convert string to float: {item!r}") from None
        if len(row) != len(found[0]):
            raise ValueError(f"line {number} has {len(row)} fields, the first has {len(found[0])}")
    return found


def _read_libsvm(text: str) -> Any:
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

    rows, columns, values = [], [], []
    for number, line in enumerate(text.split("\n")):
        for item in line.split():
            column, colon, value = item.partition(":")
            if colon:
                try:
                    columns.append(int(column))
                    values.append(float(value))
                except ValueError:
                    raise ValueError(f"line {number + 1}: {item!r} is not index:value") from None
                rows.append(number)
    if not rows:
        raise ValueError(f"the first line, {text.partition(chr(10))[0][:50]!r}, has no index:value.")
    return csr_matrix((values, (rows, columns)), shape=(text.count("\n") + 1, max(columns, default=0) + 1))


def encode(prediction: Any, accept: str) -> bytes:
    """A prediction as bytes of the type that the client accepts.

    :raises ServingError: there is no encoder for this type.
    """
    import numpy

    if accept in ("", "*/*", JSON):
        return json.dumps(prediction.tolist() if hasattr(prediction, "tolist") else prediction).encode()
    if accept == CSV:
        buffer = io.StringIO()
        numpy.savetxt(buffer, numpy.atleast_1d(prediction), delimiter=",", fmt="%s")
        return buffer.getvalue().encode()
    if accept == JSON_LINES:
        return "".join(json.dumps(item) + "\n" for item in numpy.atleast_1d(prediction).tolist()).encode()
    if accept == NPY:
        binary = io.BytesIO()
        numpy.save(binary, prediction)
        return binary.getvalue()
    raise ServingError(
        f"ClientError: unsupported accept '{accept}'; the default output_fn gives {CSV}, {JSON}, {JSON_LINES}, {NPY}."
    )
