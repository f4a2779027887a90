"""The trigger that waits for a Callback step's message while its task is deferred."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from typing import Any

from airflow_sm_pipelines.airflow_task.token_sealing import seal_token
from airflow_sm_pipelines.client.callbacks import receive_callback
from airflow_sm_pipelines.exceptions import PipelineApiError, PipelineUnavailableError
from airflow_sm_pipelines.triggers.base import SageMakerDeferredTrigger


class SageMakerPipelineCallbackTrigger(SageMakerDeferredTrigger):
    """Fires one event with the message: ``kind`` is ``"message"``, ``"timeout"`` or ``"error"``.

    The message is hidden in its queue for two minutes, not deleted. The task deletes it when it has stored it.

    :param queue_url: the step's queue.
    :param execution_arn: take only messages of this execution; None takes any.
    :param waiter_delay: seconds between two calls.
    :param deadline: ISO 8601 time with offset at which to give up; None for never.
    :param kwargs: ``aws_conn_id``, ``region_name``, ``verify``, ``botocore_config``.
    """

    def __init__(
        self,
        *,
        queue_url: str,
        execution_arn: str | None = None,
        waiter_delay: float = 10,
        deadline: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.queue_url = queue_url
        self.execution_arn = execution_arn
        self.waiter_delay = waiter_delay
        self.deadline = deadline

    def own_arguments(self) -> dict[str, Any]:
        """The arguments that make this trigger again, without those of its connection."""
        return {
            "queue_url": self.queue_url,
            "execution_arn": self.execution_arn,
            "waiter_delay": self.waiter_delay,
            "deadline": self.deadline,
        }

    async def wait(self) -> dict[str, Any]:
        """Wait for a message, and give it sealed."""
        hook = await asyncio.to_thread(self.hook_arguments.make_hook)
        while True:
            try:
                message = await asyncio.to_thread(
                    receive_callback, hook, self.queue_url, execution_arn=self.execution_arn
                )
            except PipelineUnavailableError as error:
                self.log.warning("%s Looking again.", error)
                message = None
            except PipelineApiError as error:
                return {"kind": "error", "message": str(error)}
            if message is not None:
                return {"kind": "message", **message.to_json(), "token": seal_token(message.token)}
            if self.deadline and datetime.now(timezone.utc) >= datetime.fromisoformat(self.deadline):
                return {"kind": "timeout"}
            await asyncio.sleep(self.waiter_delay)
