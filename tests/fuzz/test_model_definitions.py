"""CreatePipeline refuses no definition that was made inside the API model.

``make test`` takes 1,000 of them, the first of which have the same seeds each time; ``make inside`` takes 50,000.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.service_model import STEP_CALLS
from tests.engine.fake_world import ROLE, World
from tests.fuzz.model_definitions import ModelDefinitionMaker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROUNDS = int(os.environ.get("SM_PIPELINES_MODEL_DEFINITIONS", "1000"))


def iter_steps(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All steps, branches and bodies included."""
    for step in steps:
        yield step
        arguments = step["Arguments"]
        for place in ("IfSteps", "ElseSteps", "ForEachBody"):
            yield from iter_steps(arguments.get(place) or [])


@pytest.mark.timeout(3600)
def test_create_pipeline_refuses_no_definition_inside_the_model(tmp_path: Path) -> None:
    world = World(tmp_path)
    engine = world.open()
    types: Counter[str] = Counter()
    try:
        for seed in range(ROUNDS):
            definition = ModelDefinitionMaker(seed).make()
            types.update(step["Type"] for step in iter_steps(definition["Steps"]))
            request = {"PipelineName": f"p{seed}", "RoleArn": ROLE, "ClientRequestToken": f"{seed:032d}"}
            engine.call("CreatePipeline", {**request, "PipelineDefinition": json.dumps(definition)})
    finally:
        world.engine.stop()
    assert types.keys() == {*STEP_CALLS, "Condition", "ForEach", "Lambda", "Callback", "Fail"}
    assert min(types.values()) > ROUNDS // 10
