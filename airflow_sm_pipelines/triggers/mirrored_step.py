"""The trigger that mirrors one step of a group's execution, and repairs the execution when its task was cleared.

It ends its task by itself, without a worker. One watcher serves all steps of an execution, and asks once for all.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.triggers.base import TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from airflow_sm_pipelines.airflow_task.asking_threads import run_in_thread
from airflow_sm_pipelines.airflow_task.group_record import (
    XComGroupRecord,
    delete_xcoms,
    describe_repair,
    key_of,
    push_xcoms,
)
from airflow_sm_pipelines.airflow_task.hook_arguments import SHARED_HOOKS
from airflow_sm_pipelines.airflow_task.plain_xcom import set_plain_xcom
from airflow_sm_pipelines.airflow_task.stop_on_kill import has_left, is_ended_by_hand, request_task_state, stop_now
from airflow_sm_pipelines.client.callbacks import find_callback
from airflow_sm_pipelines.client.wait_policy import Verdict, plan_backoff
from airflow_sm_pipelines.exceptions import PipelineUnavailableError
from airflow_sm_pipelines.runs.repair import mark_step
from airflow_sm_pipelines.runs.step_end import StepEnd, find_other_outcome, judge_step, make_step_xcoms
from airflow_sm_pipelines.runs.step_repairer import Mirrored, StepRepairer
from airflow_sm_pipelines.triggers.base import TASK_CHECK_SECONDS, TASK_STATES
from airflow_sm_pipelines.triggers.execution import SageMakerPipelineExecutionTrigger
from airflow_sm_pipelines.triggers.final_reports import FinalReports
from airflow_sm_pipelines.triggers.live_progress import LOG_CURSOR_XCOM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook

LOOK_AGAIN_SECONDS = 1.0
"""Seconds between two looks while a repair settles or begins; longer while an execution's end is waited for."""

PAUSES = (2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds between two tries of what must not fail a task because somebody does not answer for a moment."""

Result = TypeVar("Result")

FINAL_REPORTS = FinalReports()
"""Ended executions that many steps' triggers read in the same moment."""


class SageMakerMirroredStepTrigger(SageMakerPipelineExecutionTrigger):
    """Waits for the end of one step, pushes what it yields, and ends the task as the step has ended.

    :param step_name: the step, as the definition names it.
    :param run_task_id: the task that has started the execution.
    :param ended_task_id: the task that judges it. If somebody ends it while steps run, the execution is stopped.
    :param step_prefix: what stands before a step's name in the id of its task.
    :param branches: the branches in which the step stands, as its shape has them.
    :param max_wait_seconds: stop the execution when it has run for so long; None for never.
    :param mirrored: the execution, where a worker has found it and goes on with the task; None to find it here.
    :param until_asked: whether to fire as well when the step, a Callback step, waits for its answer.
    :param kwargs: those of :class:`SageMakerPipelineExecutionTrigger` without the execution.
    """

    is_one_step = True

    def __init__(
        self,
        *,
        step_name: str,
        run_task_id: str,
        ended_task_id: str,
        step_prefix: str,
        branches: Sequence[Sequence[Any]] = (),
        max_wait_seconds: float | None = None,
        mirrored: dict[str, Any] | None = None,
        until_asked: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("progress_delay", kwargs.get("waiter_delay", 30))
        kwargs.setdefault("stream_logs", True)
        for name in ("execution_arn", "stop_on_clear", "publish_steps"):
            kwargs.pop(name, None)
        super().__init__(execution_arn="", publish_steps=False, **kwargs)
        self.step_name = step_name
        self.run_task_id = run_task_id
        self.ended_task_id = ended_task_id
        self.step_prefix = step_prefix
        self.branches = [list(one) for one in branches]
        self.max_wait_seconds = max_wait_seconds
        self.mirrored = mirrored
        self.until_asked = until_asked
        self._record: XComGroupRecord | None = None
        self._old_mark: str | None = None
        self._seen: ExecutionReport | None = None

    def own_arguments(self) -> dict[str, Any]:
        """The arguments that make this trigger again, without those of its connection."""
        return {
            **super().own_arguments(),
            "step_name": self.step_name,
            "run_task_id": self.run_task_id,
            "ended_task_id": self.ended_task_id,
            "step_prefix": self.step_prefix,
            "branches": self.branches,
            "max_wait_seconds": self.max_wait_seconds,
            "mirrored": self.mirrored,
            "until_asked": self.until_asked,
        }

    def is_over(self, report: ExecutionReport) -> bool:
        """Whether the step, or the whole execution, has ended; an end from before a repair does not count."""
        step = report.latest_step(self.step_name)
        if step is not None and step.is_terminal and mark_step(report, self.step_name) != self._old_mark:
            self._seen = report
            return True
        if self._is_asked(report):
            self._seen = report
            return True
        if step is None and find_other_outcome(report, self.branches) is not None:
            self._seen = report
            return True
        return report.is_terminal

    def _is_asked(self, report: ExecutionReport) -> bool:
        return self.until_asked and find_callback(report.latest_step(self.step_name)) is not None

    def select_shown(self, report: ExecutionReport) -> ExecutionReport:
        """The execution with this step alone."""
        step = report.latest_step(self.step_name)
        return report.with_steps(() if step is None else (step,))

    def hold_seconds(self) -> float:
        """No time where no worker has deferred."""
        return 0.0 if self.mirrored is None else super().hold_seconds()

    def make_event(self, payload: dict[str, Any]) -> TriggerEvent:
        """The end of the task itself; where a worker has deferred, the payload."""
        if self.mirrored is not None or self.task_instance is None:
            return super().make_event(payload)
        ends = {Verdict.SUCCEED.value: TaskSuccessEvent, Verdict.SKIP.value: TaskSkippedEvent}
        return ends.get(payload["verdict"], TaskFailedEvent)()

    def make_error_event(self, error: Exception) -> dict[str, Any]:
        """The payload of the event for a wait that broke off."""
        return _make_failure(str(super().make_error_event(error)["message"]))

    async def wait(self) -> dict[str, Any]:
        """Find the execution, wait for the step's end, and give how it has ended."""
        following = asyncio.ensure_future(self._follow_group())
        try:
            found = Mirrored(**self.mirrored) if self.mirrored is not None else await self._find_execution()
            self.execution_arn, self._old_mark = found.arn, found.old_mark
            self.deadline = self._plan_deadline(found.began)
            while (ended := await self._await_end(await super().wait())) is None:
                pass
            return ended
        finally:
            following.cancel()

    async def _await_end(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """How the step has ended; None where the wait goes on."""
        if event["kind"] == "timeout":
            self.log.warning("The group's time is over: %s s.", self.max_wait_seconds)
            if self.stop_on_kill:
                await run_in_thread(self._stop)
            self.deadline = None
            return None
        if event["kind"] == "error":
            self.log.error("%s", event["message"])
            return _make_failure(event["message"])
        ended = await self._insist(self._finish)
        if ended is None:
            self.log.info("Somebody has resumed %s since it ended; waiting on.", self.execution_arn)
        return ended

    async def _insist(self, work: Callable[[], Result]) -> Result:
        """Do this in a thread; again after a pause where SageMaker or Airflow does not answer."""
        from airflow.sdk.exceptions import AirflowRuntimeError

        for pause in PAUSES:
            try:
                return await run_in_thread(work)
            except (PipelineUnavailableError, AirflowRuntimeError) as error:
                self.log.warning("%s Trying again in %.0f s.", error, pause)
                await asyncio.sleep(pause)
        return await run_in_thread(work)

    # --- before -----------------------------------------------------------------------------------------------------

    async def _find_execution(self) -> Mirrored:
        """The execution to mirror, repaired if the task was cleared."""
        record = self._record = await self._insist(self._open_record)
        if record.memory.ended_at is not None:
            # Another triggerer has shown the end of this attempt, and could not tell Airflow.
            return Mirrored(str(record.memory.arn))
        repairer, refusals = None, 0
        while True:
            delay = LOOK_AGAIN_SECONDS
            try:
                if repairer is None:
                    repairer = await run_in_thread(self._make_repairer, record)
                found = await run_in_thread(repairer.look)
                if found is not None:
                    return found
                delay = repairer.delay_seconds or LOOK_AGAIN_SECONDS
                delay = min(delay, float(self.waiter_delay))
                refusals = 0
            except PipelineUnavailableError as error:
                refusals += 1
                delay = plan_backoff(failures=refusals, waiter_delay=self.waiter_delay)
                self.log.warning("%s Asking again in %.0f s.", error, delay)
            await asyncio.sleep(delay)

    def _open_record(self) -> XComGroupRecord:
        ti = self.task_instance
        record = XComGroupRecord(ti, run_task_id=self.run_task_id, step_prefix=self.step_prefix)
        if record.is_new and record.memory.attempt > 1:
            delete_xcoms(ti, [*(record.former.keys if record.former is not None else ()), LOG_CURSOR_XCOM])
            state = request_task_state(key_of(self._task, self.ended_task_id))
            record.memory.kept = state if is_ended_by_hand(state) else None
            record.save_memory()
        return record

    def _make_repairer(self, record: XComGroupRecord) -> StepRepairer:
        description = describe_repair(self._task, self.run_task_id)
        hook = SHARED_HOOKS.get(self.hook_arguments)
        return StepRepairer(hook, record, step=self.step_name, description=description, log=self.log)

    def _plan_deadline(self, began: str | None) -> str | None:
        if self.max_wait_seconds is None or began is None:
            return None
        return (datetime.fromisoformat(began) + timedelta(seconds=self.max_wait_seconds)).isoformat()

    # --- while it runs ----------------------------------------------------------------------------------------------

    @property
    def _task(self) -> Any:
        return self.task_instance

    async def _follow_group(self) -> None:
        """Stop the execution when somebody ends the task that judges it, while steps still run."""
        if self.task_instance is None or not self.stop_on_kill:
            return
        ended = key_of(self._task, self.ended_task_id)
        while True:
            await asyncio.sleep(TASK_CHECK_SECONDS - time.monotonic() % TASK_CHECK_SECONDS)
            state = await TASK_STATES.request(ended)
            if self.execution_arn and self._is_ended_by_hand(state):
                self.log.warning("Task %s is %s: the execution is stopped.", self.ended_task_id, state)
                if await run_in_thread(self._stop):
                    return

    def _is_ended_by_hand(self, state: str | None) -> bool:
        """Whether the task ``ended`` has this state because somebody has ended it during this attempt."""
        kept = None if self._record is None else self._record.memory.kept
        return is_ended_by_hand(state) and state != kept

    def _stop(self) -> bool:
        return stop_now(self.execution_arn, hook_arguments=self.hook_arguments, log=self.log)

    def begin_kill(self) -> None:
        """Begin to stop the execution, if somebody has ended the whole group. One step's task stops nothing."""
        if self.task_instance is None or not self.execution_arn or not self.stop_on_kill:
            return
        self.start_stopping(self._stop_if_group_ended)

    def _stop_if_group_ended(self) -> None:
        state = request_task_state(key_of(self._task, self.ended_task_id))
        if self._is_ended_by_hand(state):
            self.log.info("Task %s is %s.", self.ended_task_id, state)
            self._stop()

    # --- at its end -------------------------------------------------------------------------------------------------

    def _finish(self) -> dict[str, Any] | None:
        """Show the end, push what the step yields, and remember the end that was shown; None if it is none."""
        hook = SHARED_HOOKS.get(self.hook_arguments)
        report = self._seen or FINAL_REPORTS.read(hook, self.execution_arn)
        if not self.is_over(report):
            return None
        if self._is_asked(report):
            return {"kind": "asked", "links": self._resolve_links(hook, report), "mirrored": self.mirrored}
        outcome = judge_step(report, self.step_name, branches=self.branches)
        if self._progress is not None:
            self._progress.finish(self.select_shown(report))
        self.log.log(20 if outcome.verdict is Verdict.SUCCEED else 30, "%s", outcome.text)
        xcoms = self._read_xcoms(hook, report, outcome)
        links = self._resolve_links(hook, report)
        if self._record is not None and not has_left(request_task_state(self._task)):
            push_xcoms(self.task_instance, xcoms)
            if self._progress is not None:
                self._progress.keep_step(self.select_shown(report))
            for key, address in links.items():
                set_plain_xcom(self.task_instance, key, address)
            memory = self._record.memory
            memory.seen, memory.ended_at, memory.keys = (report.arn, outcome.mark), time.time(), sorted(xcoms)
            self._record.save_memory()
        return {
            "kind": "step",
            "verdict": outcome.verdict.value,
            "text": outcome.text,
            "xcoms": xcoms,
            "links": links,
            "seen": [report.arn, outcome.mark],
        }

    def find_links(self, report: ExecutionReport) -> dict[str, str]:
        """The links of the step's task, addresses by XCom key."""
        return self._resolve_links(SHARED_HOOKS.get(self.hook_arguments), report)

    def _read_xcoms(self, hook: SageMakerPipelinesHook, report: ExecutionReport, outcome: StepEnd) -> dict[str, Any]:
        from airflow_sm_pipelines.client.outputs import OutputReader

        if outcome.step is None or outcome.verdict is not Verdict.SUCCEED:
            return {}
        reader = OutputReader(hook, self.select_shown(report), warn=self.log.warning)
        return make_step_xcoms(outcome.step, reader.read_defaults(max_steps=1).get(self.step_name, {}))

    def _resolve_links(self, hook: SageMakerPipelinesHook, report: ExecutionReport) -> dict[str, str]:
        from airflow_sm_pipelines.links.addresses import resolve_logs_link, resolve_pipeline_links, resolve_queue_link

        found = resolve_pipeline_links(
            hook, pipeline=report.pipeline_name, execution_arn=report.arn, studio_domain_id=None
        )
        queue = resolve_queue_link(hook, report.latest_step(self.step_name))
        return {**found, **resolve_logs_link(hook, self.select_shown(report)), **queue}


def _make_failure(text: str) -> dict[str, Any]:
    return {"kind": "step", "verdict": Verdict.FAIL.value, "text": text, "xcoms": {}, "links": {}}
