"""An engine in a process of its own, to be killed: starts executions for ever and says which were acknowledged."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs import JobOutcome
from tests.engine.fake_world import World, for_each, processing

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from airflow_sm_pipelines.engine.jobs import JobContext, JobSpec

REGISTER = {
    "Name": "Register",
    "Type": "RegisterModel",
    "DependsOn": ["B"],
    "Arguments": {"ModelPackageGroupName": "group"},
}


def slow(spec: JobSpec, context: JobContext, stop: threading.Event) -> JobOutcome:
    """A job of five milliseconds."""
    stop.wait(0.005)
    return JobOutcome("Stopped" if stop.is_set() else "Completed")


def main(directory: Path, mode: str, *, tell: Callable[[str], object], life: int = 0) -> None:
    """Run until killed.

    :param mode: ``flood`` starts one execution after another, ``hang`` starts one whose second job never ends.
    :param tell: called with a line for each acknowledged execution: its token and ARN.
    :param life: how often there was such a process before; tokens are of one life.
    """
    world = World(directory)
    world.open()
    world.behaviours.update({"A": slow, "B": slow})
    if mode == "hang":
        world.behaviours["B"] = lambda spec, context, stop: (stop.wait(), JobOutcome("Stopped"))[1]
    if not world.engine.call("ListPipelines", {})["PipelineSummaries"]:
        steps = [processing("A"), processing("B", depends_on=["A"]), REGISTER]
        if mode == "flood":
            steps.append(for_each("Each", ["x", "y", "z"], [processing("Turn")], concurrency=2))
        world.create(steps)
    number = 0
    while True:
        token = f"{life:08d}{number:024d}"
        tell(f"{token} {world.start(ClientRequestToken=token)}\n")
        number += 1
        if mode == "hang":
            world.finish(world.start(ClientRequestToken=token))


def send_lines(directory: str, life: int, writer: Connection) -> None:
    """The flood, in a forked process: first the word that it began, then the lines."""
    writer.send("begun")
    main(Path(directory), "flood", tell=writer.send, life=life)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], tell=functools.partial(print, end="", flush=True))
