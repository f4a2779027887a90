"""Questions to Airflow from threads of a triggerer: as the installed Airflow reads answers, and as Airflow 3.1 does."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from airflow.jobs.triggerer_job_runner import TriggerCommsDecoder
from airflow.sdk.execution_time import task_runner
from asgiref.sync import async_to_sync

from airflow_sm_pipelines.airflow_task.asking_threads import let_ask, run_in_thread
from airflow_sm_pipelines.airflow_task.stop_on_kill import TaskKey, request_task_state
from airflow_sm_pipelines.triggers.execution import SageMakerPipelineExecutionTrigger
from airflow_sm_pipelines.triggers.mirrored_step import SageMakerMirroredStepTrigger
from airflow_sm_pipelines.triggers.queue_stream import QueueReader
from airflow_sm_pipelines.triggers.task_states import TaskStates

QUESTIONS = 20
ANSWER = {"type": "TaskStatesResult", "task_states": {"r": {"t": "running"}}}
TASK: Any = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)


class DecoderOfAirflow31(TriggerCommsDecoder):
    """Reads answers as Airflow does from 3.1.0 to 3.1.8: after each question, by whichever loop has asked it."""

    async def start_reader(self) -> None:
        """Nobody reads answers beside who has asked."""

    def send(self, msg: Any) -> Any:
        return async_to_sync(self.asend)(msg)

    async def asend(self, msg: Any) -> Any:
        if not hasattr(self, "lock"):
            self.lock = asyncio.Lock()
        number = next(self.id_counter)
        body = msgspec.msgpack.encode([number, msg.model_dump()])
        async with self.lock:
            self._async_writer.write(len(body).to_bytes(4, "big") + body)
            answer = await self._aread_frame()
            if answer.id != number:
                raise RuntimeError(f"Response read out of order! {answer.id} {number}")
            return self._from_frame(answer)


def answer_questions(connection: socket.socket) -> None:
    """Be the triggerer's supervisor: every task is running."""
    with suppress(OSError), connection.makefile("rb") as questions:
        while size := questions.read(4):
            number = msgspec.msgpack.decode(questions.read(int.from_bytes(size, "big")))[0]
            body = msgspec.msgpack.encode([number, ANSWER, None])
            connection.sendall(len(body).to_bytes(4, "big") + body)


class Triggerer:
    """What a triggerer has: a connection to its supervisor, and a loop that asks, too."""

    def __init__(self, decoder: type[TriggerCommsDecoder], monkeypatch: pytest.MonkeyPatch) -> None:
        self._decoder = decoder
        self._patch = monkeypatch

    async def __aenter__(self) -> Any:
        here, there = socket.socketpair()
        threading.Thread(target=answer_questions, args=(there,), daemon=True).start()
        reader, self._writer = await asyncio.open_connection(sock=here)
        comms = self._decoder(async_writer=self._writer, async_reader=reader, socket=here)
        if hasattr(comms, "start_reader"):
            await comms.start_reader()
        self._patch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
        return comms

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()


@pytest.fixture(params=[TriggerCommsDecoder, DecoderOfAirflow31], ids=["installed", "3.1"])
def triggerer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Triggerer:
    """A triggerer whose supervisor answers."""
    return Triggerer(request.param, monkeypatch)


async def keep_asking(comms: Any) -> None:
    """Ask as the triggerer's loop does while triggers run."""
    from airflow.sdk.execution_time.comms import GetTaskStates

    for _ in range(QUESTIONS):
        await comms.asend(GetTaskStates(dag_id="d", task_ids=["t"], run_ids=["r"]))


def ask() -> str | None:
    return request_task_state(TaskKey("d", "r", "t", -1))


async def use_pool(_: pytest.MonkeyPatch) -> list[str | None]:
    return await asyncio.gather(*(run_in_thread(ask) for _ in range(QUESTIONS)))


async def use_own_thread(_: pytest.MonkeyPatch) -> list[str | None]:
    """A thread that is told of the loop, and one that it starts."""
    found: list[str | None] = []

    def work() -> None:
        inner = threading.Thread(target=let_ask(lambda: found.append(ask())))
        found.append(ask())
        inner.start()
        inner.join()

    thread = threading.Thread(target=let_ask(work))
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.01)
    return found


async def use_queue(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    reader = QueueReader(SimpleNamespace(), "q", read=lambda *_: None, log=SimpleNamespace())  # type: ignore[arg-type]
    monkeypatch.setattr(reader, "_receive", lambda: [({"id": ask()}, "receipt")])
    async for payload, _ in reader.stream():
        reader.close()
        return [payload["id"]]
    raise AssertionError("not reached")


async def use_states(_: pytest.MonkeyPatch) -> list[str | None]:
    return await asyncio.gather(*(TaskStates().request(TASK) for _ in range(3)))


async def cancel_run(_: pytest.MonkeyPatch) -> list[str | None]:
    """Cancelled, a run's trigger asks for its task's state."""
    trigger = SageMakerPipelineExecutionTrigger(execution_arn="arn")
    trigger.task_instance = TASK
    await trigger.on_kill()
    return ["running"]


async def cancel_step(_: pytest.MonkeyPatch) -> list[str | None]:
    """Cancelled, a step's trigger asks for the state of the task that judges the run."""
    trigger = SageMakerMirroredStepTrigger(step_name="S", run_task_id="run", ended_task_id="t", step_prefix="steps.")
    trigger.task_instance, trigger.execution_arn = TASK, "arn"
    await trigger.on_kill()
    return ["running"]


@pytest.mark.parametrize("use", [use_pool, use_own_thread, use_queue, use_states, cancel_run, cancel_step])
def test_airflow_answers_threads_while_its_loop_asks(
    use: Any, triggerer: Triggerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> list[str | None]:
        async with triggerer as comms:
            found, _ = await asyncio.wait_for(asyncio.gather(use(monkeypatch), keep_asking(comms)), 20)
            await keep_asking(comms)
            return list(found)

    assert set(asyncio.run(work())) == {"running"}


def test_a_cancelled_question_is_asked_to_its_end(triggerer: Triggerer) -> None:
    async def work() -> None:
        async with triggerer as comms:
            asking = [asyncio.ensure_future(run_in_thread(ask)) for _ in range(QUESTIONS)]
            await asyncio.sleep(0.005)
            for one in asking:
                one.cancel()
            await asyncio.wait_for(keep_asking(comms), 20)

    asyncio.run(work())


def test_a_thread_forgets_the_loop_after_its_work() -> None:
    from asgiref.sync import SyncToAsync

    async def make() -> Any:
        return let_ask(lambda: SyncToAsync.threadlocal.main_event_loop)

    work = asyncio.run(make())
    assert work() is not None
    assert SyncToAsync.threadlocal.main_event_loop is None
    assert let_ask(lambda: "no loop to tell of")() == "no loop to tell of"
