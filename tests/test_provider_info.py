"""What Airflow is told of this package: what is named is there, and what is there is named."""

from __future__ import annotations

import ast
import json
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import airflow_sm_pipelines
from airflow_sm_pipelines.airflow_task.settings import PRICES_OPTION, SECTION, VARIABLES, adopt_settings
from airflow_sm_pipelines.provider_info import get_provider_info

PACKAGE = Path(airflow_sm_pipelines.__file__).parent


def test_airflows_schema_takes_it() -> None:
    airflow = find_spec("airflow")
    assert airflow is not None
    assert airflow.origin is not None
    schema = Path(airflow.origin).with_name("provider_info.schema.json").read_text()
    jsonschema.validate(get_provider_info(), json.loads(schema))


def test_each_setting_that_is_read_is_described_and_reaches_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    options = get_provider_info()["config"][SECTION]["options"]
    assert set(options) == {*VARIABLES, PRICES_OPTION}
    for option, variable in VARIABLES.items():
        assert variable in options[option]["description"]
        monkeypatch.setenv(f"AIRFLOW__{SECTION.upper()}__{option.upper()}", f"/{option}")
    kept: dict[str, str] = dict.fromkeys(VARIABLES.values(), "")
    adopt_settings(kept)
    assert kept == {variable: f"/{option}" for option, variable in VARIABLES.items()}
    given = dict.fromkeys(VARIABLES.values(), "/given")
    adopt_settings(given)
    assert set(given.values()) == {"/given"}
    for option in VARIABLES:
        monkeypatch.delenv(f"AIRFLOW__{SECTION.upper()}__{option.upper()}")
    none: dict[str, str] = {}
    adopt_settings(none)
    assert none == {}


def test_airflow_shows_it_whole_and_finds_the_plugin_once() -> None:
    from airflow.providers_manager import ProvidersManager

    shown = ProvidersManager().providers["airflow-sm-pipelines"].data
    assert {name: shown[name] for name in get_provider_info()} == get_provider_info()
    (plugin,) = entry_points(group="airflow.plugins", name="sm_pipelines")
    assert plugin.value == "airflow_sm_pipelines.plugins:SageMakerPipelinesPlugin"
    assert "plugins" not in shown


@pytest.mark.parametrize("kind", ["hooks", "triggers", "operators", "sensors"])
def test_each_module_with_a_class_for_dag_files_is_named(kind: str) -> None:
    (named,) = get_provider_info()[kind]
    there = {
        f"{PACKAGE.name}.{kind}.{path.stem}"
        for path in (PACKAGE / kind).glob("*.py")
        if path.stem != "base"
        and any(
            isinstance(one, ast.ClassDef) and is_for_users(one.name, kind) for one in ast.parse(path.read_text()).body
        )
    }
    assert set(named["python-modules"]) == there
    assert named["integration-name"] in {one["integration-name"] for one in get_provider_info()["integrations"]}


def is_for_users(name: str, kind: str) -> bool:
    return name.startswith("SageMaker") and name.endswith(kind.removesuffix("s").capitalize())


def test_each_class_and_function_that_is_named_is_there() -> None:
    info = get_provider_info()
    paths = [one["class-name"] for one in info["task-decorators"]] + info["extra-links"]
    assert paths
    for path in paths:
        module, _, name = path.rpartition(".")
        file = PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")
        found: list[Any] = [one for one in ast.parse(file.read_text()).body if getattr(one, "name", None) == name]
        assert found, path
