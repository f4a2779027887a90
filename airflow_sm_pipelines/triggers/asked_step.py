"""The trigger that waits for a person's answer to a Callback step, and mirrors the step meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_task.asking_threads import run_in_thread
from airflow_sm_pipelines.airflow_task.human_question import read_answer
from airflow_sm_pipelines.triggers.mirrored_step import SageMakerMirroredStepTrigger

if TYPE_CHECKING:
    from collections.abc import Iterable

ANSWER_SECONDS = 5.0
"""Seconds between two looks for an answer. From Airflow 3.3 on, the answer itself makes the task go on."""


class SageMakerAskedStepTrigger(SageMakerMirroredStepTrigger):
    """Fires when a person has answered, or when the step has ended without an answer.

    :param ti_id: the id of the task instance whose question it is.
    :param kwargs: those of :class:`SageMakerMirroredStepTrigger`.
    """

    def __init__(self, *, ti_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ti_id = ti_id

    def own_arguments(self) -> dict[str, Any]:
        """The arguments that make this trigger again, without those of its connection."""
        return {**super().own_arguments(), "ti_id": self.ti_id}

    async def wait(self) -> dict[str, Any]:
        """The answer, or how the step has ended; whichever comes first."""
        waiting = [asyncio.ensure_future(one) for one in (self._await_answer(), super().wait())]
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            _cancel(waiting)
        return done.pop().result()

    async def _await_answer(self) -> dict[str, Any]:
        is_told = False
        while True:
            try:
                answer = await run_in_thread(read_answer, self.ti_id)
                is_told = False
            except Exception as error:  # noqa: BLE001 - errors of Airflow's API client are of many classes
                if not is_told:
                    self.log.warning("Airflow does not say whether somebody has answered: %s", error)
                is_told, answer = True, None
            if answer is not None:
                return {"kind": "answered", **answer}
            await asyncio.sleep(ANSWER_SECONDS)


def _cancel(waiting: Iterable[asyncio.Future[Any]]) -> None:
    for one in waiting:
        one.cancel()
