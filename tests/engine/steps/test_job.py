"""The requests that steps make of their arguments: a number that an expression gave becomes text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.rules.errors import ServiceError
from tests.engine.fake_world import training

if TYPE_CHECKING:
    from tests.engine.fake_world import World

NUMBER = {"Std:JsonGet": {"S3Uri": "s3://bucket/report.json", "Path": "n"}}
PLACES = [
    pytest.param(lambda value: {"Environment": {"A": value}}, id="environment"),
    pytest.param(lambda value: {"HyperParameters": {"depth": value}}, id="hyperparameters"),
    pytest.param(
        lambda value: {
            "AlgorithmSpecification": {
                "TrainingImage": "image",
                "TrainingInputMode": "File",
                "ContainerArguments": ["--depth", value],
            }
        },
        id="container arguments",
    ),
]


@pytest.mark.parametrize("place", PLACES)
def test_a_number_that_an_expression_gives_becomes_text(world: World, place: Any) -> None:
    world.put_json("s3://bucket/report.json", {"n": 3})
    arn, status = world.run([training("Train", **place(NUMBER))])
    assert status == "Succeeded", world.steps(arn)
    for member, value in place("3").items():
        assert world.requests["Train"][member] == value


@pytest.mark.parametrize("literal", [3, 0.5, True])
@pytest.mark.parametrize("place", PLACES)
def test_a_number_that_is_written_there_is_refused_when_the_pipeline_is_created(
    world: World, place: Any, literal: Any
) -> None:
    with pytest.raises(ServiceError, match=r"Expecting a value of type \[String\]"):
        world.run([training("Train", **place(literal))])
