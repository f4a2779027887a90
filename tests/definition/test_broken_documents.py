"""Whatever a document holds, it is refused with problems or taken: nothing crashes on it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sm_pipelines.definition import build_graph, canonical_text, diff_definitions, inspect_definition
from airflow_sm_pipelines.definition.json_value import is_same_json
from airflow_sm_pipelines.policy import check_definition
from tests.definition.strategies import DefinitionMaker

if TYPE_CHECKING:
    from random import Random

DOCUMENTS = [
    json.loads(path.read_text()) for path in sorted((Path(__file__).parent.parent / "data" / "definitions").glob("*"))
]
WRONG: list[Any] = [
    *({"Get": text} for text in ("", "Steps", "Steps.Train", "Steps.Train[0]", "Parameters.", "Steps..x", "ForEach.X")),
    {"Get": None},
    {"Std:Join": {}},
    {"Std:Join": {"On": 1, "Values": [1]}},
    {"Std:JsonGet": {"PropertyFile": {"Get": 5}, "Path": ""}},
    *("Train", "Condition", "ForEach", "Cleanup", "Fail", "Evaluate", "Or", "Not", "In"),
]


def break_somewhere(document: Any, random: Random) -> None:
    """Replace, remove or repeat something at a random place."""
    places = []
    stack = [document]
    while stack:
        value = stack.pop()
        keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        places += [(value, key) for key in keys]
        stack += [value[key] for key in keys]
    if not places:
        return
    holder, key = random.choice(places)
    action = random.randrange(4)
    if action == 0:
        del holder[key]
    elif action == 1 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif action == 2:
        other, other_key = random.choice(places)
        holder[key] = copy.deepcopy(other[other_key])
    else:
        holder[key] = copy.deepcopy(random.choice([*WRONG, DefinitionMaker(random).json_value()]))


@settings(max_examples=400, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(DOCUMENTS), st.integers(1, 6))
def test_a_broken_document_is_told_of_or_taken(random: Random, document: Any, count: int) -> None:
    broken = copy.deepcopy(document)
    for _ in range(count):
        break_somewhere(broken, random)
    text = json.dumps(broken)
    definition, problems = inspect_definition(text)
    assert len({(problem.path, problem.message) for problem in problems}) == len(problems)
    assert all(problem.line == 1 and problem.column for problem in problems)
    if definition is None or problems:
        assert problems
        return
    assert is_same_json(definition.to_json(), broken)
    assert len(build_graph(definition).order) == sum(1 for _ in definition.iter_steps())
    again, _ = inspect_definition(canonical_text(definition))
    assert again is not None
    assert diff_definitions(definition, again) == ()
    check_definition(definition)
