"""Random use of the API from several threads: only typed errors, and every execution comes to an end."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.definition.status import ExecutionStatus, StepStatus
from airflow_sm_pipelines.engine import ServiceError
from airflow_sm_pipelines.engine.jobs import JobContext, JobOutcome, JobSpec
from tests.engine.fake_world import ROLE, condition, definition_text, fail_step, processing

if TYPE_CHECKING:
    from tests.engine.fake_world import World

NAMES = ("one", "two")
FLIP = [{"Type": "Equals", "LeftValue": {"Get": "Parameters.P"}, "RightValue": "a"}]
PARAMETERS = [{"Name": "P", "Type": "String", "DefaultValue": "a"}]
TYPED = {"ValidationException", "ResourceNotFound", "ConflictException"}


def steps(variant: int) -> list[Any]:
    """One of a few pipelines: wide, deep, with branches and with a run condition."""
    rescue = processing("Rescue", depends_on=[{"Step": "A", "Trigger": "Failed"}])
    choices = [
        [processing("A"), processing("B"), processing("C", depends_on=["A", "B"])],
        [processing("A"), processing("B", depends_on=["A"]), rescue],
        [processing("A"), condition("If", FLIP, then=[processing("Yes")], otherwise=[fail_step("No", "no")])],
    ]
    return choices[variant % len(choices)]


class User:
    """Calls the engine at random, and remembers what it started."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = random.Random(seed)
        self.arns: list[str] = []
        self.faults: list[BaseException] = []
        self.refusals: dict[str, str] = {}

    def __call__(self) -> None:
        try:
            for _ in range(300):
                self.act()
        except BaseException as fault:
            self.faults.append(fault)

    def act(self) -> None:
        name = self.chance.choice(NAMES)
        arn = self.chance.choice(self.arns) if self.arns else "arn:aws:sagemaker:us-east-1:123456789012:pipeline/x"
        definition = definition_text(steps(self.chance.randrange(3)), parameters=PARAMETERS)
        calls: list[tuple[str, dict[str, Any]]] = [
            ("CreatePipeline", {"PipelineName": name, "RoleArn": ROLE, "PipelineDefinition": definition}),
            ("UpdatePipeline", {"PipelineName": name, "PipelineDefinition": definition}),
            ("DeletePipeline", {"PipelineName": name}),
            ("DescribePipeline", {"PipelineName": name}),
            ("StopPipelineExecution", {"PipelineExecutionArn": arn}),
            ("RetryPipelineExecution", {"PipelineExecutionArn": arn}),
            ("ListPipelineExecutionSteps", {"PipelineExecutionArn": arn, "MaxResults": 2}),
            ("ListPipelineExecutions", {"PipelineName": name}),
            ("ListProcessingJobs", {"MaxResults": 1}),
        ]
        start = {
            "PipelineName": name,
            "ClientRequestToken": f"{self.chance.randrange(30):032d}",
            "PipelineParameters": [{"Name": "P", "Value": self.chance.choice("ab")}],
        }
        operation, request = self.chance.choice([*calls, *[("StartPipelineExecution", start)] * 12])
        try:
            answer = self.world.engine.call(operation, request)
        except ServiceError as refused:
            self.refusals[f"{operation} {refused.code}"] = refused.message
        else:
            if operation == "StartPipelineExecution":
                self.arns.append(answer["PipelineExecutionArn"])


@pytest.mark.parametrize("seed", range(3))
def test_random_use_from_several_threads_gives_only_typed_errors_and_nothing_hangs(world: World, seed: int) -> None:
    chance = random.Random(seed)

    def behave(spec: JobSpec, context: JobContext, stop: threading.Event) -> JobOutcome:
        stop.wait(chance.choice((0, 0.002, 0.01)))
        if stop.is_set():
            return JobOutcome("Stopped")
        return chance.choice((JobOutcome("Completed"), JobOutcome("Completed"), JobOutcome("Failed", "reason")))

    world.behaviours.update(dict.fromkeys(("A", "B", "C", "Yes", "Rescue"), behave))
    users = [User(world, seed * 10 + number) for number in range(4)]
    threads = [threading.Thread(target=user) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [user.faults for user in users] == [[], [], [], []]
    refusals = {key: text for user in users for key, text in user.refusals.items()}
    assert {key.partition(" ")[2] for key in refusals} <= TYPED
    assert all(refusals.values()), "every refusal has a text"
    listed = [summary["PipelineExecutionArn"] for name in NAMES for summary in list_executions(world, name)]
    assert listed, "random use leaves executions behind"
    for arn in listed:
        status = ExecutionStatus(world.finish(arn))
        found = [StepStatus(step) for step in world.statuses(arn).values()]
        assert all(step.is_terminal for step in found), (status, found)
        if status is ExecutionStatus.SUCCEEDED:
            assert set(found) <= {StepStatus.SUCCEEDED}
        if status in (ExecutionStatus.FAILED, ExecutionStatus.COMPLETED_WITH_FAILURES):
            assert {StepStatus.FAILED, StepStatus.STOPPED} & set(found)


def list_executions(world: World, name: str) -> list[dict[str, Any]]:
    """The last executions of a pipeline, if it is there."""
    if name not in [found["PipelineName"] for found in world.engine.call("ListPipelines", {})["PipelineSummaries"]]:
        return []
    answer = world.engine.call("ListPipelineExecutions", {"PipelineName": name})
    executions: list[dict[str, Any]] = answer["PipelineExecutionSummaries"]
    return executions
