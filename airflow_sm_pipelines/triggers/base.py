"""The bases of the triggers: their connection, how Airflow stores them, and the wait of a deferred task."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_sm_pipelines.airflow_task.hook_arguments import HookArguments
from airflow_sm_pipelines.airflow_task.stop_on_kill import has_left
from airflow_sm_pipelines.exceptions import PipelineApiError, SageMakerPipelinesError
from airflow_sm_pipelines.triggers.task_states import TaskStates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WORKER_LEAVES_SECONDS = 10.0
"""How long after its task's deferral a trigger holds back its event.

The worker that deferred takes five seconds to leave (measured on Airflow 3.3.2). When the trigger fires meanwhile, the
scheduler queues the task again, then takes the first worker's end for the second's, and marks the task failed. Delete
this when the scheduler tells the two apart.
"""


TASK_CHECK_SECONDS = 10.0
"""Seconds between two questions whether a task still waits. All triggers of a triggerer ask at the same moments."""

TASK_STATES = TaskStates()
"""The one state of this module: the requests of all triggers of a triggerer meet here."""


class SageMakerPipelinesTrigger(BaseTrigger):
    """A trigger that talks to AWS; a base for the others.

    :param aws_conn_id: the Airflow connection; None for boto3's own credential chain.
    :param region_name: the region; None for the connection's.
    :param verify: whether, or with which bundle, to verify TLS certificates.
    :param botocore_config: botocore client settings.
    """

    def __init__(
        self,
        *,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.hook_arguments = HookArguments(aws_conn_id, region_name, verify, botocore_config)

    def own_arguments(self) -> dict[str, Any]:
        """The arguments that make this trigger again, without those of its connection."""
        raise NotImplementedError

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments that make this trigger again; Airflow keeps them in its database."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {**self.own_arguments(), **self.hook_arguments.to_json()}


class SageMakerDeferredTrigger(SageMakerPipelinesTrigger):
    """A trigger for which a deferred task waits; a base for the others.

    :param deferred_at: ISO 8601 time with offset at which the task was deferred; now where not given.
    :param kwargs: ``aws_conn_id``, ``region_name``, ``verify``, ``botocore_config``.
    """

    def __init__(self, *, deferred_at: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deferred_at = deferred_at or datetime.now(timezone.utc).isoformat()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments that make this trigger again; Airflow keeps them in its database."""
        path, arguments = super().serialize()
        return path, {**arguments, "deferred_at": self.deferred_at}

    async def wait(self) -> dict[str, Any]:
        """Wait, and give the payload of the one event."""
        raise NotImplementedError

    async def leave_task(self, state: str | None) -> None:
        """Called when the task does not wait any more, although Airflow still runs its trigger.

        :param state: what :func:`~airflow_sm_pipelines.airflow_task.stop_on_kill.request_task_state` gives.
        """

    def begin_kill(self) -> None:
        """Called when Airflow cancels the trigger: begin at once, without waiting, what :meth:`on_kill` must do.

        Airflow 3.3.2 cancels a trigger again, once a second, until it has ended. If its event loop was blocked, the
        second time comes before ``on_kill``, which is then never called.
        """

    def make_error_event(self, error: Exception) -> dict[str, Any]:
        """The payload of the event for a wait that broke off."""
        return {"kind": "error", "code": error_code(error), "message": f"The wait broke off: {describe_error(error)}"}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the one event, but not while the worker that deferred may still be leaving.

        Airflow 3.3.2 keeps the trigger of a cleared task until its next attempt begins, and starts it again after each
        event, which nobody gets. So the event of a cleared task is held back until Airflow ends the trigger.
        """
        waiting = asyncio.ensure_future(self._wait_safely())
        try:
            if self.task_instance is not None:
                await self._follow_task(self.task_instance, waiting)
            payload = await waiting
            await asyncio.sleep(self.hold_seconds())
        except asyncio.CancelledError:
            self.begin_kill()
            raise
        finally:
            waiting.cancel()
        yield self.make_event(payload)

    def hold_seconds(self) -> float:
        """How long the event is held back now, for the worker that deferred."""
        if self.task_instance is None:
            return 0.0
        return plan_hold_seconds(self.deferred_at, now=datetime.now(timezone.utc))

    def make_event(self, payload: dict[str, Any]) -> TriggerEvent:
        """The one event: by default the task goes on in a worker with this payload."""
        return TriggerEvent(payload)  # type: ignore[no-untyped-call]

    async def _follow_task(self, task: Any, waiting: asyncio.Future[dict[str, Any]]) -> None:
        """Ask every few seconds whether the task still waits; return when the wait is over and it does."""
        is_left = False
        while True:
            state = await TASK_STATES.request(task)
            is_gone = has_left(state)
            if is_gone and not is_left:
                is_left = await self._leave_safely(state)
            elif not is_gone:
                is_left = False
            if waiting.done() and not is_gone:
                return
            pause = TASK_CHECK_SECONDS - time.monotonic() % TASK_CHECK_SECONDS
            if is_gone:
                await asyncio.sleep(pause)
            else:
                await asyncio.wait([waiting], timeout=pause)

    async def _leave_safely(self, state: str | None) -> bool:
        try:
            await self.leave_task(state)
        except Exception as error:  # noqa: BLE001 - Airflow may not answer now; this is tried again
            self.log.warning("The task waits no more, but: %s: %s", type(error).__name__, error)
            return False
        return True

    async def _wait_safely(self) -> dict[str, Any]:
        try:
            return await self.wait()
        except Exception as error:
            # Without an event Airflow fails the task with 'the trigger exited', and the reason stays in the
            # triggerer's log.
            self.log.exception("The wait broke off")
            return self.make_error_event(error)


def error_code(error: Exception) -> str:
    """The code of an error of AWS, or the name of another one's class."""
    return error.code if isinstance(error, PipelineApiError) else type(error).__name__


def describe_error(error: Exception) -> str:
    """An error as text: one of ours is a sentence, another one needs the name of its class."""
    return str(error) if isinstance(error, SageMakerPipelinesError) else f"{type(error).__name__}: {error}"


def plan_hold_seconds(deferred_at: str, *, now: datetime) -> float:
    """How long to hold back an event now, so that the worker that deferred has left."""
    waited = (now - datetime.fromisoformat(deferred_at)).total_seconds()
    return min(max(WORKER_LEAVES_SECONDS - waited, 0.0), WORKER_LEAVES_SECONDS)
