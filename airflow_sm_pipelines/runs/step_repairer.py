"""Finds the execution that a step's task mirrors, and first repairs it where the task was cleared.

:mod:`airflow_sm_pipelines.runs.repair` holds the rules; here are the calls. Each repair is noted before its call, and
its token is the same for all tasks that were cleared together. So a call is made once, whoever makes it and however
often its answer is lost.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol

from airflow_sm_pipelines.client.valid_names import make_display_name
from airflow_sm_pipelines.definition import inspect_definition
from airflow_sm_pipelines.definition.arns import execution_id_of
from airflow_sm_pipelines.definition.shape import PipelineShape, make_shape
from airflow_sm_pipelines.exceptions import (
    PipelineConflictError,
    PipelineExecutionFailedError,
    PipelineNotFoundError,
    PipelineRequestError,
    PipelineUnavailableError,
)
from airflow_sm_pipelines.runs.repair import (
    CLEAR_RUN,
    GroupExecution,
    Repair,
    RepairMove,
    find_current,
    find_source,
    make_resume_token,
    make_select_token,
    mark_step,
    plan_repair,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.logger import Logger
    from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport

SETTLE_SECONDS = 2.0
"""How long a decision must stand before its call is made: tasks may be cleared one shortly after the other."""

END_SECONDS = 30.0
"""Seconds between two looks while an execution's end is waited for."""

BEGIN_SECONDS = 120.0
"""How long an accepted resume may take to show."""


@dataclass(slots=True)
class StepMemory:
    """What the task of a step remembers from one attempt to the next.

    :param attempt: the attempt that wrote it, from 1.
    :param arn: the execution that the attempt mirrors.
    :param seen: the execution and the mark of the last end that an attempt has shown.
    :param before: the same, when this attempt began.
    :param ended_at: when this attempt has shown an end, in seconds since 1970; None if it has not.
    :param resume: the token of this attempt's resume.
    :param keys: the XComs that it has pushed.
    :param kept: the state in which the task ``ended`` was when the attempt began, if it had ended.
    """

    attempt: int
    arn: str | None = None
    seen: tuple[str, str] | None = None
    before: tuple[str, str] | None = None
    ended_at: float | None = None
    resume: str | None = None
    keys: list[str] = field(default_factory=list)
    kept: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The memory as JSON."""
        pairs = {"seen": self.seen, "before": self.before}
        listed = {name: None if pair is None else list(pair) for name, pair in pairs.items()}
        return {name: getattr(self, name) for name in self.__slots__} | listed


def parse_memory(value: Mapping[str, Any] | None) -> StepMemory | None:
    """The memory that :meth:`StepMemory.to_json` wrote; None for None."""
    if value is None:
        return None
    pairs = {name: None if value[name] is None else tuple(value[name]) for name in ("seen", "before")}
    return StepMemory(**{**value, **pairs})


def begin_attempt(known: StepMemory | None, attempt: int, *, began_at: float | None) -> StepMemory:
    """The memory of an attempt: the known one if that is its own, or a new one.

    Airflow 3.3.2 runs the trigger of a cleared task on until the next attempt begins. What that trigger shows after the
    clear is no end that a person has seen, so it is not taken for one.

    :param known: what an earlier attempt, or this one in another triggerer, has kept.
    :param began_at: when the task was cleared for this attempt, in seconds since 1970; None where that is not known.
    """
    if known is None:
        return StepMemory(attempt)
    if known.attempt == attempt:
        return known
    is_late = known.ended_at is not None and began_at is not None and known.ended_at > began_at
    seen = known.before if is_late else known.seen
    return StepMemory(attempt, seen=seen, before=seen)


class GroupRecord(Protocol):
    """What the tasks of a group know of each other."""

    memory: StepMemory
    """This task's own memory; :meth:`save_memory` keeps it."""

    def read_executions(self) -> tuple[GroupExecution, ...]:
        """The executions of the run, oldest first; empty where none has been started."""

    def save_execution(self, entry: GroupExecution) -> None:
        """Keep a repair's execution; one of the same token is replaced."""

    def save_memory(self) -> None:
        """Keep this task's memory."""

    def find_cleared(self, steps: tuple[str, ...]) -> frozenset[str] | None:
        """Which of these steps' tasks have been cleared, and have not ended again yet; None while that is not clear."""


@dataclass(frozen=True, slots=True)
class Mirrored:
    """The execution to mirror.

    :param arn: the execution.
    :param began: when it was begun or begun again by this run, ISO 8601; None where that is not known.
    :param old_mark: the mark of an end of the step that is no longer its end.
    """

    arn: str
    began: str | None = None
    old_mark: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as JSON, for a trigger's arguments."""
        return asdict(self)


class StepRepairer:
    """Finds the execution of one attempt of one step's task.

    :param calls: the connection to call through.
    :param step: the step's name.
    :param description: of an execution that is started.
    """

    def __init__(self, calls: SageMakerCalls, record: GroupRecord, *, step: str, description: str, log: Logger) -> None:
        self.calls = calls
        self._record = record
        self._step = step
        self._description = description
        self._log = log
        self._decided: Repair | None = None
        self._decided_at = 0.0
        self._resumed_at: float | None = None
        self._told: str | None = None
        self.delay_seconds: float | None = None
        """How long to sleep before the next look; None for a moment."""

    def look(self) -> Mirrored | None:
        """Look once, and do what is to be done; None means: look again in a moment.

        :raises PipelineExecutionFailedError: final, if there is nothing to mirror, or the repair is refused.
        :raises PipelineApiError: as SageMaker answers.
        """
        self.delay_seconds = None
        executions = self._record.read_executions()
        if not executions:
            raise PipelineExecutionFailedError("The group has started no execution: see its task 'run'.", is_final=True)
        current = find_current(executions, self._step)
        if current.arn is None:
            started = self._start(current)
            if started is None:
                return None
            current = started
        memory, arn = self._record.memory, str(current.arn)
        if memory.seen is None or memory.seen[0] != arn:
            return self._mirror(current)
        report = self.calls.describe_report(arn)
        if memory.resume is not None:
            return self._finish_resume(current, report, memory.resume)
        return self._repair(current, executions, report)

    def _repair(
        self, current: GroupExecution, executions: tuple[GroupExecution, ...], report: ExecutionReport
    ) -> Mirrored | None:
        seen = self._record.memory.seen
        mark = None if seen is None else seen[1]
        if mark_step(report, self._step) != mark:
            return self._mirror(current)
        shape = self._read_shape(report.arn)
        others = self._record.find_cleared(shape.names)
        if others is None:
            return None
        cleared: dict[str, StepReport | None] = {name: report.latest_step(name) for name in others}
        cleared[self._step] = report.latest_step(self._step)
        repair = plan_repair(report, self._step, seen=mark, shape=shape, cleared=cleared)
        self._tell(f"Step '{self._step}' was cleared; execution {report.arn} is {report.status}: {repair.move.value}.")
        if repair.move is RepairMove.MIRROR:
            return self._mirror(current)
        if repair.move is RepairMove.REFUSE:
            raise PipelineExecutionFailedError(repair.reason, is_final=True)
        if repair.move is RepairMove.WAIT:
            self.delay_seconds = END_SECONDS
            return None
        if not self._has_settled(repair):
            return None
        if repair.move is RepairMove.RESUME:
            self._record.memory.resume = make_resume_token(report)
            self._record.save_memory()
            return self._finish_resume(current, report, self._record.memory.resume)
        return self._select(repair.steps, executions, shape, current)

    def _has_settled(self, repair: Repair) -> bool:
        if repair != self._decided:
            self._decided, self._decided_at = repair, time.monotonic()
            return False
        return time.monotonic() - self._decided_at >= SETTLE_SECONDS

    def _mirror(self, current: GroupExecution, *, began: str | None = None, old_mark: str | None = None) -> Mirrored:
        memory = self._record.memory
        if memory.arn != current.arn:
            memory.arn = current.arn
            if memory.attempt > 1:
                self._record.save_memory()
        return Mirrored(str(current.arn), began or current.began, old_mark)

    # --- resume -----------------------------------------------------------------------------------------------------

    def _finish_resume(self, current: GroupExecution, report: ExecutionReport, token: str) -> Mirrored | None:
        """Make the call, unless it has been carried out; then wait until the service shows the execution running."""
        seen = self._record.memory.seen
        if not report.is_terminal or make_resume_token(report) != token:
            now = datetime.now(timezone.utc).isoformat()
            return self._mirror(current, began=now, old_mark=None if seen is None else seen[1])
        if self._resumed_at is None:
            self._resume(report, token)
        elif time.monotonic() - self._resumed_at > BEGIN_SECONDS:
            raise PipelineExecutionFailedError(
                f"Execution {report.arn} was told to resume and has not begun. {CLEAR_RUN}", is_final=True
            )
        return None

    def _resume(self, report: ExecutionReport, token: str) -> None:
        try:
            self.calls.retry_execution(report.arn, token=token)
        except (PipelineConflictError, PipelineRequestError) as error:
            if self.calls.describe_execution(report.arn).is_terminal:
                raise PipelineExecutionFailedError(
                    f"Execution {report.arn} was not resumed: {error} {CLEAR_RUN}", is_final=True
                ) from error
            self._log.info("Somebody else has resumed %s already.", report.arn)
        else:
            self._log.info("Resumed %s from its failed steps.", report.arn)
        self._resumed_at = time.monotonic()

    # --- run selected steps again -------------------------------------------------------------------------------------

    def _select(
        self,
        steps: tuple[str, ...],
        executions: tuple[GroupExecution, ...],
        shape: PipelineShape,
        current: GroupExecution,
    ) -> Mirrored | None:
        reports = {one.arn: self.calls.describe_report(one.arn) for one in executions if one.arn is not None}
        running = [
            str(one.arn)
            for one in executions
            if one.arn is not None and not reports[one.arn].is_terminal and any(map(one.has_run, steps))
        ]
        if running:
            self._tell(f"Waiting for the end of {', '.join(running)}.")
            self.delay_seconds = END_SECONDS
            return None
        source = find_source(executions, reports, shape, steps)
        if source is None:
            raise PipelineExecutionFailedError(
                f"No execution of this run has the current results that {', '.join(steps)} need. {CLEAR_RUN}",
                is_final=True,
            )
        entry = GroupExecution(
            None,
            steps=steps,
            source=source,
            token=make_select_token(source, steps),
            root=current.root,
            began=datetime.now(timezone.utc).isoformat(),
        )
        self._record.save_execution(entry)
        self._log.info("Running %s again, with the results of %s for the rest.", ", ".join(steps), source)
        started = self._start(entry)
        return None if started is None else self._mirror(started)

    def _start(self, entry: GroupExecution) -> GroupExecution | None:
        """Start a noted execution, or learn which one an earlier call with its token has started."""
        try:
            arn = self.calls.start_execution(self._make_request(entry), token=entry.token)
        except PipelineUnavailableError as error:
            self._tell(f"{error} Asking again with the same token.")
            return None
        except (PipelineConflictError, PipelineRequestError, PipelineNotFoundError) as error:
            self._record.save_execution(replace(entry, is_refused=True))
            raise PipelineExecutionFailedError(
                f"SageMaker does not run {', '.join(entry.steps)} again from {entry.source}: {error} {CLEAR_RUN}",
                is_final=True,
            ) from error
        started = replace(entry, arn=arn)
        self._record.save_execution(started)
        self._log.info("Execution %s runs %s.", arn, ", ".join(entry.steps))
        return started

    def _make_request(self, entry: GroupExecution) -> dict[str, Any]:
        """The start call of an execution of selected steps, with the source's version and parameters.

        Source and steps alone decide it: whoever repeats the call with the same token sends the same request.
        """
        source = self.calls.describe_execution(str(entry.source))
        request: dict[str, Any] = {
            "PipelineName": source.pipeline_name,
            "PipelineExecutionDisplayName": make_display_name(f"repair of {execution_id_of(source.arn)}"),
            "PipelineExecutionDescription": self._description,
            "SelectiveExecutionConfig": {
                "SourcePipelineExecutionArn": source.arn,
                "SelectedSteps": [{"StepName": name} for name in entry.steps],
            },
        }
        if source.pipeline_version_id is not None:
            request["PipelineVersionId"] = source.pipeline_version_id
        parameters = self.calls.list_execution_parameters(source.arn)
        if parameters:
            request["PipelineParameters"] = [{"Name": name, "Value": value} for name, value in parameters.items()]
        return request

    def _read_shape(self, arn: str) -> PipelineShape:
        definition = inspect_definition(self.calls.describe_execution_definition(arn))[0]
        if definition is None:
            raise PipelineExecutionFailedError(
                f"The definition of {arn} cannot be read, so nothing of it is repaired. {CLEAR_RUN}", is_final=True
            )
        return make_shape(definition)

    def _tell(self, text: str) -> None:
        """Write a line to the log, once."""
        if text != self._told:
            self._told = text
            self._log.info("%s", text)
