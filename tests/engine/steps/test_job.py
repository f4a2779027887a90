"""The requests that steps make of their arguments: what expressions gave becomes text, what is written stays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.definition.json_value import is_same_json
from airflow_sm_pipelines.server.sagemaker_codec import RequestRefusedError, SageMakerCodec
from tests.engine.fake_world import training

if TYPE_CHECKING:
    from tests.engine.fake_world import World

PARAMETERS = [{"Name": "N", "Type": "Integer", "DefaultValue": 3}]
NUMBER = {"Get": "Parameters.N"}
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
    arn, status = world.run([training("Train", **place(NUMBER))], parameters=PARAMETERS)
    assert status == "Succeeded", world.steps(arn)
    for member, value in place("3").items():
        assert world.requests["Train"][member] == value


@pytest.mark.parametrize("literal", [3, 0.5, True])
@pytest.mark.parametrize("place", PLACES)
def test_a_number_that_is_written_there_stays_one_and_the_service_refuses_it(
    world: World, place: Any, literal: Any
) -> None:
    arn, status = world.run([training("Train", **place(literal))], parameters=PARAMETERS)
    assert status == "Succeeded", world.steps(arn)
    sent = world.requests["Train"]
    assert all(is_same_json(sent[member], value) for member, value in place(literal).items())
    with pytest.raises(RequestRefusedError):
        SageMakerCodec().decode("CreateTrainingJob", json.dumps({**sent, "TrainingJobName": "t"}).encode())
