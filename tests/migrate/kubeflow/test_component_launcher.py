"""The launcher, held to KFP's contract: placeholders, executor input, outputs, artifacts, retries."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from airflow_sm_pipelines.migrate.kubeflow import component_launcher
from airflow_sm_pipelines.migrate.kubeflow.component_launcher import ComponentRun, combine_items, to_items

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job's folder in place of ``/opt/ml/processing``."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    for name, path in (
        ("INPUTS", tmp_path / "input"),
        ("OUTPUT", tmp_path / "output"),
        ("WORK", tmp_path / "kfp"),
        ("RESULT", tmp_path / "kfp" / "executor_output.json"),
    ):
        monkeypatch.setattr(component_launcher, name, path)
    return tmp_path


def describe(code: str, *args: Any, **members: Any) -> dict[str, Any]:
    """A component that runs some Python."""
    return {
        "task": "me",
        "command": [sys.executable, "-c", code],
        "args": list(args),
        "env": {},
        "facts": {},
        "parameters": {},
        "artifacts": {},
        "outputs": {},
        "output_artifacts": {},
        "input_paths": {},
        "output_paths": {},
        "retries": {"count": 0, "seconds": 0, "factor": 1, "max_seconds": 0},
        **members,
    }


def stage(job: Path, name: str, task: str, values: dict[str, Any], artifacts: dict[str, Any] | None = None) -> Path:
    """Stage what another step has given."""
    folder = job / "input" / name
    folder.mkdir(parents=True)
    outputs = {"task": task, "base": f"s3://b/{task}", "values": values, "artifacts": artifacts or {}}
    (folder / "outputs.json").write_text(json.dumps(outputs))
    return folder


def run(job: Path, component: dict[str, Any], **arguments: str) -> dict[str, Any]:
    """What the component has given."""
    one = ComponentRun(component, {"base": "s3://b/me", **arguments})
    one.prepare()
    assert one.run() == 0
    one.collect()
    found: dict[str, Any] = json.loads((job / "output" / "outputs.json").read_text())
    return found


WRITE = "import sys, pathlib; pathlib.Path(sys.argv[2]).write_text(sys.argv[1])"


def test_values_of_every_kind_reach_the_command_line(job: Path) -> None:
    stage(job, "input-1", "flip", {"Output": "heads", "sizes": {"a": 3}})
    for index in (10, 2):
        stage(job, f"input-2/{index}", "each", {"Output": index})
    one = {"input": "input-1", "keys": {"flip": "Output", "other": "x"}}
    sizes = {"input": "input-1", "keys": {"flip": "sizes"}}
    parameters = {
        "number": {"type": "NUMBER_INTEGER", "value": {"argument": "n"}},
        "side": {"type": "STRING", "value": one},
        "size": {"type": "NUMBER_INTEGER", "value": {"member": "a", "holder": sizes}},
        "all": {"type": "LIST", "value": {"collected": "input-2", "key": "Output"}},
        "told": {
            "type": "STRING",
            "value": {"text": "it is {{$.inputs.parameters['s']}}", "inputs": {"s": one}},
        },
    }
    words = "|".join(f"{{{{$.inputs.parameters['{name}']}}}}" for name in parameters)
    component = describe(
        WRITE,
        words,
        "{{$.outputs.parameters['Output'].output_file}}",
        parameters=parameters,
        outputs={"Output": "STRING"},
    )
    assert run(job, component, n="5")["values"] == {"Output": "5|heads|3|[2, 10]|it is heads"}


def test_the_executor_input_is_that_of_kfp_and_its_output_is_read(job: Path) -> None:
    data = {"name": "d", "type": {"schemaTitle": "system.Dataset"}, "metadata": {"rows": 3}}
    folder = stage(job, "input-1", "make", {}, {"data": [{**data, "uri": "s3://b/make/artifacts/data"}]})
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / "data").write_text("1 2 3")
    code = """
import json, pathlib, sys
given = json.loads(sys.argv[1])
(data,) = given["inputs"]["artifacts"]["data"]["artifacts"]
(model,) = given["outputs"]["artifacts"]["model"]["artifacts"]
assert data["metadata"] == {"rows": 3} and given["outputs"]["parameters"]["total"]["outputFile"]
total = sum(map(int, pathlib.Path(data["uri"]).read_text().split()))
pathlib.Path(model["uri"]).write_text("model")
artifacts = {"model": {"artifacts": [{**model, "metadata": {"score": 0.5}}]}}
pathlib.Path(given["outputs"]["outputFile"]).write_text(
    json.dumps({"parameterValues": {"total": total, "parts": [1, {"a": "b"}]}, "artifacts": artifacts}))
"""
    component = describe(
        code,
        "{{$}}",
        artifacts={"data": {"input": "input-1", "keys": {"make": "data"}}},
        outputs={"total": "NUMBER_INTEGER", "parts": "LIST"},
        output_artifacts={"model": "system.Model"},
    )
    found = run(job, component)
    assert found["values"] == {"total": 6, "parts": [1, {"a": "b"}]}
    assert found["numbers"] == {"total": 6}
    assert json.loads(found["items"]["parts"])[1] == {"index": "1", "value": '{"a": "b"}', "field_a": "b"}
    (model,) = found["artifacts"]["model"]
    assert (model["uri"], model["metadata"]) == ("s3://b/me/artifacts/model", {"score": 0.5})
    assert (job / "output" / "artifacts" / "model").read_text() == "model"


def test_an_imported_artifact_leads_to_its_file(job: Path) -> None:
    (job / "input" / "input-1").mkdir(parents=True)
    (job / "input" / "input-1" / "rows.csv").write_text("rows")
    tree = {"imported": {"literal": "s3://x/rows.csv"}, "schema": "system.Dataset", "metadata": {}, "input": "input-1"}
    code = "import sys, pathlib; pathlib.Path(sys.argv[2]).write_text(pathlib.Path(sys.argv[1]).read_text())"
    words = ("{{$.inputs.artifacts['data'].path}}", "{{$.outputs.parameters['Output'].output_file}}")
    component = describe(code, *words, artifacts={"data": tree}, outputs={"Output": "STRING"})
    assert run(job, component)["values"] == {"Output": "rows"}


def test_words_that_depend_on_an_input(job: Path) -> None:
    rule = json.dumps({"IfPresent": {"InputName": "text", "Then": ["--text", "x"], "Else": ["none"]}})
    joined = json.dumps({"Concat": ["a", "{{$.inputs.parameters['text']}}"]})
    code = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(' '.join(sys.argv[2:]))"
    path = "{{$.outputs.parameters['Output'].output_file}}"
    parameters = {"text": {"type": "STRING", "value": {"literal": "b"}}}
    component = describe(code, path, rule, joined, parameters=parameters, outputs={"Output": "STRING"})
    assert run(job, component)["values"] == {"Output": "--text x ab"}
    assert run(job, {**component, "parameters": {}})["values"] == {"Output": "none a"}


def test_the_command_is_started_again_as_often_as_asked(job: Path) -> None:
    code = f"""
import pathlib, sys
path = pathlib.Path({str(job / "tries")!r})
tries = path.read_text() if path.exists() else ""
path.write_text(tries + "x")
sys.exit(len(tries) < 2)
"""
    retries = {"count": 2, "seconds": 0, "factor": 2, "max_seconds": 1}
    run(job, describe(code, retries=retries))
    assert (job / "tries").read_text() == "xxx"
    (job / "tries").unlink()
    assert ComponentRun(describe(code, retries={**retries, "count": 1}), {"base": "s3://b/me"}).run() == 1


def test_the_paths_of_kfp_1_are_filled_and_read(job: Path) -> None:
    code = "import sys, pathlib; pathlib.Path(sys.argv[2]).write_text(pathlib.Path(sys.argv[1]).read_text() + '!\\n')"
    read, written = str(job / "in" / "data"), str(job / "out" / "data")
    component = describe(
        code,
        read,
        written,
        parameters={"data": {"type": "STRING", "value": {"literal": "rows"}}},
        outputs={"Output": "STRING"},
        output_artifacts={"Output": "system.Artifact"},
        input_paths={"data": read},
        output_paths={"Output": written},
    )
    assert run(job, component)["values"] == {"Output": "rows!"}
    assert (job / "output" / "artifacts" / "Output").read_text() == "rows!\n"


def test_items_are_numbered_and_their_members_are_text() -> None:
    assert json.loads(to_items(["a", {"n": 1}])) == [
        {"index": "0", "value": "a"},
        {"index": "1", "value": '{"n": 1}', "field_n": "1"},
    ]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A secret and a parameter, in moto."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with mock_aws():
        boto3.client("secretsmanager", "eu-west-1").create_secret(Name="db", SecretString='{"user": "me", "age": 3}')
        boto3.client("ssm", "eu-west-1").put_parameter(Name="settings", Value='{"a.txt": "one"}', Type="String")
        yield


def test_secrets_are_variables_and_config_maps_are_files(job: Path, aws: None) -> None:
    folder = str(job / "etc")
    code = f"import os, pathlib, sys; print(os.environ['USER_NAME'], pathlib.Path('{folder}/a.txt').read_text())"
    entries = [
        {"kind": "secret", "name": {"literal": "db"}, "env": {"USER_NAME": "user"}, "folder": "", "is_optional": False},
        {"kind": "config map", "name": {"literal": "settings"}, "env": {}, "folder": folder, "is_optional": False},
        {"kind": "secret", "name": {"literal": "none"}, "env": {"NO": "x"}, "folder": "", "is_optional": True},
    ]
    run(job, describe(code, entries=entries, folders=[str(job / "scratch")]))
    assert (job / "scratch").is_dir()
    for entry in ({**entries[0], "env": {"A": "b"}}, {**entries[2], "is_optional": False}):
        with pytest.raises(SystemExit, match=r"has no entry 'b'|cannot be read"):
            run(job, describe(code, entries=[entry]))


def test_what_the_cluster_mounts_is_below_the_jobs_own_folder_on_ones_own_machine(job: Path) -> None:
    code = "import pathlib; pathlib.Path('/scratch/a').write_text('x')"
    run(job, describe(code, folders=["/scratch"]))
    assert (job / "kfp" / "mounts" / "scratch" / "a").exists()


def test_items_of_loops_in_each_other_are_those_of_one() -> None:
    levels = [
        {"items": [{"kind": "a", "parts": ["x", "y"]}, {"kind": "b"}]},
        {"level": 1, "member": "parts"},
        {"items": "['1']"},
    ]
    fields = ["index", "field_kind", "level_2_value", "level_3_value"]
    combined = json.loads(combine_items(levels, fields))
    assert combined[0].keys() == {*fields}
    assert [one["index"] for one in combined] == ["0/0/0", "0/1/0"]
    assert combined[1]["field_kind"] == "a"
    assert [combined[1][f"level_{number}_value"] for number in (2, 3)] == ["y", "1"]
    with pytest.raises(ValueError, match="repeats for a list"):
        combine_items([{"items": [{"n": 1}]}, {"level": 1, "member": "n"}], [])


def test_what_loops_in_each_other_give_is_lists_in_lists(job: Path) -> None:
    for index in ("0/0", "0/1", "1/0"):
        stage(job, f"input-1/{index}", "each", {"Output": index})
    component = describe(
        "import sys; print(sys.argv[1])",
        parameters={"all": {"type": "LIST", "value": {"collected": "input-1", "key": "Output"}}},
    )
    one = ComponentRun(component, {"base": "s3://b/me"})
    one.prepare()
    assert one.make_executor_input()["inputs"]["parameterValues"] == {"all": [["0/0", "0/1"], ["1/0"]]}


def test_an_importers_metadata_may_name_inputs(job: Path) -> None:
    (job / "input" / "data").mkdir(parents=True)
    structure = {
        "name": "{{$.inputs.parameters['n']}}",
        "{{$.inputs.parameters['k']}}": ["a-{{$.inputs.parameters['n']}}"],
    }
    inputs = {"n": {"literal": 3}, "k": {"literal": "key"}}
    tree = {
        "imported": {"literal": "s3://b/data"},
        "schema": "system.Dataset",
        "metadata": {},
        "filled": {"structure": structure, "inputs": inputs},
        "input": "data",
    }
    one = ComponentRun(describe("pass", artifacts={"data": tree}), {"base": "s3://b/me"})
    one.prepare()
    (artifact,) = one.make_executor_input()["inputs"]["artifacts"]["data"]["artifacts"]
    assert artifact["metadata"] == {"name": 3, "key": ["a-3"]}


def test_an_artifact_at_an_address_of_the_components_own_is_uploaded(job: Path) -> None:
    code = """
import json, pathlib, sys
result = pathlib.Path(json.loads(sys.argv[1])["outputs"]["outputFile"])
made = result.parent / "Output"
made.write_text("rows")
given = {"artifacts": {"data": {"artifacts": [{"name": "Output", "uri": str(made), "metadata": {"n": 4}}]}}}
result.write_text(json.dumps(given))
"""
    given = run(job, describe(code, "{{$}}", output_artifacts={"data": "system.Dataset"}))
    (artifact,) = given["artifacts"]["data"]
    assert (artifact["uri"], artifact["metadata"]) == ("s3://b/me/artifacts/data", {"n": 4})
    assert (job / "output" / "artifacts" / "data").read_text() == "rows"
