"""What JSONata expressions read, and what a DAG's template makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.migrate.stepfunctions.document_values import UnsupportedError
from tests.migrate.stepfunctions.machines import machine, outcomes, package, read, task

pytest.importorskip("jsonata", reason="JSONata needs what the extra 'compare' brings: run make setup")

from airflow_sm_pipelines.migrate.stepfunctions.jsonata_reads import find_reads
from airflow_sm_pipelines.migrated_queries import query_jsonata


@pytest.mark.parametrize(
    ("expression", "reads"),
    [
        ("$sum($states.input.items[n > $limit].price)", ["limit", "states.input.items"]),
        ("($a := $states.input.x; $map($a, function($v) { $v * $factor }))", ["factor", "states.input.x"]),
        ("$merge([$states.input, {'n': $states.input.a}])", ["states.input"]),
        ("$states.input.list[$states.input.i].z", ["states.input.i", "states.input.list"]),
        ("$states.input.list.{'a': name, 'b': $x}", ["states.input.list", "x"]),
        ("$states.input.list^(>price)[0] ? $y : $uuid()", ["states.input.list", "y"]),
        ("$exists($states.input.b.`c d`)", ["states.input.b.c d"]),
        ("$states.input.items#$i.{'n': $i}", ["states.input.items"]),
    ],
)
def test_an_expression_reads(expression: str, reads: list[str]) -> None:
    assert [".".join(path) for path in find_reads(expression)] == reads


@pytest.mark.parametrize(
    ("expression", "why"), [("$a +", "is no JSONata expression"), ("$eval('1')", "no \\$eval")], ids=["cut off", "eval"]
)
def test_an_expression_is_not_read(expression: str, why: str) -> None:
    with pytest.raises(UnsupportedError, match=why):
        find_reads(expression)


@pytest.mark.parametrize(
    ("expression", "given", "value"),
    [
        ("$sum($states.input.l.p)", {"states.input.l.p": ({"l": [{"p": 1}, {"p": 2}]}, "l", "p")}, 3),
        ("$exists($states.input.a)", {"states.input.a": ({}, "a")}, False),
        ("$x[1].a & $y", {"x": ([{"a": 1}, {"a": 2}],), "y": ("!",)}, "2!"),
        ("$partition([1, 2, 3], 2)", {}, [[1, 2], [3]]),
        ("$range(0, 10, 5)", {}, [0, 5, 10]),
        ("$hash('a', 'SHA-256') = $hash('a', 'SHA-256') and $random() < 1", {}, True),
        ("$parse('{\"a\": null}')", {}, {"a": None}),
        ("null", {}, None),
    ],
)
def test_an_expression_gives(expression: str, given: Any, value: Any) -> None:
    assert query_jsonata(expression, given) == value


def test_an_expression_that_gives_nothing_fails() -> None:
    with pytest.raises(ValueError, match="gives nothing"):
        query_jsonata("$states.input.a", {"states.input.a": ({}, "a")})


def jsonata(**states: Any) -> Any:
    """A machine in JSONata."""
    return {"QueryLanguage": "JSONata", **machine(**states)}


def publish(message: str, **members: Any) -> Any:
    """A state that tells a topic."""
    arguments = {"TopicArn": "t", "Message": message}
    return task("arn:aws:states:::sns:publish", Arguments=arguments, **members)


def test_what_a_template_cannot_do_is_worked_out_when_the_dag_runs() -> None:
    made = package(
        jsonata(
            C={
                "Type": "Choice",
                "Choices": [
                    {"Condition": "{% $count($states.input.l) > 1 and $exists($states.input.a) %}", "Next": "A"}
                ],
                "Default": "B",
            },
            A=publish("{% $join($states.input.l.name, ', ') %}"),
            B={"Type": "Pass", "End": True},
        )
    )
    assert made.is_complete
    source = made.files["flow.py"]
    assert (
        "query_jsonata('$join($states.input.l.name, \\\\', \\\\')', {'states.input.l.name': (params, 'l', 'name')})"
        in source
    )
    assert 'user_defined_macros={"query_jsonata": query_jsonata}' in source
    assert '.lower() == "true":' in source


def test_the_rules_of_a_choice_assign_variables() -> None:
    rule = {"Condition": "{% $states.input.n = 1 %}", "Assign": {"word": "one"}, "Output": {"n": 1}, "Next": "A"}
    choice = {"Type": "Choice", "Choices": [rule], "Assign": {"word": "{% $states.input.n %}"}, "Default": "B"}
    found = read(jsonata(C=choice, A=publish("{% $word & $states.input.n %}"), B=publish("{% $word %}")))
    (fork,) = found.workflow.nodes
    first, other = (branch.nodes[0].arguments["Message"] for branch in fork.branches)  # type: ignore[union-attr]
    assert (first, other) == ("one1", {"Get": "Input.n"})


@pytest.mark.parametrize("expression", ["$states.input.a ? true : $states.input.b = 3", "$not($states.input.a = 3)"])
def test_a_condition_is_not_torn_apart(expression: str) -> None:
    rule = {"Condition": f"{{% {expression} %}}", "Next": "A"}
    choice = {"Type": "Choice", "Choices": [rule], "Default": "B"}
    (fork,) = read(jsonata(C=choice, A=publish("a"), B={"Type": "Succeed"})).workflow.nodes
    (condition,) = fork.branches[0].conditions  # type: ignore[union-attr]
    assert condition["RightValue"] is True
    assert condition["LeftValue"]["Std:Function"]["Arguments"][0] == expression  # type: ignore[index,call-overload]


def test_all_that_a_state_knows_is_not_carried() -> None:
    found = read(jsonata(A=publish("{% $string($states) %}")))
    assert outcomes(found) == {"A": "unsupported"}
    assert "reads all that a state knows" in found.records[0].reasons[0].text
