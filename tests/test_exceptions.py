"""The drawing of the error tree is the tree."""

from __future__ import annotations

import ast
import builtins
import re
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines import exceptions

if TYPE_CHECKING:
    from pathlib import Path

ROOT = "SageMakerPipelinesError"


def read_drawing() -> dict[str, tuple[set[str], str]]:
    """Give each drawn class with its parents in the tree and the words behind it."""
    drawn: dict[str, tuple[set[str], str]] = {}
    above: list[str] = []
    for line in str(exceptions.__doc__).splitlines():
        match = re.fullmatch(r"    ((?:[|+ ][ -]{3})*)(\[?)(\w+)\]?\s*(.*)", line)
        if match is None:
            continue
        depth = len(match[1]) // 4
        above[depth:] = [match[3]]
        parents, words = drawn.get(match[3], (set(), ""))
        drawn[match[3]] = (parents | set(above[depth - 1 : depth] if depth else ()), f"{words} {match[2]} {match[4]}")
    return drawn


def read_classes(repository: Path) -> dict[str, list[str]]:
    """Give every class of the package that is in the tree with its base classes, without importing anything."""
    bases: dict[str, list[str]] = {}
    for path in (repository / "airflow_sm_pipelines").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases.setdefault(node.name, [ast.unparse(base) for base in node.bases])
    tree = {ROOT}
    while more := {name for name, own in bases.items() if tree & {*own}} - tree:
        tree |= more
    return {name: bases[name] for name in tree}


def test_the_drawing_has_every_class_under_its_parents(repository: Path) -> None:
    classes = read_classes(repository)
    drawn = {name: parents for name, (parents, _) in read_drawing().items()}
    assert drawn == {name: {base for base in bases if base in classes} for name, bases in classes.items()}


def test_a_class_in_brackets_is_one_that_is_defined_elsewhere() -> None:
    for name, (_, words) in read_drawing().items():
        assert hasattr(exceptions, name) != ("[" in words), name


def test_the_words_name_the_final_classes_and_the_built_in_bases(repository: Path) -> None:
    classes = read_classes(repository)
    for name, (_, words) in read_drawing().items():
        drawn = {word for word in re.findall(r"\w+", words) if hasattr(builtins, word)}
        assert drawn == {base for base in classes[name] if hasattr(builtins, base)} - {"Exception"}, name
        if hasattr(exceptions, name):
            is_drawn_final = re.search(r"\bfinal(?! if)", words) is not None
            assert getattr(exceptions, name).is_final is is_drawn_final, name


@pytest.mark.parametrize("is_final", [True, False])
def test_a_failed_execution_says_itself_whether_it_is_final(is_final: bool) -> None:
    assert exceptions.PipelineExecutionFailedError("x", is_final=is_final).is_final is is_final
