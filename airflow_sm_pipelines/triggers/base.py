"""The bases of the triggers: their connection, how Airflow stores them, and the wait of a deferred task."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_sm_pipelines.airflow_task.hook_arguments import HookArguments

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WORKER_LEAVES_SECONDS = 10.0
"""How long a deferred task's trigger holds back its event.

The worker that deferred takes five seconds to leave (measured on Airflow 3.3.2). When the trigger fires meanwhile, the
scheduler queues the task again, then takes the first worker's end for the second's, and marks the task failed. Delete
this when the scheduler tells the two apart.
"""


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
    """A trigger for which a deferred task waits; a base for the others."""

    async def wait(self) -> dict[str, Any]:
        """Wait, and give the payload of the one event."""
        raise NotImplementedError

    def make_error_event(self, error: Exception) -> dict[str, Any]:
        """The payload of the event for a wait that broke off."""
        return {"kind": "error", "message": f"The wait broke off: {type(error).__name__}: {error}"}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the one event, but not while the worker that deferred may still be leaving."""
        begun = time.monotonic()
        try:
            payload = await self.wait()
        except Exception as error:
            # Without an event Airflow fails the task with 'the trigger exited', and the reason stays in the
            # triggerer's log.
            self.log.exception("The wait broke off")
            payload = self.make_error_event(error)
        if self.task_instance is not None:
            await asyncio.sleep(begun + WORKER_LEAVES_SECONDS - time.monotonic())
        yield TriggerEvent(payload)  # type: ignore[no-untyped-call]
