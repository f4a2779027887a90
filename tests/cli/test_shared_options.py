"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.cli.entry_point import main, make_parser
from airflow_sm_pipelines.cli.sources import parse_literal, read_config
from airflow_sm_pipelines.exceptions import SageMakerPipelinesError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("command", ["compile", "plan", "run"])
@pytest.mark.parametrize("option", ["--module-name", "--module"])
def test_a_module_is_the_script_that_it_is_in_the_working_directory(command: str, option: str) -> None:
    parsed = vars(make_parser().parse_args([command, option, "pipelines.abalone.pipeline"]))
    assert "pipelines/abalone/pipeline.py:get_pipeline" in parsed.values()
    assert parsed["working_dir"] == "."
    given = make_parser().parse_args([command, "--working-dir", "x", option, "pipelines.abalone.pipeline"])
    assert given.working_dir == "x"


def test_a_package_is_its_init_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").write_text("")
    monkeypatch.chdir(tmp_path)
    parsed = make_parser().parse_args(["compile", "--module-name", "pipelines"])
    assert parsed.reference == "pipelines/__init__.py:get_pipeline"


def test_a_script_or_a_module_is_named_and_not_both(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["compile"], ["compile", "a.py", "--module-name", "a"]):
        with pytest.raises(SystemExit):
            main(arguments)
    assert "one of the arguments SCRIPT --module-name/--module is required" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"region": "eu-west-1", "role": null}', {"region": "eu-west-1", "role": None}),
        ("{'region': 'eu-west-1', 'role': None}", {"region": "eu-west-1", "role": None}),
        ("[{'Key': 'a', 'Value': 'b'}]", [{"Key": "a", "Value": "b"}]),
        ("region=x", None),
        ("{1, 2}", None),
    ],
)
def test_a_value_is_json_or_python(text: str, value: object) -> None:
    assert parse_literal(text) == value


def test_arguments_of_the_function_come_from_all_their_options(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"a": 1, "b": 1, "c": 1}')
    options = ["--config", str(file), "--kwargs", "{'b': 2, 'c': 2}", "--set", "c=3"]
    assert read_config(make_parser().parse_args(["compile", "a.py", *options])) == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(SageMakerPipelinesError, match="--kwargs '3' is no dict"):
        read_config(make_parser().parse_args(["compile", "a.py", "--kwargs", "3"]))


@pytest.mark.parametrize(
    "arguments",
    [
        ["prune", "p", "--keep", "-1"],
        ["prune", "p", "--keep", "few"],
        ["prune", "p", "--older-than", "nan"],
        ["prune", "p", "--older-than", "-2"],
        ["list", "-n", "-5"],
        ["watch", "p", "--interval", "inf"],
        ["conformance", "--budget", "-1"],
        ["local", "profile", "--port", "99999999"],
    ],
)
def test_a_number_that_makes_no_sense_is_refused_before_anything_is_done(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert f"argument {arguments[-2]}" in capsys.readouterr().err.replace("-n/--limit", "-n")


def test_a_number_from_zero_on_is_taken() -> None:
    parsed = make_parser().parse_args(["prune", "p", "--keep", "0", "--older-than", "0.5"])
    assert (parsed.keep, parsed.older_than) == (0, 0.5)
