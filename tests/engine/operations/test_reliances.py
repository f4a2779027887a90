"""What a run relied on that may differ on AWS: only what it really relied on."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.jobs import JobOutcome
from tests.engine.fake_world import World, complete, fail, for_each, processing, training, wait_until

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.operations.reliances import Reliance

LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)
LABEL = {"Name": "Label", "Type": "String", "DefaultValue": "10"}
DEPTH = {"Name": "Depth", "Type": "Integer", "DefaultValue": 3}


def relied(world: World) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.text, one.steps) for one in world.engine.find_reliances(LONG_AGO)]


def with_variable(value: Any) -> dict[str, Any]:
    return {"Environment": {"A": value}}


def join(*values: Any) -> dict[str, Any]:
    return {"Std:Join": {"On": "-", "Values": list(values)}}


def check(kind: str, left: Any, right: Any, *, inside: list[Any] | None = None) -> dict[str, Any]:
    conditions = [{"Type": kind, "LeftValue": left, "RightValue": right}]
    return {"Name": "Check", "Type": "Condition", "Arguments": {"Conditions": conditions, "IfSteps": inside or []}}


def wait_for_bad(world: World) -> None:
    (execution,) = world.engine.call("ListPipelineExecutions", {"PipelineName": "demo"})["PipelineExecutionSummaries"]
    wait_until(lambda: world.statuses(execution["PipelineExecutionArn"])["Bad"] == "Failed")


SCORE = processing("Score", arguments=with_variable({"Get": "ForEach.CurrentItem"}))
PLAIN = [
    processing("Prepare", arguments=with_variable(join("a", {"Get": "Parameters.Label"}))),
    processing("Train", depends_on=["Prepare"]),
    check("GreaterThan", {"Get": "Parameters.Depth"}, 10, inside=[processing("Deploy")]),
    for_each("Each", ["a", "b"], [SCORE]),
]


def test_a_run_of_documented_rules_relies_on_nothing(world: World) -> None:
    _, status = world.run(PLAIN, parameters=[LABEL, DEPTH])
    assert (status, relied(world)) == ("Succeeded", [])


@pytest.mark.parametrize(
    ("text", "names", "steps"),
    [
        (
            "Std:Join writes numbers",
            ("Prepare",),
            [processing("Prepare", arguments=with_variable(join("a", {"Get": "Parameters.Depth"})))],
        ),
        ("texts are ordered", ("Check",), [check("LessThan", {"Get": "Parameters.Label"}, "9")]),
        (
            "times read",
            ("Prepare",),
            [processing("Prepare", arguments=with_variable({"Get": "Execution.StartDateTime"}))],
        ),
        (
            "is its JSON text",
            ("Score-0",),
            [for_each("Each", [{"a": 1}], [SCORE])],
        ),
        (
            "after a failure",
            ("Later",),
            [processing("Bad"), processing("Long"), processing("Later", depends_on=["Long"])],
        ),
        ("one unhandled failure", ("Bad",), [
            processing("Bad"),
            processing("Worse", depends_on=[]),
            processing("Mend", depends_on=[{"Step": "Bad", "Trigger": "Failed"}]),
        ]),
        ("runs past its time", ("Slow",), [training("Slow")]),
        ("a failed iteration", ("Each",), [for_each("Each", ["a", "b"], [processing("Bad")])]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_chosen_rule_that_counted_is_named(world: World, text: str, names: tuple[str, ...], steps: list[Any]) -> None:
    for name in ("Bad", "Worse", "Bad-0", "Bad-1"):
        world.behaviours[name] = fail
    world.behaviours["Long"] = lambda *given: wait_for_bad(world) or complete(*given)
    details = {"SecondaryStatus": "MaxRuntimeExceeded"}
    world.behaviours["Slow"] = lambda *_: JobOutcome("Stopped", "too long", details=details)
    world.run(steps, parameters=[LABEL, DEPTH])
    found = [one for one in relied(world) if text in one[0]]
    assert [steps for _, steps in found] == [names], relied(world)


def test_a_retried_execution_and_versions_are_named(world: World) -> None:
    world.behaviours["Prepare"] = fail
    arn, _ = world.run([processing("Prepare")])
    assert relied(world) == []
    del world.behaviours["Prepare"]
    world.engine.call("RetryPipelineExecution", {"PipelineExecutionArn": arn, "ClientRequestToken": "t" * 40})
    world.finish(arn)
    world.engine._services.images.differences["image"] = ("The image has Python 3.9.",)
    kinds: list[Reliance] = world.engine.find_reliances(LONG_AGO)
    assert [(one.kind, one.steps) for one in kinds] == [("versions", ("Prepare",)), ("chosen", ("Prepare",))]
    assert world.engine.find_reliances(datetime.now(timezone.utc) + timedelta(seconds=1)) == []


def test_an_ended_execution_has_a_log_stream_of_what_it_relied_on(world: World) -> None:
    arn, _ = world.run([check("LessThan", {"Get": "Parameters.Label"}, "9")], parameters=[LABEL])
    ((group, stream), lines) = next(iter(world.logs.items()))
    assert group == "/aws/sagemaker/PipelineExecutions"
    assert stream.startswith(f"{arn.rpartition('/')[2]}/may-differ-on-aws/")
    assert lines == ["chosen: Check: texts are ordered by code point, so '10' is less than '9'"]
    world.logs.clear()
    world.create(PLAIN, name="plain", parameters=[LABEL, DEPTH])
    world.finish(world.start("plain"))
    assert world.logs == {}
