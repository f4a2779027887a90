"""Expressions that are worked out without running them, and marks for the rest."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from airflow_sm_pipelines.migrate.airflow.known_values import Evaluator, Marks, UnknownValueError
from airflow_sm_pipelines.migrate.airflow.source_file import read_source

HEAD = """\
import os, copy
import settings
A = "a"
NUMBER = 3
BASE = {"x": 1, "inner": {"y": [1, 2]}}
CHANGED = {"x": 1}
CHANGED["x"] = 2
for LOOP in range(3):
    IN_LOOP = LOOP
T = "{{ ds }}"
"""


def read(expression: str) -> Any:
    """The value of an expression, with what marks stand for in angle brackets."""
    file = read_source((HEAD + f"RESULT = {expression}\n").encode(), name="dag.py")
    other = read_source(b"NAME = 'n'\nLIST = [1, {'k': NAME}]\nCALL = f()\n", name="settings.py")
    marks = Marks()
    evaluator = Evaluator(file, marks=marks, load={"settings": other}.get)
    assign = file.tree.body[-1]
    assert isinstance(assign, ast.Assign)
    return _show(evaluator.read(assign.value), marks)


def _show(value: Any, marks: Marks) -> Any:
    if isinstance(value, dict):
        return {key: _show(item, marks) for key, item in value.items()}
    if isinstance(value, list):
        return [_show(item, marks) for item in value]
    if isinstance(value, str):
        return "".join(one if isinstance(one, str) else f"<{one.text}>" for one in marks.split(value))
    return value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("A + 'b'", "ab"),
        ("f's3://{A}/{NUMBER}'", "s3://a/3"),
        ("'{}-{k}'.format(A, k=NUMBER)", "a-3"),
        ("'%s-%d' % (A, NUMBER)", "a-3"),
        ("{**BASE, 'x': 2}", {"x": 2, "inner": {"y": [1, 2]}}),
        ("BASE | {'z': A}", {"x": 1, "inner": {"y": [1, 2]}, "z": "a"}),
        ("dict(a=BASE['inner']['y'][1])", {"a": 2}),
        ("BASE.get('no', 5)", 5),
        ("copy.deepcopy(BASE)['x']", 1),
        ("os.path.join('s3://b', A, 'c')", "s3://b/a/c"),
        ("'/'.join([A, 'b'])", "a/b"),
        ("A.upper()", "A"),
        ("str(NUMBER * 2)", "6"),
        ("int('4') - 1", 3),
        ("-NUMBER", -3),
        ("settings.LIST[1]['k']", "n"),
        ("'{{ ds }}/' + A", "<{{ ds }}>/a"),
        ("f'{{{{ ds }}}}/{A}'", "<{{ ds }}>/a"),
        ("'x/{{{{ ds }}}}/{}'.format(A)", "x/<{{ ds }}>/a"),
        ("T.upper()", "<{{ DS }}>"),
        ("'{% if x %}a{% endif %}'", "<{% if x %}a{% endif %}>"),
        ("'{{ f(\"' + g() + '\") }}'", "<'{{ f(\"' + str(g()) + '\") }}'>"),
        ("[os.environ['B'], 'c']", ["<os.environ['B']>", "c"]),
        ("f'{IN_LOOP}-{A}'", "<IN_LOOP>-a"),
        ("[CHANGED['x']]", ["<CHANGED['x']>"]),
        ("[settings.CALL]", ["<settings.CALL>"]),
        ("f'{A:>4}'", "<f'{A:>4}'>"),
    ],
)
def test_values_that_the_file_tells_are_worked_out(expression: str, value: Any) -> None:
    assert read(expression) == value


@pytest.mark.parametrize("expression", ["f()", "CHANGED", "[*f()]", "{**f()}", "A @ 1", "NUMBER / 0", "settings.CALL"])
def test_what_it_does_not_tell_is_unknown(expression: str) -> None:
    with pytest.raises(UnknownValueError):
        read(expression)


def test_equal_expressions_have_equal_marks() -> None:
    marks = Marks()
    assert marks.put("x", is_template=False) == marks.put("x", is_template=False)
    assert marks.put("x", is_template=False) != marks.put("x", is_template=True)
