"""The trigger that waits for a Callback step's message while its task is deferred."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_sm_pipelines.client.callbacks import CallbackMessage, receive_callback
from airflow_sm_pipelines.exceptions import PipelineApiError, PipelineUnavailableError
from airflow_sm_pipelines.hooks.token_sealing import seal_token
from airflow_sm_pipelines.triggers import execution

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class SageMakerPipelineCallbackTrigger(BaseTrigger):
    """Fires one event with the message: ``kind`` is ``"message"``, ``"timeout"`` or ``"error"``.

    The message is hidden in its queue for two minutes, not deleted: the task that goes on deletes it once it has it
    safe.

    :param queue_url: the step's queue.
    :param execution_arn: only messages of this execution; None takes any.
    :param waiter_delay: seconds between two looks.
    :param timeout_seconds: how long to wait; None for ever.
    """

    def __init__(
        self,
        *,
        queue_url: str,
        execution_arn: str | None = None,
        waiter_delay: float = 10,
        timeout_seconds: float | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        """Hold what the wait needs; nothing is called yet."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.arguments = {
            "queue_url": queue_url,
            "execution_arn": execution_arn,
            "waiter_delay": waiter_delay,
            "timeout_seconds": timeout_seconds,
            "aws_conn_id": aws_conn_id,
            "region_name": region_name,
            "verify": verify,
            "botocore_config": botocore_config,
        }
        self.queue_url = queue_url
        self.execution_arn = execution_arn
        self.waiter_delay = waiter_delay
        self.timeout_seconds = timeout_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and arguments that make this trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", dict(self.arguments)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the one event, but not while the worker that deferred may still be leaving."""
        begun = time.monotonic()
        try:
            payload = await self._wait()
        except Exception as error:
            # Without an event the reason would stay in the triggerer's log.
            self.log.exception("Waiting for a callback broke off")
            payload = {"kind": "error", "message": f"Waiting broke off: {type(error).__name__}: {error}"}
        if self.task_instance is not None:
            await asyncio.sleep(begun + execution.WORKER_LEAVES_SECONDS - time.monotonic())
        yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    async def _wait(self) -> dict[str, Any]:
        began = time.monotonic()
        hook = await asyncio.to_thread(self._hook)
        while True:
            try:
                message: CallbackMessage | None = await asyncio.to_thread(
                    receive_callback, hook, self.queue_url, execution_arn=self.execution_arn
                )
            except PipelineUnavailableError as error:
                self.log.warning("%s Looking again.", error)
                message = None
            except PipelineApiError as error:
                return {"kind": "error", "message": str(error)}
            if message is not None:
                return {"kind": "message", **message.to_json(), "token": seal_token(message.token)}
            if self.timeout_seconds is not None and time.monotonic() - began > self.timeout_seconds:
                return {"kind": "timeout"}
            await asyncio.sleep(self.waiter_delay)

    def _hook(self) -> Any:
        from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook

        return SageMakerPipelinesHook(
            aws_conn_id=self.arguments["aws_conn_id"],
            region_name=self.arguments["region_name"],
            verify=self.arguments["verify"],
            config=self.arguments["botocore_config"],
        )
