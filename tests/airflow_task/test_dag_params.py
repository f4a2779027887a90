"""Pipeline parameters as a trigger form, and as Airflow's own validation."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines import pipeline_params
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from pathlib import Path

DEFINITION: dict[str, Any] = {
    "Version": "2020-12-01",
    "Parameters": [
        {"Name": "Depth", "Type": "Integer", "DefaultValue": 3},
        {"Name": "Eta", "Type": "Float", "DefaultValue": 0.1},
        {"Name": "Shuffle", "Type": "Boolean", "DefaultValue": True},
        {"Name": "Mode", "Type": "String", "DefaultValue": "fast", "EnumValues": ["fast", "slow"]},
        {"Name": "Note", "Type": "String", "DefaultValue": ""},
        {"Name": "Input", "Type": "String"},
    ],
    "Steps": [],
}


def test_types_defaults_and_enums_reach_the_form() -> None:
    params = pipeline_params(DEFINITION, section="Pipeline")
    assert {name: param.schema["type"] for name, param in params.items()} == {
        "Depth": "integer",
        "Eta": "number",
        "Shuffle": "boolean",
        "Mode": "string",
        "Note": ["string", "null"],
        "Input": "string",
    }
    assert params["Mode"].schema["enum"] == ["fast", "slow"]
    assert params["Depth"].resolve() == 3
    assert params["Depth"].schema["section"] == "Pipeline"
    assert {name: param.description for name, param in params.items()} == {
        "Depth": "Integer, default 3.",
        "Eta": "Float, default 0.1.",
        "Shuffle": "Boolean, default true.",
        "Mode": "String, default fast.",
        "Note": "String, empty by default.",
        "Input": "String, required.",
    }


# Airflow 3.3 has moved it.
PARAM_VALIDATION_ERROR = (
    getattr(import_module("airflow.sdk.exceptions"), "ParamValidationError", None)
    or import_module("airflow.exceptions").ParamValidationError
)


@pytest.mark.parametrize(("name", "value"), [("Depth", "7"), ("Mode", "medium"), ("Input", None), ("Note", "x" * 1025)])
def test_the_form_refuses_what_the_pipeline_would(name: str, value: Any) -> None:
    with pytest.raises(PARAM_VALIDATION_ERROR):
        pipeline_params(DEFINITION)[name].resolve(value)


def test_details_and_sections_are_each_parameter_s_own() -> None:
    params = pipeline_params(
        DEFINITION,
        section={"Depth": "Trees"},
        details={"Depth": {"minimum": 1, "maximum": 10, "description": "How deep"}},
    )
    assert (params["Depth"].schema["section"], params["Depth"].description) == ("Trees", "How deep")
    assert "section" not in params["Eta"].schema
    assert params["Depth"].resolve(10) == 10
    with pytest.raises(PARAM_VALIDATION_ERROR, match="maximum"):
        params["Depth"].resolve(11)
    bounds: list[tuple[dict[str, Any], str]] = [
        ({"minimum": 0, "maximum": 9}, "Integer, default 3, 0 to 9."),
        ({"minimum": 1}, "Integer, default 3, 1 or more."),
        ({"maximum": 9}, "Integer, default 3, 9 or less."),
    ]
    for details, description in bounds:
        assert pipeline_params(DEFINITION, details={"Depth": details})["Depth"].description == description
    with pytest.raises(DefinitionError, match="no parameter \\['Deepth'\\]"):
        pipeline_params(DEFINITION, details={"Deepth": {}})


def test_a_choice_of_parameters_keeps_its_order() -> None:
    assert list(pipeline_params(DEFINITION, only=["Mode", "Depth"])) == ["Mode", "Depth"]
    with pytest.raises(DefinitionError, match="no parameter \\['Deepth'\\]"):
        pipeline_params(DEFINITION, only=["Deepth"])


def test_a_path_is_relative_to_the_file_that_asks(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps(DEFINITION))
    source = "from airflow_sm_pipelines import pipeline_params\nparams = pipeline_params('train.json')\n"
    found: dict[str, Any] = {}
    exec(compile(source, str(tmp_path / "dag.py"), "exec"), found)  # noqa: S102 - a DAG file is executed like this
    assert list(found["params"]) == [parameter["Name"] for parameter in DEFINITION["Parameters"]]
    with pytest.raises(DefinitionError, match="cannot be read"):
        pipeline_params(tmp_path / "missing.json")


def test_a_saved_answer_has_the_definition_too(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_text(json.dumps({"PipelineArn": "arn", "PipelineDefinition": json.dumps(DEFINITION)}))
    assert list(pipeline_params(path)) == [parameter["Name"] for parameter in DEFINITION["Parameters"]]
