"""Records of batch transform as values: lines of CSV, lines of JSON, and whole JSON documents. Pure.

Belongs here: reading and writing one record, joining a record with its result. Does not belong here: finding records
in files (:mod:`~airflow_sm_pipelines.engine.jobs.transform_payloads`).
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.failures import JobFailure

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonValue

CSV = "csv"
JSON = "json"
_FORMATS = {"text/csv": CSV, "application/json": JSON, "application/jsonlines": JSON}


def find_format(content_type: str | None) -> str:
    """Give the format of a content type: ``csv`` or ``json``.

    :raises JobFailure: records of this type have no parts that a filter could select.
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind not in _FORMATS:
        raise JobFailure(
            f"ClientError: DataProcessing works on {', '.join(_FORMATS)}; the content type is '{content_type}'."
        )
    return _FORMATS[kind]


def read_record(data: bytes, form: str) -> JsonValue:
    """Read one record: the columns of a CSV line, or a JSON value.

    :raises JobFailure: it is not of this format.
    """
    try:
        text = data.decode("utf-8")
        if form == CSV:
            return [*next(csv.reader([text]), [])]
        value: JsonValue = json.loads(text)
    except (ValueError, csv.Error) as error:
        raise JobFailure(f"ClientError: the record {data[:100]!r} is not {form}: {error}") from error
    return value


def write_record(value: JsonValue, form: str) -> bytes:
    """Write one record without a line end."""
    if form == JSON:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    columns = value if isinstance(value, list) else [value]
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(columns)
    return buffer.getvalue().encode()


def join_records(source: JsonValue, result: JsonValue, form: str) -> JsonValue:
    """Join an input record with its result (``JoinSource: Input``).

    CSV columns are appended. A JSON object gets ``SageMakerOutput``; any other JSON value becomes an object of
    ``SageMakerInput`` and ``SageMakerOutput``. Source: developer guide, as for the filters.
    """
    if form == CSV:
        return [*_columns(source), *_columns(result)]
    if isinstance(source, dict):
        return {**source, "SageMakerOutput": result}
    return {"SageMakerInput": source, "SageMakerOutput": result}


def _columns(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else [value]
