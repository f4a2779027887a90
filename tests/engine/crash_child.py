"""An engine in a process of its own, to be killed: starts executions for ever and says which were acknowledged."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs import JobOutcome
from tests.engine.fake_world import World, for_each, processing

if TYPE_CHECKING:
    import threading

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


def main(directory: Path, mode: str) -> None:
    """Run until killed.

    :param mode: ``flood`` starts one execution after another, ``hang`` starts one whose second job never ends.
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
        token = f"{number:032d}"
        print(token, world.start(ClientRequestToken=token), flush=True)
        number += 1
        if mode == "hang":
            world.finish(world.start(ClientRequestToken=token))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
