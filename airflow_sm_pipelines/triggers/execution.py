"""The trigger that waits for an execution while its task is deferred.

In a triggerer one watcher looks for all the tasks on a connection; under ``airflow dags test`` the trigger looks for
itself. boto3 runs in a thread: aiobotocore pins botocore to a month-old release, and would take the newest API away
from everything else in the environment.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_sm_pipelines.client.execution_watch import ExecutionWatch, error_event
from airflow_sm_pipelines.client.request_tokens import make_stop_token
from airflow_sm_pipelines.client.wait_policy import ProgressLog
from airflow_sm_pipelines.triggers.live_progress import LiveView
from airflow_sm_pipelines.triggers.wait_schedule import Wait
from airflow_sm_pipelines.triggers.watcher import summary_event
from airflow_sm_pipelines.triggers.watcher_registry import WatcherRegistry, make_watcher_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook

# The one state of this module: Airflow makes each trigger by itself, and gives them no place to meet.
WATCHERS = WatcherRegistry()

WORKER_LEAVES_SECONDS = 10.0
"""How long a deferred task's trigger holds back its event.

The worker that deferred takes five seconds to leave (measured on Airflow 3.3.2). When the trigger fires while it does,
the scheduler queues the task again, then takes the first worker's end for the second's, and marks the task failed.
Delete this when the scheduler tells the two apart.
"""

_ENDED_BY_HAND = frozenset({"failed", "success", "skipped", "upstream_failed", "removed"})


class SageMakerPipelineExecutionTrigger(BaseTrigger):
    """Fires one event when an execution has ended, run out of time, or can no longer be watched.

    The event is a dict: ``kind`` (``"ended"``, ``"timeout"``, ``"error"``), ``execution_arn``, ``status`` and
    ``failure_reason``; ``airflow dags test`` loses the other arguments of a deferral. ``steps`` is there only under
    ``airflow dags test``: reading the steps of thousands of executions is left to the tasks that go on.

    :param execution_arn: the execution to wait for.
    :param waiter_delay: seconds between two looks, once the execution has run for a while.
    :param progress_delay: seconds between two looks at its steps, whose transitions are then logged here; None for
        no such looks. All waits together look five times a second at most.
    :param deadline: ISO 8601 time with offset at which to give up; None for never.
    :param stop_on_kill: stop the execution when somebody ends the deferred task by hand (Airflow 3.3).
    :param publish_steps: push the steps as XCom ``steps`` whenever one of them is seen to have changed.
    :param stream_logs: write the jobs' log lines here, at each look at the steps.
    :param log_cursor: how far the logs were shown before. The event's ``log_cursor`` says how far they are now.
    """

    def __init__(
        self,
        *,
        execution_arn: str,
        waiter_delay: float = 30,
        progress_delay: float | None = None,
        deadline: str | None = None,
        stop_on_kill: bool = True,
        publish_steps: bool = False,
        stream_logs: bool = False,
        log_cursor: dict[str, Any] | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        """Hold what the wait needs; nothing is called yet."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.execution_arn = execution_arn
        self.waiter_delay = waiter_delay
        self.progress_delay = progress_delay
        self.deadline = deadline
        self.stop_on_kill = stop_on_kill
        self.publish_steps = publish_steps
        self.stream_logs = stream_logs
        self.log_cursor = log_cursor
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and arguments that make this trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "execution_arn": self.execution_arn,
                "waiter_delay": self.waiter_delay,
                "progress_delay": self.progress_delay,
                "deadline": self.deadline,
                "stop_on_kill": self.stop_on_kill,
                "publish_steps": self.publish_steps,
                "stream_logs": self.stream_logs,
                "log_cursor": self.log_cursor,
                "aws_conn_id": self.aws_conn_id,
                "region_name": self.region_name,
                "verify": self.verify,
                "botocore_config": self.botocore_config,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, logging each step's transitions, and yield the one event."""
        begun = time.monotonic()
        view = LiveView(
            self.task_instance,
            self._hook,
            log=self.log,
            is_pushed=self.publish_steps,
            is_streamed=self.stream_logs,
            cursor=self.log_cursor,
        )
        try:
            payload = await (self._wait_alone(view) if self.task_instance is None else self._wait_together(view))
            await view.close()
        except Exception as error:
            # Without an event Airflow fails the task with 'the trigger exited', and the reason stays in the
            # triggerer's log.
            self.log.exception("Waiting for %s broke off", self.execution_arn)
            message = f"Waiting for {self.execution_arn} broke off: {type(error).__name__}: {error}"
            payload = error_event(self.execution_arn, code=type(error).__name__, message=message)
        if view.cursor is not None:
            payload["log_cursor"] = view.cursor
        if self.task_instance is not None:
            await asyncio.sleep(begun + WORKER_LEAVES_SECONDS - time.monotonic())
        yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    def is_over(self, report: ExecutionReport) -> bool:
        """Whether a look found what this trigger waits for."""
        return report.is_terminal

    async def on_kill(self) -> None:
        """Stop the execution, if the task was really ended by hand.

        Airflow also calls this when a stalled triggerer's work was given to another one, and for a cleared task
        after its next attempt has begun (measured on 3.3.2): then the task is not in an end state, and the execution
        is left alone.
        """
        if not self.stop_on_kill:
            return
        # Airflow 3.3.2 cancels again, once a second, what it has cancelled and what has not ended yet.
        self._stopping = asyncio.ensure_future(self._stop_if_ended_by_hand())
        await asyncio.shield(self._stopping)

    async def _stop_if_ended_by_hand(self) -> None:
        state = await self._task_state()
        if state not in _ENDED_BY_HAND:
            self.log.info("The task is %s, not ended by hand: execution %s goes on.", state, self.execution_arn)
            return
        hook = await asyncio.to_thread(self._hook)
        stopped = await asyncio.to_thread(
            hook.stop_execution, self.execution_arn, token=make_stop_token(self.execution_arn)
        )
        self.log.info("The task was marked %s: %s.", state, "execution stopped" if stopped else "execution had ended")

    async def _wait_together(self, view: LiveView) -> dict[str, Any]:
        """Wait with the watcher of this connection, which serves every task of the triggerer."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[dict[str, Any]] = loop.create_future()
        context = contextvars.copy_context()
        progress = ProgressLog()

        def tell(*call: Any) -> None:
            with suppress(RuntimeError):  # the loop is closed: the triggerer is going away
                loop.call_soon_threadsafe(*call, context=context)

        def end(event: dict[str, Any]) -> None:
            if not ended.done():
                ended.set_result(event)

        def note_progress(report: ExecutionReport) -> None:
            lines = progress.lines(report)
            for line in lines:
                self.log.info(line)
            view.note(report, bool(lines))
            if self.is_over(report):
                end(summary_event(report))

        wait = Wait(
            arn=self.execution_arn,
            waiter_delay=self.waiter_delay,
            finish=lambda event: tell(end, event),
            deadline=self._deadline_moment(),
            progress_delay=self.progress_delay,
            report_progress=lambda report: tell(note_progress, report),
        )
        key = make_watcher_key(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )
        watcher, release = WATCHERS.acquire(key, self._watching_hook)
        watcher.add(wait)
        try:
            return await ended
        finally:
            watcher.remove(wait)
            last = release()
            if last is not None:
                await asyncio.to_thread(last.close)

    def _deadline_moment(self) -> float | None:
        """The deadline on the watcher's clock."""
        if not self.deadline:
            return None
        left = datetime.fromisoformat(self.deadline) - datetime.now(timezone.utc)
        return time.monotonic() + left.total_seconds()

    async def _wait_alone(self, view: LiveView) -> dict[str, Any]:
        watch = ExecutionWatch(
            self.execution_arn,
            waiter_delay=self.waiter_delay,
            deadline=datetime.fromisoformat(self.deadline) if self.deadline else None,
            log=self.log.info,
            warn=self.log.warning,
            is_over=self.is_over,
            notice=view.show,
        )
        hook = await asyncio.to_thread(self._hook)
        while (event := await asyncio.to_thread(watch.look, hook)) is None:
            await asyncio.sleep(watch.delay_seconds)
        return event

    async def _task_state(self) -> str | None:
        ti = self.task_instance
        if ti is None:
            return None
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        states = await asyncio.to_thread(
            RuntimeTaskInstance.get_task_states,
            dag_id=ti.dag_id,
            task_ids=[ti.task_id],
            run_ids=[ti.run_id],
            map_index=ti.map_index,
        )
        found = states.get(ti.run_id, {})
        state = found.get(ti.task_id, found.get(f"{ti.task_id}_{ti.map_index}"))
        return None if state is None else str(getattr(state, "value", state))

    def _watching_hook(self) -> SageMakerPipelinesHook:
        """A hook whose refusals reach the watcher at once: it slows down all its calls, not only the refused one."""
        from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook

        return SageMakerPipelinesHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config={"retries": {"mode": "standard", "total_max_attempts": 1}, **(self.botocore_config or {})},
        )

    def _hook(self) -> SageMakerPipelinesHook:
        from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook

        return SageMakerPipelinesHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )
