"""What of the last executions may differ on AWS: versions of packages, chosen rules, and stand-ins."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.rules.chosen_rules import RanExecution, RanStep, find_chosen_rules
from airflow_sm_pipelines.engine.store.documents import to_ms
from airflow_sm_pipelines.local_endpoint import DIFFERENCES_STREAM, EXECUTION_LOG_GROUP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from airflow_sm_pipelines.definition import JsonValue
    from airflow_sm_pipelines.engine.driver.parsed_definitions import ParsedDefinition
    from airflow_sm_pipelines.engine.operations.context import OperationContext
    from airflow_sm_pipelines.engine.store import ExecutionRecord, ResourceRecord, StepRecord


_LOG = logging.getLogger(__name__)
_MAX_NAMES = 4


@dataclass(frozen=True, slots=True)
class Reliance:
    """Something that a run relied on and that may differ on AWS.

    :param kind: ``versions``, ``chosen`` or ``stand-in``.
    :param steps: the names of the steps that relied on it.
    :param text: what it is, in a few words.
    """

    kind: str
    steps: tuple[str, ...]
    text: str


def find_reliances(context: OperationContext, since: datetime) -> list[Reliance]:
    """What the executions that have changed since a moment relied on; each thing once, with all its steps."""
    return _collect(context, context.store.executions.changed_since(to_ms(since)))


def log_reliances(context: OperationContext, record: ExecutionRecord) -> None:
    """Write what an execution relied on into a log stream of its own, for whoever did not start the endpoint.

    :param record: the execution as it ends.
    """
    try:
        lines = render_reliances(_collect(context, [record]))
        if lines:
            now_ms = context.services.now_ms()
            stream = f"{record.id}/{DIFFERENCES_STREAM}/{now_ms}"
            context.services.write_logs(EXECUTION_LOG_GROUP, stream, [(now_ms, line) for line in lines])
    except Exception:  # noqa: BLE001 - an execution ends without it, too
        _LOG.exception("What execution %s relied on could not be logged", record.id)


def render_reliances(reliances: Sequence[Reliance]) -> list[str]:
    """A line for each: ``chosen: Check: texts are ordered by code point``."""
    return [f"{one.kind}: {join_names(one.steps)}: {one.text}" for one in reliances]


def join_names(names: Sequence[str]) -> str:
    """The names of some steps, of many the first."""
    rest = len(names) - _MAX_NAMES
    return ", ".join([*names[:_MAX_NAMES], *([f"{rest} more"] if rest > 0 else [])])


def _collect(context: OperationContext, records: Iterable[ExecutionRecord]) -> list[Reliance]:
    found: dict[tuple[str, str], dict[str, None]] = {}
    for record in records:
        version = context.store.pipelines.find_version(record.pipeline, record.version)
        if version is None:
            continue  # its pipeline was deleted meanwhile
        parsed = context.definitions.load(version)
        steps = context.store.steps.all_of(record.id)
        for kind, step, text in _iter_reliances(context, record, parsed, steps):
            found.setdefault((kind, text), {})[step] = None
    return [Reliance(kind, tuple(names), text) for (kind, text), names in found.items()]


def _iter_reliances(
    context: OperationContext, record: ExecutionRecord, parsed: ParsedDefinition, records: list[StepRecord]
) -> Iterator[tuple[str, str, str]]:
    steps = tuple(_ran_step(context, parsed, one) for one in records)
    for number, one in enumerate(steps):
        if one.is_cached or one.is_taken_over:
            continue
        for text in _find_differences(context, records[number]):
            yield "versions", one.name, text
        if "ServerlessJobConfig" in one.job:
            yield "stand-in", one.name, "no model was tuned or asked: its records were checked, its scores made up"
        if context.services.stand_ins.find(step=one.name, type=one.step.type) is not None:
            yield "stand-in", one.name, "a function of yours stood in"
    execution = RanExecution(parsed.graph, record.status, record.parameters, steps)
    for rule, names in find_chosen_rules(execution):
        for name in names:
            yield "chosen", name, rule.text


def _ran_step(context: OperationContext, parsed: ParsedDefinition, record: StepRecord) -> RanStep:
    job = _find_job(context, record)
    return RanStep(
        name=record.name,
        step=parsed.declared_step(record.name, parent=record.parent),
        status=record.status,
        parent=record.parent,
        starts=record.attempt - sum(record.retries or ()),
        is_cached=record.cache_source is not None,
        is_taken_over=record.selective_source is not None,
        items=record.items or [],
        job=job.public_document if job is not None else {},
    )


def _find_job(context: OperationContext, record: StepRecord) -> ResourceRecord | None:
    if record.job is None:
        return None
    kind, name = record.job
    return context.store.resources.find(kind.table_kind, name)


def _find_differences(context: OperationContext, record: StepRecord) -> Iterator[str]:
    """How what ran in place of the images of a step's job differs from them."""
    job = _find_job(context, record)
    # A transform job's images are in what it keeps of its model, a tuning job's in several places.
    texts = set(_iter_texts(job.document)) if job is not None else set()
    for image, differences in context.services.images.differences.items():
        if image in texts:
            yield from differences


def _iter_texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _iter_texts(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _iter_texts(one)
