"""Stand-ins: real processes that run the user's function; and what a step without one says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.jobs.stand_in_table import StandIns
from airflow_sm_pipelines.engine.jobs.toml_file import TomlFileError
from tests.engine.fake_world import World, processing, wait_until

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import json, os, pathlib, time

HERE = pathlib.Path(__file__).parent

def run(step):
    (HERE / f"{step['name']}.json").write_text(json.dumps({**step, "endpoint": os.environ.get("AWS_ENDPOINT_URL")}))
    return {"metadata": {"EMR": {"ClusterId": "j-1"}}, "outputs": {"Rows": 42, "Parts": [{"Name": "a", "Uri": "s3://b/a"}]}}

def nothing(step):
    return None

def fail(step):
    raise ValueError("no cluster today")

def wrong(step):
    return {"result": 1}

def wait(step):
    (HERE / "waiting").write_text("")
    time.sleep(60)
"""


def emr(name: str = "Crunch", kind: str = "EMR", **arguments: Any) -> dict[str, Any]:
    return {"Name": name, "Type": kind, "Arguments": arguments, "ClusterId": {"Get": "Parameters.Cluster"}}


PARAMETERS = [{"Name": "Cluster", "Type": "String", "DefaultValue": "j-2"}]


def open_world(folder: Path, table: str) -> World:
    (folder / "code").mkdir()
    (folder / "code" / "mine.py").write_text(PROGRAM)
    (folder / "code" / "stand_ins.toml").write_text(table)
    world = World(folder)
    world.stand_ins = StandIns.load(env={"SM_PIPELINES_STAND_INS": str(folder / "code" / "stand_ins.toml")})
    world.open()
    return world


def test_a_stand_in_gets_the_resolved_step_and_gives_metadata_and_outputs(tmp_path: Path) -> None:
    world = open_world(tmp_path, '[[stand_in]]\ntype = "EMR"\nfunction = "mine.py:run"\n')
    use = {
        "Environment": {
            "ROWS": {"Get": "Steps.Crunch.Rows"},
            "URI": {"Get": "Steps.Crunch.Parts['a'].Uri"},
            "JAR": {"Get": "Steps.Crunch.Jar"},
        }
    }
    steps = [emr(Jar="s3://b/x.jar", Who={"Get": "Execution.PipelineName"}), processing("Use", arguments=use)]
    arn, status = world.run(steps, parameters=PARAMETERS)
    assert status == "Succeeded", world.steps(arn)
    assert world.steps(arn)["Crunch"]["Metadata"] == {"EMR": {"ClusterId": "j-1"}}
    assert world.requests["Use"]["Environment"] == {"ROWS": "42", "URI": "s3://b/a", "JAR": "s3://b/x.jar"}
    assert json.loads((tmp_path / "code" / "Crunch.json").read_text()) == {
        "name": "Crunch",
        "type": "EMR",
        "pipeline_name": "demo",
        "execution_arn": arn,
        "region": "us-east-1",
        "arguments": {"Jar": "s3://b/x.jar", "Who": "demo"},
        "attributes": {"ClusterId": "j-2"},
        "endpoint": "http://127.0.0.1:1",
    }
    world.engine.stop()


def test_one_for_a_steps_name_goes_before_its_type_and_before_what_the_engine_would_do(tmp_path: Path) -> None:
    table = """
    [[stand_in]]
    type = "EMR"
    function = "mine.py:fail"
    [[stand_in]]
    step = "Cr*"
    function = "mine.py:nothing"
    """
    world = open_world(tmp_path, table)
    arn, status = world.run([emr(), processing("CrProcess"), processing("Other")], parameters=PARAMETERS)
    assert status == "Succeeded", world.steps(arn)
    assert world.started == ["Other"]
    world.engine.stop()


@pytest.mark.parametrize(
    ("function", "says"),
    [("fail", "mine.py:fail failed: ValueError: no cluster today"), ("wrong", "must return None or an object")],
)
def test_what_the_function_does_wrong_fails_the_step(tmp_path: Path, function: str, says: str) -> None:
    world = open_world(tmp_path, f'[[stand_in]]\ntype = "EMR"\nfunction = "mine.py:{function}"\n')
    arn, status = world.run([emr()], parameters=PARAMETERS)
    assert status == "Failed"
    assert says in world.steps(arn)["Crunch"]["FailureReason"]
    world.engine.stop()


def test_a_stop_ends_the_function(tmp_path: Path) -> None:
    world = open_world(tmp_path, '[[stand_in]]\ntype = "EMR"\nfunction = "mine.py:wait"\n')
    world.create([emr()], parameters=PARAMETERS)
    arn = world.start()
    wait_until((tmp_path / "code" / "waiting").exists)
    world.engine.call("StopPipelineExecution", {"PipelineExecutionArn": arn})
    assert world.finish(arn) == "Stopped"
    assert world.statuses(arn) == {"Crunch": "Stopped"}
    world.engine.stop()


@pytest.mark.parametrize("kind", ["EMR", "BedrockCustomModel", "NeverHeardOf"])
def test_without_one_the_step_fails_and_says_how_to_register_one(world: World, kind: str) -> None:
    arn, status = world.run([emr(kind=kind)], parameters=PARAMETERS)
    assert status == "Failed"
    reason = world.steps(arn)["Crunch"]["FailureReason"]
    assert f"Step type '{kind}' has no local meaning" in reason
    assert f'[[stand_in]]\ntype = "{kind}"  # or: step = "Crunch"\nfunction = "stand_ins.py:run"' in reason
    assert "$SM_PIPELINES_STAND_INS" in reason


def test_a_wrong_table_is_refused_with_all_findings(tmp_path: Path) -> None:
    path = tmp_path / "stand_ins.toml"
    path.write_text(
        '[[stand_in]]\nfunction = "mine.py"\n[[stand_in]]\ntype = 1\nfunction = "gone.py:f"\nwhat = 1\n[other]\n'
    )
    with pytest.raises(TomlFileError) as refused:
        StandIns.load(env={"SM_PIPELINES_STAND_INS": str(path)})
    for finding in (
        "unknown table 'other'",
        "stand-in 1: needs 'type' or 'step'",
        "stand-in 1: needs 'function'",
        "stand-in 2: 'type' must be a text",
        "stand-in 2: there is no file",
        "stand-in 2: unknown key 'what'",
    ):
        assert finding in str(refused.value)
