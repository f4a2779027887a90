"""Finds the answers of Describe calls in documents: which call each answers, when its job ran, and who started it."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition.problems import list_names
from airflow_sm_pipelines.documents.values import iter_notebook_outputs, read_value_text
from airflow_sm_pipelines.exceptions import DefinitionError, MigrationError
from airflow_sm_pipelines.migrate.job_requests import REQUEST_KINDS, RequestKind
from airflow_sm_pipelines.service_model import load_service_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue

TAGS_ENDING = ".tags.json"
"""How the name of a file ends that has the tags of the job in the file of the same name without it."""

_ENDS = ("TrainingEndTime", "ProcessingEndTime", "TransformEndTime", "HyperParameterTuningEndTime", "EndTime")
_STARTERS = {
    "TuningJobArn": "the tuning job",
    "AutoMLJobArn": "the AutoML job",
    "LabelingJobArn": "the labeling job",
    "MonitoringScheduleArn": "the monitoring schedule",
    "TrainingJobArn": "the training job whose rules it checked",
}
_OF_PIPELINE = re.compile(r"pipelines-[a-z0-9]{12}-")


@dataclass(frozen=True, slots=True)
class DescribedJob:
    """One Describe answer.

    :param source: the document; if it holds several answers, also the place in it.
    :param index: its position among all answers.
    :param created: aware; None if the answer does not say.
    :param ended: aware; when the result existed. A thing that is made at once ended when it was created.
    """

    source: str
    index: int
    kind: RequestKind
    answer: JsonObject
    created: datetime | None
    ended: datetime | None

    @property
    def name(self) -> str:
        """The job's name."""
        return str(self.answer[self.kind.name_member])

    @property
    def arn(self) -> str:
        """The job's ARN."""
        return str(self.answer[self.kind.arn_member])

    @property
    def status(self) -> str:
        """The job's status; empty for a thing that has none."""
        for member in (f"{self.kind.noun}Status", f"{self.kind.noun.removesuffix('V2')}Status"):
            status = self.answer.get(member)
            if isinstance(status, str):
                return status
        return ""

    @property
    def starter(self) -> tuple[str, str] | None:
        """What started it, in words and by ARN; None if the user did."""
        for member, words in _STARTERS.items():
            arn = self.answer.get(member)
            if member != self.kind.arn_member and isinstance(arn, str) and arn:
                return words, arn
        return ("a pipeline", "") if _OF_PIPELINE.match(self.name) else None


def parse_described(documents: Sequence[tuple[str, JsonObject]]) -> list[DescribedJob]:
    """Every answer in the documents, in their order.

    :raises MigrationError: there is none, or an object answers no Describe call.
    """
    found: list[DescribedJob] = []
    tags = {file: document["Tags"] for file, document in documents if _is_tags(document)}
    for file, document in documents:
        if file in tags:
            continue
        for source, answer in _iter_answers(file, document):
            kind = _find_kind(source, answer)
            created = _read_time(answer.get("CreationTime"))
            ended = next((time for time in (_read_time(answer.get(member)) for member in _ENDS) if time), created)
            found.append(DescribedJob(source, len(found), kind, answer, created, ended))
    if not found:
        raise MigrationError("There is no job to migrate: give at least one document with a Describe answer.")
    return _add_tags(found, tags)


def _is_tags(document: JsonObject) -> bool:
    """Whether a document is the answer of ``list-tags``, which does not say whose tags they are."""
    return isinstance(document.get("Tags"), list) and document.keys() <= {"Tags", "NextToken"}


def _add_tags(found: list[DescribedJob], tags: Mapping[str, JsonValue]) -> list[DescribedJob]:
    """The jobs with their tags: those of ``train.tags.json`` belong to the one answer of ``train.json``."""
    tagged = {file.replace(TAGS_ENDING, ".json"): (file, listed) for file, listed in tags.items()}
    jobs = []
    for job in found:
        listed = tagged.pop(job.source, ("", None))[1]
        own = [one for one in listed if _is_own_tag(one)] if isinstance(listed, list) else []
        jobs.append(replace(job, answer={**job.answer, "Tags": own}) if own else job)
    if tagged:
        wanted, (file, _) = next(iter(tagged.items()))
        expected = (
            f"give the one answer that they belong to as {wanted}" if wanted != file else "call them JOB.tags.json"
        )
        raise MigrationError(f"{file}: these are tags, and nothing says whose: {expected}.")
    return jobs


def _is_own_tag(tag: JsonValue) -> bool:
    """Whether a user gave a tag; AWS gives its own, and lets nobody else give such a one."""
    return isinstance(tag, dict) and not str(tag.get("Key")).startswith("aws:")


def find_answers(text: str, *, name: str) -> JsonObject | None:
    """The answers of Describe calls in a text, as :func:`parse_jobs` takes them.

    :param text: an answer, a list of them, or what has printed some among other text: a notebook, a log. They may be
        JSON, or dicts as Python prints them.
    :param name: of the file.
    :return: None where there is none.
    """
    try:
        document = read_value_text(text, name=name)
        value = None if document is None else document.values[0]
    except (DefinitionError, IndexError):
        value = None
    if isinstance(value, list):
        return {"answers": value} if value else None
    texts = [text]
    if isinstance(value, dict):
        if not isinstance(value.get("cells"), list):
            return value
        texts = list(iter_notebook_outputs(value))
    found = [answer for one in texts for answer in _iter_printed(one)]
    return {"printed": cast("list[JsonValue]", found)} if found else None


def _iter_printed(text: str) -> Iterator[JsonObject]:
    """Each answer that a text has printed."""
    start = text.find("{")
    while start >= 0:
        end = _find_end(text, start)
        value = None
        if end is not None and any(kind.arn_member in text[start:end] for kind in REQUEST_KINDS):
            with suppress(DefinitionError):
                document = read_value_text(text[start:end], name="printed.txt")
                value = None if document is None else document.values[0]
        if isinstance(value, dict) and any(kind.arn_member in value for kind in REQUEST_KINDS):
            yield value
            start = text.find("{", end)
        else:
            start = text.find("{", start + 1)


def _find_end(text: str, start: int) -> int | None:
    """The end of the object that begins at a brace; None if it does not end within a megabyte."""
    depth, quote, index = 0, "", start
    while index < min(len(text), start + 1_000_000):
        character = text[index]
        if quote:
            if character == "\\":
                index += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character in "{}":
            depth += 1 if character == "{" else -1
            if not depth:
                return index + 1
        index += 1
    return None


def _iter_answers(file: str, document: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    if any(kind.arn_member in document for kind in REQUEST_KINDS):
        yield file, document
        return
    lists = {key: value for key, value in document.items() if isinstance(value, list) and value}
    if not lists:
        raise MigrationError(_explain_unknown(file, document))
    for key, entries in lists.items():
        for index, entry in enumerate(entries):
            place = f"{file}: {key}[{index}]"
            if not isinstance(entry, dict):
                raise MigrationError(f"{place}: expected the answer of a Describe call, found {entry!r:.60}.")
            yield place, entry


def _find_kind(source: str, answer: JsonObject) -> RequestKind:
    for kind in REQUEST_KINDS:
        if not {kind.name_member, kind.arn_member} <= answer.keys():
            continue
        if kind.noun == "AutoMLJobV2" and "AutoMLJobInputDataConfig" not in answer:
            continue
        create = load_service_model().get_request_shape(f"Create{kind.noun}")
        if answer.keys() & create.members.keys() - {kind.name_member, "ModelPackageGroupName", "ModelApprovalStatus"}:
            return kind
        raise MigrationError(
            f"{source}: this names the {kind.noun} {answer[kind.name_member]!r} but does not say what it does, like an "
            f"entry of a List answer. Expected the answer of Describe{kind.noun}: describe it by its name."
        )
    raise MigrationError(_explain_unknown(source, answer))


def _explain_unknown(source: str, answer: JsonObject) -> str:
    nouns = ", ".join(kind.noun for kind in REQUEST_KINDS)
    return (
        f"{source}: expected the answer of a SageMaker Describe call, with a name and an ARN, "
        f"found an object with the keys {list_names(answer)}. Known kinds: {nouns}."
    )


_PRINTED_TIME = re.compile(r"datetime\.datetime\((\d+(?:, ?\d+){2,6})\b")


def _read_time(value: JsonValue | None) -> datetime | None:
    """A time as the AWS CLI prints it: ISO text, or seconds or milliseconds if it is configured so."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        seconds = value / 1000 if value > 1e11 else value
        return datetime.fromtimestamp(seconds, tz=timezone.utc)
    if not isinstance(value, str):
        return None
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return _read_time(float(value))
    printed = _PRINTED_TIME.match(value)
    if printed is not None:
        # Its zone is an object of Python; without one, times of one file still compare.
        year, month, day, hour, minute, second, *_ = [*map(int, printed[1].split(",")), 0, 0, 0, 0]
        return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    # Python 3.10 reads neither a Z nor a fraction of one digit.
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?)(?:\.(\d+))?\s*(Z|[+-]\d\d:?\d\d)?", value.strip())
    if match is None:
        return None
    base, fraction, zone = match.groups()
    if zone in (None, "Z"):
        zone = "+00:00"
    elif ":" not in zone:
        zone = f"{zone[:3]}:{zone[3:]}"
    return datetime.fromisoformat(f"{base}.{(fraction or '0')[:6]:0<6}{zone}" if base.count(":") == 2 else base + zone)
