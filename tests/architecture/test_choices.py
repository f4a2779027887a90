"""A closed set of words is written once, as a ``Literal``: an editor offers what is checked when a task runs."""

from __future__ import annotations

import ast
from collections import defaultdict
from inspect import signature
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

import airflow_sm_pipelines
from airflow_sm_pipelines import (
    SageMakerPipelineCostOperator,
    SageMakerPipelineExecutionSensor,
    SageMakerPipelineStepSensor,
    SageMakerRunPipelineOperator,
)
from airflow_sm_pipelines.client.choices import check_choice
from airflow_sm_pipelines.client.wait_policy import Outcome
from airflow_sm_pipelines.exceptions import ArgumentError
from airflow_sm_pipelines.operators.cost import CostSource
from airflow_sm_pipelines.runs.submission import RetryChoice
from tests.architecture.source_tree import tree_of

PACKAGE = Path(airflow_sm_pipelines.__path__[0])

CHOICES = {
    ("on_stopped", SageMakerRunPipelineOperator): Outcome,
    ("on_completed_with_failures", SageMakerRunPipelineOperator): Outcome,
    ("on_retry", SageMakerRunPipelineOperator): RetryChoice,
    ("on_stopped", SageMakerPipelineExecutionSensor): Outcome,
    ("on_completed_with_failures", SageMakerPipelineExecutionSensor): Outcome,
    ("on_stopped", SageMakerPipelineStepSensor): Outcome,
    ("on_not_run", SageMakerPipelineStepSensor): Outcome,
    ("source", SageMakerPipelineCostOperator): CostSource,
}


def texts_of(node: ast.expr) -> frozenset[str] | None:
    """The texts of a tuple, list or set that holds nothing else; a dict that gives each word something is no copy."""
    if isinstance(node, ast.Call) and node.args:
        return texts_of(node.args[0])
    elements = getattr(node, "elts", None)
    if not elements or not all(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in elements):
        return None
    return frozenset(one.value for one in elements)


def values_of(node: ast.AST) -> list[ast.expr]:
    """What is assigned, compared with, or given to a command line's option as ``choices``."""
    if isinstance(node, ast.Compare):
        return node.comparators
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
        return [node.value]
    return [node.value] if isinstance(node, ast.keyword) and node.arg == "choices" else []


def literal_texts(node: ast.expr) -> frozenset[str] | None:
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal":
        elements = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return frozenset(one.value for one in elements if isinstance(one, ast.Constant))
    return None


def test_no_set_of_choices_is_written_twice() -> None:
    # Nobody gives the engine arguments but the endpoint, which checks them by the service's own model.
    paths = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "engine"]
    trees = {path: tree_of(path) for path in paths}
    choices: dict[frozenset[str], list[str]] = defaultdict(list)
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.expr) and (texts := literal_texts(node)):
                choices[texts].append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert {texts: places for texts, places in choices.items() if len(places) > 1} == {}
    copies = [
        f"{path.relative_to(PACKAGE)}:{value.lineno}: {sorted(texts)}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        for value in values_of(node)
        if (texts := texts_of(value)) in choices and texts is not None
    ]
    assert copies == []


@pytest.mark.parametrize(
    ("name", "owner", "choices"),
    [(name, owner, choices) for (name, owner), choices in CHOICES.items()],
    ids=[f"{owner.__name__}.{name}" for name, owner in CHOICES],
)
def test_an_editor_offers_the_words_that_are_taken(name: str, owner: type, choices: Any) -> None:
    assert get_origin(choices) is Literal
    annotation = signature(owner.__init__).parameters[name].annotation
    words = {"Outcome": Outcome, "RetryChoice": RetryChoice, "CostSource": CostSource}
    assert words[annotation] is choices


def test_a_word_that_is_not_offered_is_refused() -> None:
    for word in get_args(RetryChoice):
        check_choice("on_retry", word, RetryChoice)
    with pytest.raises(ArgumentError) as refusal:
        check_choice("on_retry", "again", RetryChoice)
    assert str(refusal.value) == "on_retry='again': expected one of 'resume', 'restart', 'fail'."
