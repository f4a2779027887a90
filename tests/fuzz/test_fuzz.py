"""The API and definitions under random, mostly sensible, often broken use: typed errors only, no hang, no lost engine.

``SM_PIPELINES_FUZZ_ROUNDS`` makes the runs longer. A round's chances come from its number, which a failure names.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.engine.rules.errors import ServiceError
from tests.fuzz.api_fuzz import ApiFuzz
from tests.fuzz.definition_fuzz import load_examples, shoot_definition

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

API_ROUNDS = int(os.environ.get("SM_PIPELINES_FUZZ_ROUNDS", "2000"))
DEFINITION_ROUNDS = int(os.environ.get("SM_PIPELINES_FUZZ_ROUNDS", "400"))


@pytest.fixture
def fuzz(tmp_path: Path) -> Iterator[ApiFuzz]:
    running = ApiFuzz(tmp_path)
    yield running
    running.engine.stop()


@pytest.mark.timeout(3600)
def test_any_request_to_any_operation_is_answered_with_its_shape_or_a_modelled_error(fuzz: ApiFuzz) -> None:
    for seed in range(API_ROUNDS):
        fuzz.shoot(seed)
    fuzz.check_it_goes_on()
    unheard = set(fuzz.operations) - {operation for operation, _ in fuzz.counts}
    assert not unheard, "every operation was asked"
    answered = Counter(outcome for _, outcome in fuzz.counts)
    assert answered["200"] >= len(fuzz.operations) // 2, "the requests are not all nonsense"


@pytest.mark.timeout(3600)
def test_any_definition_is_refused_or_runs_to_an_end_that_says_why(fuzz: ApiFuzz) -> None:
    examples = load_examples()
    ends = Counter(shoot_definition(fuzz, examples, seed) for seed in range(DEFINITION_ROUNDS))
    assert {"ended: Failed", "ended: Succeeded", "refused: ValidationException"} <= ends.keys()


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (
            '{"Version": "2020-12-01", "Steps": [{"Name": "a b", "Type": "Fail", "Arguments": {}}]}',
            "A step is called 'a b'",
        ),
        (
            '{"Version": "2020-12-01", "Steps": [{"Name": "L", "Type": "ForEach", "Arguments": {"IterableItems": [1],'
            ' "MaxConcurrency": 1, "ForEachBody": [{"Name": "'
            + "b" * 61
            + '", "Type": "Lambda", "FunctionArn": "f"}]}}]}',
            "<name>-<index>, so use at most 60",
        ),
        (
            '{"Version": "2020-12-01", "Steps": [], "Parameters": [{"Name": "P.", "Type": "String"}]}',
            "A parameter is called 'P.'",
        ),
        (
            '{"Version": "2020-12-01", "Steps": [], "Parameters": [{"Name": "P", "Type": "String", "DefaultValue": "'
            + "x" * 1025
            + '"}]}',
            "Put it in a file on S3",
        ),
        (
            '{"Version": "2020-12-01", "Steps": [{"Name": "A", "Type": "Fail", "Arguments": {"M": "\\ud800"}}]}',
            "half of a surrogate pair",
        ),
        (
            '{"Version": "2020-12-01", "Steps": [{"Name": "A", "Type": "Fail", "Arguments": {"x": {"$time": 1}}}]}',
            "give it another name",
        ),
    ],
    ids=["step-name", "body-name", "parameter-name", "default", "surrogate", "time"],
)
def test_what_answers_could_not_show_is_refused_when_the_pipeline_is_made(
    fuzz: ApiFuzz, definition: str, said: str
) -> None:
    request = {"PipelineName": "p", "RoleArn": "arn:aws:iam::123456789012:role/R", "PipelineDefinition": definition}
    with pytest.raises(ServiceError, match=said) as caught:
        fuzz.engine.call("CreatePipeline", {**request, "ClientRequestToken": "t" * 32})
    assert caught.value.code == "ValidationException"


def test_an_experiment_that_nobody_could_be_shown_is_refused_when_it_starts(fuzz: ApiFuzz) -> None:
    definition = (
        '{"Version": "2020-12-01", "Steps": [], "Parameters": [{"Name": "E", "Type": "String"}],'
        ' "PipelineExperimentConfig": {"ExperimentName": {"Get": "Parameters.E"}}}'
    )
    request = {"PipelineName": "p", "RoleArn": "arn:aws:iam::123456789012:role/R", "PipelineDefinition": definition}
    fuzz.engine.call("CreatePipeline", {**request, "ClientRequestToken": "t" * 32})
    start = {"PipelineName": "p", "ClientRequestToken": "t" * 32, "PipelineParameters": [{"Name": "E", "Value": "a b"}]}
    with pytest.raises(ServiceError, match="ExperimentName must be up to 120 letters"):
        fuzz.engine.call("StartPipelineExecution", start)
