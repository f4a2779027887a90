from __future__ import annotations

import pytest

from airflow_sm_pipelines.migrate.kubeflow.input_values import Literal, NotCarriedError, RunValue, StepOutput
from airflow_sm_pipelines.migrate.kubeflow.trigger_conditions import (
    convert_when,
    decide,
    drop_earlier,
    parse_condition,
    translate,
)

X = "inputs.parameter_values['x']"


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        (f"{X} == 'heads'", "heads", True),
        (f"{X} != 'heads'", "heads", False),
        (f"int({X}) > 5", "7", True),
        (f"int({X}) <= 5 || {X} == '7'", "7", True),
        (f"!({X} == 'a') && !({X} == 'b')", "c", True),
        (f"{X} == true", True, True),
        (f"{X} == 'it\\'s'", "it's", True),
        ("inputs.parameters['x'].string_value == 'true'", "true", True),
        (f"({X} == 'a' || {X} == 'b') && {X} != 'a'", "a", False),
    ],
)
def test_a_condition_over_known_values_is_decided(text: str, value: object, holds: bool) -> None:
    assert decide(parse_condition(text), {"x": Literal(value)}) is holds  # type: ignore[arg-type]


def test_a_known_half_decides_what_a_run_cannot_change() -> None:
    inputs = {"x": StepOutput("flip", "Output"), "y": Literal("a")}
    text = f"{X} == 'heads' && inputs.parameter_values['y'] == 'b'"
    assert decide(parse_condition(text), inputs) is False
    assert decide(parse_condition(text.replace("'b'", "'a'")), inputs) is None


def test_outputs_are_read_as_what_they_are_compared_with() -> None:
    inputs = {"x": StepOutput("flip", "Output")}
    (text,) = translate(parse_condition(f"{X} == 'heads'"), inputs)
    (number,) = translate(parse_condition(f"int({X}) > 5"), inputs)
    assert text["Type"] == "Equals"
    assert text["LeftValue"] == {
        "Std:JsonGet": {"PropertyFile": {"Get": "Steps.flip.PropertyFiles.outputs"}, "Path": "values.Output"}
    }
    assert number["Type"] == "GreaterThan"
    assert number["LeftValue"]["Std:JsonGet"]["Path"] == "numbers.Output"  # type: ignore[index, call-overload]


def test_and_inside_another_condition_is_written_by_not_and_or() -> None:
    inputs = {"x": RunValue({"Get": "Parameters.x"})}
    (found,) = translate(parse_condition(f"!({X} == 'a' && {X} == 'b')"), inputs)
    assert found["Type"] == "Not"
    inner = found["Condition"]
    assert isinstance(inner, dict)
    assert inner["Type"] == "Not"
    assert inner["Condition"]["Type"] == "Or"  # type: ignore[index, call-overload]


def test_a_text_parameter_is_not_compared_as_a_number() -> None:
    with pytest.raises(NotCarriedError, match="type int"):
        translate(parse_condition(f"int({X}) > 5"), {"x": RunValue({"Get": "Parameters.x"})})


def test_the_negation_of_earlier_branches_is_left_out() -> None:
    first, second = parse_condition(f"{X} == 'a'"), parse_condition(f"!({X} == 'a') && {X} == 'b'")
    rest = drop_earlier(second, [first])
    assert rest == parse_condition(f"{X} == 'b'")
    assert rest is not None
    assert drop_earlier(parse_condition(f"!({X} == 'a') && !({X} == 'b')"), [first, rest]) is None


@pytest.mark.parametrize("text", ["x ==", f"{X} == 'a", f"size({X}) > 1", "(" * 60, f"{X} + 1 == 2", ""])
def test_what_kfp_does_not_write_is_refused(text: str) -> None:
    with pytest.raises(NotCarriedError, match="none that KFP writes"):
        parse_condition(text)


def test_a_condition_of_argo_becomes_one_of_kfp() -> None:
    text, read = convert_when(
        '"{{tasks.flip.outputs.parameters.flip-output}}" == "heads" && {{inputs.parameters.n}} > 5'
    )
    assert read == {
        "kfp-when-0": "{{tasks.flip.outputs.parameters.flip-output}}",
        "kfp-when-1": "{{inputs.parameters.n}}",
    }
    inputs = {"kfp-when-0": Literal("heads"), "kfp-when-1": Literal("7")}
    assert decide(parse_condition(text), inputs) is True
