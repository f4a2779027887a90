"""The trigger that waits for a Callback step's message while its task is deferred."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timezone
from typing import Any

from airflow_sm_pipelines.airflow_task.asking_threads import run_in_thread
from airflow_sm_pipelines.airflow_task.token_sealing import seal_token
from airflow_sm_pipelines.client.api_errors import needs_new_client
from airflow_sm_pipelines.client.callbacks import receive_callback
from airflow_sm_pipelines.client.choices import MAX_REFUSED_SECONDS
from airflow_sm_pipelines.client.wait_policy import RefusedLooks
from airflow_sm_pipelines.exceptions import PipelineApiError
from airflow_sm_pipelines.triggers.base import SageMakerDeferredTrigger


class SageMakerPipelineCallbackTrigger(SageMakerDeferredTrigger):
    """Fires one event with the message: ``kind`` is ``"message"``, ``"timeout"`` or ``"error"``.

    A ``"timeout"`` has ``seen``: why the last call was refused, None where it was answered.

    The message is hidden in its queue for two minutes, not deleted. The task deletes it when it has stored it.

    :param queue_url: the step's queue.
    :param execution_arn: take only messages of this execution; None takes any.
    :param waiter_delay: seconds between two calls.
    :param deadline: ISO 8601 time with offset at which to give up; None for never.
    :param max_refused_seconds: how long it is borne that each call is refused.
    :param kwargs: ``aws_conn_id``, ``region_name``, ``verify``, ``botocore_config``.
    """

    def __init__(
        self,
        *,
        queue_url: str,
        execution_arn: str | None = None,
        waiter_delay: float = 10,
        deadline: str | None = None,
        max_refused_seconds: float = MAX_REFUSED_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.queue_url = queue_url
        self.execution_arn = execution_arn
        self.waiter_delay = waiter_delay
        self.deadline = deadline
        self.max_refused_seconds = max_refused_seconds

    def own_arguments(self) -> dict[str, Any]:
        """The arguments that make this trigger again, without those of its connection."""
        return {
            "queue_url": self.queue_url,
            "execution_arn": self.execution_arn,
            "waiter_delay": self.waiter_delay,
            "deadline": self.deadline,
            "max_refused_seconds": self.max_refused_seconds,
        }

    async def wait(self) -> dict[str, Any]:
        """Wait for a message, and give it sealed."""
        hook = await run_in_thread(self.hook_arguments.make_hook)
        refused = RefusedLooks(self.max_refused_seconds)
        while True:
            try:
                message = await run_in_thread(receive_callback, hook, self.queue_url, execution_arn=self.execution_arn)
                refused.record_answer()
                seen = None
            except PipelineApiError as error:
                reason = refused.record_refusal(error, now=time.monotonic())
                if reason is not None or not refused.can_pass(error):
                    return {"kind": "error", "code": error.code, "message": reason or str(error)}
                self.log.warning("%s Looking again.", error)
                message, seen = None, str(error)
                if needs_new_client(error):
                    hook = await run_in_thread(self.hook_arguments.make_hook)
            if message is not None:
                return {"kind": "message", **message.to_json(), "token": seal_token(message.token)}
            if self.deadline and datetime.now(timezone.utc) >= datetime.fromisoformat(self.deadline):
                return {"kind": "timeout", "seen": seen}
            await asyncio.sleep(self.waiter_delay)
