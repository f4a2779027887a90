"""The payloads that a batch transform makes from its input files, and the output files it makes from the answers.

What belongs here: ``SplitType``, ``BatchStrategy``, ``MaxPayloadInMB``, ``DataProcessing``, ``AssembleWith``. What does
not: the model, and S3.

Choices where the service's behaviour is not documented: blank lines are not records. ``MaxPayloadInMB`` limits what is
sent, after ``InputFilter``. ``AssembleWith: Line`` adds no line end to an answer that has one. Joined and filtered
records always get a line end each.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

from airflow_sm_pipelines.engine.jobs.failures import JobFailure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.definition import JsonValue


RecordFormat: TypeAlias = Literal["csv", "json"]
_FORMATS: dict[str, RecordFormat] = {
    "text/csv": "csv",
    "application/json": "json",
    "application/jsonlines": "json",
}
_DEFAULT_PAYLOAD_MB = 6
_MEGABYTE = 1 << 20


_STEP = re.compile(
    r"\.?\[(?P<names>\s*'[^']*'(?:\s*,\s*'[^']*')*\s*)\]"
    r"|\.?\[(?P<positions>\s*-?\d+(?:\s*,\s*-?\d+)*\s*)\]"
    r"|\.?\[(?P<slice>\s*-?\d*\s*:\s*-?\d*\s*)\]"
    r"|\.?\[(?P<every>\*)\]|\.(?P<star>\*)"
    r"|\.(?P<name>[^.\[\]]+)"
)


@dataclass(frozen=True, slots=True)
class _Names:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Positions:
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RecordPath:
    """A parsed ``InputFilter`` or ``OutputFilter``, which are written in a part of JSONPath.

    Source: developer guide, "Associate prediction results with input records": ``$``, ``.name``, ``*``,
    ``['a','b']``, ``[0,-1]``, ``[1:3]``. Where the guide says nothing, the result is that of Jayway, which has this
    grammar: several names give an object, several positions give a list.

    :param text: as it was written.
    :param steps: names, positions, a slice, or None for every child.
    """

    text: str
    steps: tuple[_Names | _Positions | slice | None, ...]

    @property
    def is_whole(self) -> bool:
        """Whether it is ``$``, the whole record."""
        return not self.steps

    def select(self, record: JsonValue) -> JsonValue:
        """What the path selects in a record.

        :raises JobFailure: there is nothing.
        """
        value = record
        for step in self.steps:
            value = self._take(value, step)
        return value

    def _take(self, value: JsonValue, step: _Names | _Positions | slice | None) -> JsonValue:
        if isinstance(step, _Names) and isinstance(value, dict):
            missing = [name for name in step.names if name not in value]
            if not missing:
                one = len(step.names) == 1
                return value[step.names[0]] if one else {name: value[name] for name in step.names}
        elif isinstance(step, _Positions) and isinstance(value, list):
            if all(-len(value) <= position < len(value) for position in step.positions):
                chosen = [value[position] for position in step.positions]
                return chosen[0] if len(chosen) == 1 else chosen
        elif isinstance(step, slice) and isinstance(value, list):
            return value[step]
        elif step is None and isinstance(value, (list, dict)):
            return [*value.values()] if isinstance(value, dict) else value
        raise JobFailure(f"ClientError: the path '{self.text}' finds nothing in a record such as {value!r:.200}")


def parse_record_path(text: str) -> RecordPath:
    """Parse a filter.

    :raises JobFailure: it is not in this part of JSONPath.
    """
    if not text.startswith("$"):
        raise JobFailure(f"ClientError: the filter '{text}' does not begin with '$'.")
    steps: list[_Names | _Positions | slice | None] = []
    position = 1
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise JobFailure(f"ClientError: the filter '{text}' cannot be read at '{text[position:]}'.")
        position = match.end()
        if match["names"] is not None:
            steps.append(_Names(tuple(re.findall(r"'([^']*)'", match["names"]))))
        elif match["positions"] is not None:
            steps.append(_Positions(tuple(int(number) for number in match["positions"].split(","))))
        elif match["slice"] is not None:
            start, _, end = (part.strip() for part in match["slice"].partition(":"))
            steps.append(slice(int(start) if start else None, int(end) if end else None))
        elif match["name"] is not None:
            steps.append(_Names((match["name"].strip(),)))
        else:
            steps.append(None)
    return RecordPath(text, tuple(steps))


@dataclass(frozen=True, slots=True)
class Payload:
    """One request to the model: its records, and the bytes to send."""

    records: tuple[bytes, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class TransformPlan:
    """What a ``CreateTransformJob`` request says about records.

    :param is_split: whether each line of an input file is a record.
    :param is_single: whether each payload has only one record.
    :param is_assembled: whether every answer ends with a line end.
    :param max_bytes: the maximal size of a payload; None without a limit.
    :param is_joined: whether each result is joined to its record.
    """

    content_type: str | None
    accept: str | None
    is_split: bool
    is_single: bool
    is_assembled: bool
    max_bytes: int | None
    input_filter: RecordPath
    output_filter: RecordPath
    is_joined: bool

    @property
    def reads_results(self) -> bool:
        """Whether the answers must be split into records."""
        return self.is_joined or not self.output_filter.is_whole

    def iter_payloads(self, file: IO[bytes], name: str) -> Iterator[Payload]:
        """The payloads of one input file.

        :raises JobFailure: a record is larger than a payload may be, or a filter finds nothing in it.
        """
        batch: list[bytes] = []
        sent: list[bytes] = []
        size = 0
        for record in self._iter_records(file):
            body = self._filter_input(record)
            if self.max_bytes is not None and len(body) > self.max_bytes:
                advice = "" if self.is_split else " Set SplitType to Line, or"
                raise JobFailure(
                    f"ClientError: '{name}' has {'a record' if self.is_split else 'a payload'} of {len(body)} bytes, "
                    f"and MaxPayloadInMB allows {self.max_bytes}.{advice} raise MaxPayloadInMB."
                )
            is_full = self.max_bytes is not None and size + len(body) + 1 > self.max_bytes
            if batch and (self.is_single or is_full):
                yield Payload(tuple(batch), b"\n".join(sent))
                batch, sent, size = [], [], 0
            batch.append(record)
            sent.append(body)
            size += len(body) + 1
        if batch:
            yield Payload(tuple(batch), b"\n".join(sent))

    def assemble(self, payload: Payload, answer: bytes) -> bytes:
        """The part of the output file that is made from an answer.

        :raises JobFailure: the results cannot be matched with the records.
        """
        if not self.reads_results:
            return answer + b"\n" if self.is_assembled and not answer.endswith(b"\n") else answer
        results = [line for line in answer.splitlines() if line.strip()] if self.is_split else [answer]
        if self.is_joined and len(results) != len(payload.records):
            raise JobFailure(
                f"ClientError: the model gave {len(results)} results for {len(payload.records)} records; to join them "
                "it must give one line for each, in the same order. BatchStrategy SingleRecord sends one at a time."
            )
        form = _find_format(self.accept or self.content_type)
        sources = payload.records if self.is_joined else (b"",) * len(results)
        parts = []
        for source, result in zip(sources, results):  # noqa: B905 - equally long, see above
            value = _parse_record(result, form)
            if self.is_joined:
                value = _join_records(_parse_record(source, form), value, form)
            parts.append(_write_record(self.output_filter.select(value), form) + b"\n")
        return b"".join(parts)

    def _iter_records(self, file: IO[bytes]) -> Iterator[bytes]:
        if not self.is_split:
            if body := file.read():
                yield body
            return
        for line in file:
            if record := line.rstrip(b"\r\n"):
                yield record

    def _filter_input(self, record: bytes) -> bytes:
        if self.input_filter.is_whole:
            return record
        form = _find_format(self.content_type)
        return _write_record(self.input_filter.select(_parse_record(record, form)), form)


def plan_transform(request: Mapping[str, Any]) -> TransformPlan:
    """Read the parts of a request that concern records.

    :raises JobFailure: they contradict each other, or do not work locally.
    """
    source, target = request["TransformInput"], request["TransformOutput"]
    split = source.get("SplitType") or "None"
    if split not in ("None", "Line"):
        raise JobFailure(f"ClientError: SplitType {split} does not work locally; use None or Line.")
    processing = request.get("DataProcessing") or {}
    limit = request.get("MaxPayloadInMB")
    megabytes = _DEFAULT_PAYLOAD_MB if limit is None else int(limit)
    plan = TransformPlan(
        content_type=source.get("ContentType"),
        accept=target.get("Accept"),
        is_split=split == "Line",
        is_single=request.get("BatchStrategy") == "SingleRecord",
        is_assembled=target.get("AssembleWith") == "Line",
        max_bytes=megabytes * _MEGABYTE if megabytes else None,
        input_filter=parse_record_path(processing.get("InputFilter") or "$"),
        output_filter=parse_record_path(processing.get("OutputFilter") or "$"),
        is_joined=processing.get("JoinSource", "None") == "Input",
    )
    _check(plan)
    return plan


def _check(plan: TransformPlan) -> None:
    if not plan.input_filter.is_whole:
        _find_format(plan.content_type)
    if not plan.reads_results:
        return
    accepted = _find_format(plan.accept or plan.content_type)
    if plan.is_joined and _find_format(plan.content_type) != accepted:
        raise JobFailure(
            f"ClientError: to join input and output, ContentType ('{plan.content_type}') and Accept ('{plan.accept}') "
            "must be of the same kind."
        )


def _find_format(content_type: str | None) -> RecordFormat:
    """The format of the records of a content type.

    :raises JobFailure: records of this type have no parts that a filter can select.
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind not in _FORMATS:
        raise JobFailure(
            f"ClientError: DataProcessing works on {', '.join(_FORMATS)}; the content type is '{content_type}'."
        )
    return _FORMATS[kind]


def _parse_record(data: bytes, form: RecordFormat) -> JsonValue:
    """Parse one record: the columns of a CSV line, or a JSON value.

    :raises JobFailure: it is not of this format.
    """
    try:
        text = data.decode("utf-8")
        if form == "csv":
            return [*next(csv.reader([text]), [])]
        value: JsonValue = json.loads(text)
    except (ValueError, csv.Error) as error:
        raise JobFailure(f"ClientError: the record {data[:100]!r} is not {form}: {error}") from error
    return value


def _write_record(value: JsonValue, form: RecordFormat) -> bytes:
    """One record as bytes, without a line end."""
    if form == "json":
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(_columns(value))
    return buffer.getvalue().encode()


def _join_records(source: JsonValue, result: JsonValue, form: RecordFormat) -> JsonValue:
    """Join an input record with its result (``JoinSource: Input``).

    CSV columns are appended. A JSON object gets ``SageMakerOutput``; any other JSON value becomes an object of
    ``SageMakerInput`` and ``SageMakerOutput``. Source: developer guide, "Associate prediction results with input
    records".
    """
    if form == "csv":
        return [*_columns(source), *_columns(result)]
    if isinstance(source, dict):
        return {**source, "SageMakerOutput": result}
    return {"SageMakerInput": source, "SageMakerOutput": result}


def _columns(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else [value]
