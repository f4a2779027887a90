"""The steps of an execution, as far as pictures show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class StepRun:
    """One step of one execution.

    :param name: the step's name in the definition.
    :param status: a ``StepStatus``, or a status that AWS added later.
    :param started: aware; None before the step starts.
    :param ended: aware; None while it runs.
    :param is_cached: whether the result of an earlier execution was taken.
    :param iteration: the index in a ForEach step; None outside one.
    """

    name: str
    status: str
    started: datetime | None = None
    ended: datetime | None = None
    is_cached: bool = False
    failure_reason: str | None = None
    iteration: int | None = None

    @property
    def label(self) -> str:
        """The name, with the iteration behind it if there is one."""
        return self.name if self.iteration is None else f"{self.name} [{self.iteration}]"

    def seconds(self, now: datetime | None) -> float | None:
        """How long the step ran; None if that is not known.

        :param now: the end of the time of a step that still runs.
        """
        end = self.ended or now
        return None if self.started is None or end is None else max(0.0, (end - self.started).total_seconds())


def parse_step_runs(items: Iterable[Mapping[str, Any]]) -> tuple[StepRun, ...]:
    """The steps in an answer of ``ListPipelineExecutionSteps``, by the time they started.

    :param items: the entries of ``PipelineExecutionSteps``, of all pages.
    """
    runs = [_parse(item) for item in items]
    return tuple(sorted(runs, key=lambda run: (run.started is None, run.started.timestamp() if run.started else 0.0)))


def _parse(item: Mapping[str, Any]) -> StepRun:
    context = item.get("IterationContext") or {}
    return StepRun(
        name=str(item["StepName"]),
        status=str(item.get("StepStatus") or "Unknown"),
        started=item.get("StartTime"),
        ended=item.get("EndTime"),
        is_cached=bool((item.get("CacheHitResult") or {}).get("SourcePipelineExecutionArn")),
        failure_reason=item.get("FailureReason"),
        iteration=context.get("Index"),
    )
