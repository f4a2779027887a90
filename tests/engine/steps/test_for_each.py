"""ForEach steps: items, iterations, concurrency, what is seen of them, failure, stop, retry and restart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.jobs import FunctionOutcome
from tests.engine.fake_world import (
    ROLE,
    Gate,
    World,
    fail,
    for_each,
    lambda_step,
    processing,
    run_until_stopped,
    wait_until,
)

if TYPE_CHECKING:
    from pathlib import Path

ITEM = {"Get": "ForEach.CurrentItem"}
SCORE = [("score", "Float"), ("label", "String")]


def score(spec: Any, event: Any) -> FunctionOutcome:
    value = float(event["item"])
    return FunctionOutcome("Completed", {"score": value * value, "label": f"item {event['item']}"})


def scoring(items: Any = (1, -3, 2), **members: Any) -> dict[str, Any]:
    return for_each(
        "Each", list(items) if isinstance(items, tuple) else items,
        [lambda_step("Score", "score", {"item": ITEM}, SCORE)], **members,
    )  # fmt: skip


def echo(value: Any) -> dict[str, Any]:
    return lambda_step("Echo", "echo", {"value": value}, [("value", "String")])


def echoed(world: World, value: Any, *before: Any) -> tuple[str, Any]:
    """Run steps and then one that echoes a value; the status, and what the value was."""
    world.functions["score"] = score
    seen: list[Any] = []

    def remember(spec: Any, event: Any) -> FunctionOutcome:
        seen.append(event["value"])
        return FunctionOutcome("Completed", {"value": str(event["value"])})

    world.functions["echo"] = remember
    _, status = world.run([*before, echo(value)])
    return status, seen[0] if seen else None


def test_each_item_gets_a_step_of_its_own_and_the_listing_says_whose_it_is(world: World) -> None:
    world.functions["score"] = score
    arn, status = world.run([scoring()])
    assert status == "Succeeded"
    steps = world.steps(arn)
    assert set(steps) == {"Each", "Score-0", "Score-1", "Score-2"}
    assert steps["Score-1"]["IterationContext"] == {"ParentStepName": "Each", "Index": 1, "Item": "-3"}
    assert "IterationContext" not in steps["Each"]
    assert steps["Each"]["Metadata"] == {
        "ForEach": {
            "Status": "Succeeded",
            "InputItemCount": 3,
            "TotalStepCount": 3,
            "SucceededStepCount": 3,
            "FailedStepCount": 0,
            "StoppedStepCount": 0,
        }
    }
    assert steps["Score-1"]["Metadata"]["Lambda"]["OutputParameters"][0] == {"Name": "score", "Value": "9.0"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("IterationOutputs[1].Score.OutputParameters['score']", 9.0),
        ("IterationOutputs[0].Score.OutputParameters['label']", "item 1"),
        ("TotalStepCount", 3),
        ("Status", "Succeeded"),
    ],
)
def test_later_steps_see_the_outputs_of_iterations_and_the_counts(world: World, path: str, value: Any) -> None:
    assert echoed(world, {"Get": f"Steps.Each.{path}"}, scoring()) == ("Succeeded", value)


@pytest.mark.parametrize(("pick", "label", "index"), [("MaxBy", "item -3", 1), ("MinBy", "item 1", 0)])
def test_a_selector_picks_an_iteration(world: World, pick: str, label: str, index: int) -> None:
    selector = {"Pick": pick, "Field": {"Get": "IterationOutput.Score.OutputParameters['score']"}}
    reference = {"Get": "Steps.Each.Selected.OutputParameters['label']"}
    assert echoed(world, reference, scoring(Selector=selector)) == ("Succeeded", label)
    arn = world.start()
    world.finish(arn)
    assert world.steps(arn)["Each"]["Metadata"]["ForEach"]["Selector"] == {"StepName": "Score", "Index": index}


def test_a_selector_over_what_is_no_number_fails_the_step_and_says_so(world: World) -> None:
    world.functions["score"] = score
    selector = {"Pick": "MaxBy", "Field": {"Get": "IterationOutput.Score.OutputParameters['label']"}}
    arn, status = world.run([scoring(Selector=selector)])
    assert status == "Failed"
    assert "is not a number in step 'Score-0': 'item 1'" in world.steps(arn)["Each"]["FailureReason"]


def test_items_can_come_from_another_step_as_the_text_of_a_list(world: World) -> None:
    items = json.dumps([{"name": "a", "deep": {"x": [1, 2]}}, '{"name": "b", "deep": {"x": [3, 4]}}'])
    world.functions["list"] = lambda spec, event: FunctionOutcome("Completed", {"items": items})
    job = processing(
        "Work",
        arguments={
            "Environment": {
                "NAME": {"Get": "ForEach.CurrentItem.name"},
                "X": {"Std:Join": {"On": "/", "Values": ["x", {"Get": "ForEach.CurrentItem.deep.x[1]"}]}},
                "ALL": ITEM,
            }
        },
    )
    arn, status = world.run(
        [
            lambda_step("List", "list", {}, [("items", "String")]),
            for_each("Each", {"Get": "Steps.List.OutputParameters['items']"}, [job]),
        ]
    )
    assert status == "Succeeded", world.steps(arn)
    assert world.requests["Work-0"]["Environment"] == {
        "NAME": "a",
        "X": "x/2",
        "ALL": '{"name":"a","deep":{"x":[1,2]}}',
    }
    assert world.requests["Work-1"]["Environment"]["NAME"] == "b"
    assert world.requests["Work-1"]["Environment"]["X"] == "x/4"


@pytest.mark.parametrize(("text", "found"), [("{}", "must be a JSON list"), ("a,b", "must be the text of a JSON list")])
def test_items_that_are_no_list_fail_the_step(world: World, text: str, found: str) -> None:
    parameters = [{"Name": "Items", "Type": "String", "DefaultValue": text}]
    arn, status = world.run(
        [for_each("Each", {"Get": "Parameters.Items"}, [processing("Work")])], parameters=parameters
    )
    assert status == "Failed"
    assert found in world.steps(arn)["Each"]["FailureReason"]


def test_an_empty_list_makes_no_steps_and_succeeds(world: World) -> None:
    parameters = [{"Name": "Items", "Type": "String", "DefaultValue": "[]"}]
    arn, status = world.run(
        [for_each("Each", {"Get": "Parameters.Items"}, [processing("Work")])], parameters=parameters
    )
    assert (status, set(world.steps(arn))) == ("Succeeded", {"Each"})


def test_within_an_iteration_body_steps_wait_for_and_see_each_other(world: World) -> None:
    world.put_json("s3://bucket/First/0/report.json", {"v": "zero"})
    world.put_json("s3://bucket/First/1/report.json", {"v": "one"})
    uri = {"Std:Join": {"On": "/", "Values": ["s3://bucket/First", ITEM]}}
    first = processing(
        "First", PropertyFiles=[{"PropertyFileName": "Report", "OutputName": "out", "FilePath": "report.json"}]
    )
    first["Arguments"]["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] = uri
    value = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.First.PropertyFiles.Report"}, "Path": "v"}}
    second = processing("Second", arguments={"Environment": {"V": value}})
    arn, status = world.run([for_each("Each", [0, 1], [second, first])])
    assert status == "Succeeded", world.steps(arn)
    assert world.requests["Second-0"]["Environment"] == {"V": "zero"}
    assert world.requests["Second-1"]["Environment"] == {"V": "one"}


def test_no_more_children_run_at_once_than_the_step_and_the_execution_allow(world: World) -> None:
    world.create([for_each("Each", list(range(12)), [processing("Work")], concurrency=3)])
    assert world.finish(world.start()) == "Succeeded"
    assert world.most_active <= 3
    world.most_active = 0
    arn = world.start(ParallelismConfiguration={"MaxParallelExecutionSteps": 1})
    assert world.finish(arn) == "Succeeded"
    assert world.most_active == 1


def test_a_failed_iteration_fails_the_step_and_names_it_while_running_ones_finish(world: World) -> None:
    slow = Gate()
    world.behaviours.update({"Work-0": slow, "Work-1": fail})
    world.create([for_each("Each", ["a", "b", "c"], [processing("Work")], concurrency=2)])
    arn = world.start()
    wait_until(lambda: world.statuses(arn).get("Work-1") == "Failed")
    slow.opened.set()
    assert world.finish(arn) == "Failed"
    assert world.statuses(arn) == {"Each": "Failed", "Work-0": "Succeeded", "Work-1": "Failed"}
    each = world.steps(arn)["Each"]
    assert each["FailureReason"] == "Iteration steps failed: Work-1"
    assert each["Metadata"]["ForEach"]["Status"] == "Failed"
    assert each["Metadata"]["ForEach"]["FailedStepCount"] == 1


def test_a_retry_runs_only_the_iterations_that_did_not_succeed(world: World) -> None:
    world.behaviours["Work-1"] = fail
    arn, status = world.run(
        [for_each("Each", ["a", "b", "c"], [processing("Work")]), processing("After", depends_on=["Each"])]
    )
    assert status == "Failed"
    world.behaviours.clear()
    world.started.clear()
    world.engine.call("RetryPipelineExecution", {"PipelineExecutionArn": arn})
    assert world.finish(arn) == "Succeeded"
    assert sorted(world.started) == ["After", "Work-1"]
    assert world.steps(arn)["Work-1"]["AttemptCount"] == 2
    assert world.steps(arn)["Each"]["Metadata"]["ForEach"]["SucceededStepCount"] == 3


def test_a_retry_has_the_items_of_the_first_attempt_whatever_they_were_read_from_holds_now(world: World) -> None:
    world.objects["s3://bucket/items.json"] = b'{"items": "[1, 2, 3]"}'
    world.behaviours["Work-1"] = fail
    items = {"Std:JsonGet": {"S3Uri": "s3://bucket/items.json", "Path": "items"}}
    arn, status = world.run([for_each("Each", items, [processing("Work", arguments={"Environment": {"N": ITEM}})])])
    assert status == "Failed"
    world.behaviours.clear()
    world.objects["s3://bucket/items.json"] = b'{"items": "[7]"}'
    world.engine.call("RetryPipelineExecution", {"PipelineExecutionArn": arn})
    assert world.finish(arn) == "Succeeded"
    assert world.steps(arn)["Each"]["Metadata"]["ForEach"]["SucceededStepCount"] == 3
    assert world.requests["Work-1"]["Environment"] == {"N": "2"}


def test_a_stop_stops_the_children_and_then_the_step(world: World) -> None:
    world.behaviours.update({"Work-0": run_until_stopped, "Work-1": run_until_stopped})
    world.create([for_each("Each", ["a", "b", "c"], [processing("Work")], concurrency=2)])
    arn = world.start()
    wait_until(lambda: list(world.statuses(arn).values()).count("Executing") == 3)
    world.engine.call("StopPipelineExecution", {"PipelineExecutionArn": arn})
    assert world.finish(arn) == "Stopped"
    assert world.statuses(arn) == {"Each": "Stopped", "Work-0": "Stopped", "Work-1": "Stopped"}
    assert world.steps(arn)["Each"]["Metadata"]["ForEach"]["StoppedStepCount"] == 2


def test_after_a_restart_the_iterations_go_on(tmp_path: Path) -> None:
    first = World(tmp_path)
    first.open()
    first.behaviours["Work-1"] = run_until_stopped
    first.create([for_each("Each", ["a", "b", "c"], [processing("Work")], concurrency=2)])
    arn = first.start()
    wait_until(lambda: first.statuses(arn).get("Work-2") == "Succeeded")
    first.engine.stop()
    second = World(tmp_path)
    second.open()
    assert second.finish(arn) == "Succeeded"
    assert second.started == ["Work-1"]
    second.engine.stop()


def test_a_selection_of_steps_after_it_takes_the_iterations_over(world: World) -> None:
    reference = {"Get": "Steps.Each.IterationOutputs[2].Score.OutputParameters['label']"}
    world.functions["score"] = score
    seen: list[Any] = []
    world.functions["echo"] = lambda spec, event: (
        seen.append(event["value"]), FunctionOutcome("Completed", {"value": ""}),
    )[1]  # fmt: skip
    arn, status = world.run([scoring(), echo(reference)])
    selected = world.start(
        SelectiveExecutionConfig={"SourcePipelineExecutionArn": arn, "SelectedSteps": [{"StepName": "Echo"}]}
    )
    assert (status, world.finish(selected)) == ("Succeeded", "Succeeded")
    assert seen == ["item 2", "item 2"]


def test_what_sdk_v3_writes_runs(world: World, repository: Path) -> None:
    """The definition was written by ForEachStep and CallbackStep of sagemaker-mlops 1.27.0."""
    text = (repository / "tests" / "data" / "definitions" / "for_each_sdk_v3.json").read_text()
    world.engine.call("CreatePipeline", {"PipelineName": "p", "RoleArn": ROLE, "PipelineDefinition": text})
    arn = world.start("p")

    def answer(message: dict[str, Any], *outputs: dict[str, str]) -> None:
        request = {"CallbackToken": message["token"], "OutputParameters": list(outputs)}
        world.engine.call("SendPipelineExecutionStepSuccess", request)

    wait_until(lambda: len(world.messages) == 2)
    for _, message in list(world.messages):
        answer(message, {"Name": "count", "Value": "7" if message["arguments"] == {"who": "b"} else "5"})
    wait_until(lambda: len(world.messages) == 3)
    last = world.messages[2][1]
    assert last["arguments"] == {"n": 2, "sel": 7, "i": 5}
    answer(last)
    assert world.finish(arn) == "Succeeded"
