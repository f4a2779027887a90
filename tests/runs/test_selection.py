"""Running some steps: which, and on which earlier execution; role, experiment and assets beside it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Asset, AssetAlias

from airflow_sm_pipelines import SageMakerRunPipelineOperator
from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.exceptions import ParameterError
from airflow_sm_pipelines.runs.selection import StepSelection, plan_selection
from tests.airflow_fakes import DEFINITION, FAILED_STEPS, SUCCEEDED_STEPS, FakeSageMaker, aws_environment, open_fake
from tests.airflow_objects import FakeTaskInstance, make_context

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLE = "arn:aws:iam::123456789012:role/Other"
CHAIN = json.loads(json.dumps(DEFINITION))
CHAIN["Steps"].append({"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "x"}, "DependsOn": ["Evaluate"]})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSageMaker]:
    """A fake SageMaker with pipeline ``p``."""
    one = FakeSageMaker()
    one.add_pipeline("p", CHAIN)
    with open_fake(one) as url:
        for name, value in aws_environment(url).items():
            monkeypatch.setenv(name, value)
        yield one


def run(**kwargs: Any) -> tuple[dict[str, Any], dict[str, list[tuple[Asset, dict[str, Any]]]]]:
    """Run the operator's execute; gives its result and the assets by alias."""
    operator = SageMakerRunPipelineOperator(
        task_id="run", pipeline_name="p", aws_conn_id=None, waiter_delay=0.1, deferrable=False, **kwargs
    )
    added: dict[str, list[tuple[Asset, dict[str, Any]]]] = {}

    class Events:
        def __getitem__(self, alias: AssetAlias) -> Any:
            found = added.setdefault(alias.name, [])
            return SimpleNamespace(add=lambda asset, extra: found.append((asset, extra)))

    return operator.execute(make_context(FakeTaskInstance(task_id="run"), outlet_events=Events())), added


def start(fake: FakeSageMaker, token: str, status: str, steps: list[dict[str, Any]]) -> str:
    fake.by_pipeline["p"] = ([status], steps, None)
    arn: str = fake.op_StartPipelineExecution({"PipelineName": "p", "ClientRequestToken": token})[
        "PipelineExecutionArn"
    ]
    del fake.by_pipeline["p"]
    return arn


@pytest.mark.parametrize(
    ("arguments", "steps", "needs"),
    [
        ({"steps": ["Evaluate"]}, ("Evaluate",), ("Train",)),
        ({"steps": ["Evaluate", "Train"]}, ("Train", "Evaluate"), ()),
        ({"from_step": "Evaluate"}, ("Evaluate", "Stop"), ("Train",)),
        ({"from_step": "Train"}, ("Train", "Evaluate", "Stop"), ()),
    ],
)
def test_the_steps_and_what_they_stand_on(
    arguments: dict[str, Any], steps: tuple[str, ...], needs: tuple[str, ...]
) -> None:
    assert plan_selection(parse_definition(CHAIN), **arguments) == StepSelection(steps, needs)


def test_unknown_steps_are_named_together() -> None:
    with pytest.raises(ParameterError, match=r"(?s)no step 'Trian'. Did you mean 'Train'.*no step 'Nothing'"):
        plan_selection(parse_definition(CHAIN), steps=["Trian", "Nothing"])


def test_the_newest_execution_that_will_do_is_the_source(fake: FakeSageMaker) -> None:
    start(fake, "a" * 40, "Succeeded", SUCCEEDED_STEPS)
    good = start(fake, "b" * 40, "Failed", FAILED_STEPS)
    start(fake, "c" * 40, "Failed", [{**SUCCEEDED_STEPS[0], "StepStatus": "Failed"}])
    start(fake, "d" * 40, "Executing", SUCCEEDED_STEPS)
    run(from_step="Evaluate", role_arn=ROLE, mlflow_experiment_name="trees")
    request = fake.requests("StartPipelineExecution")[-1]
    assert request["SelectiveExecutionConfig"] == {
        "SelectedSteps": [{"StepName": "Evaluate"}, {"StepName": "Stop"}],
        "SourcePipelineExecutionArn": good,
    }
    assert (request["RoleArn"], request["MlflowExperimentName"]) == (ROLE, "trees")


def test_without_a_source_nothing_is_started(fake: FakeSageMaker) -> None:
    from airflow_sm_pipelines.airflow_names import AirflowFailException

    with pytest.raises(AirflowFailException, match="need results of Train, and none"):
        run(select_steps=["Evaluate"])
    assert fake.count("StartPipelineExecution") == 0


def test_outputs_become_assets_of_their_alias(fake: FakeSageMaker) -> None:
    model = "Steps.Train.ModelArtifacts.S3ModelArtifacts"
    gone = {"property": "Steps.Stop.X", "required": False}
    result, added = run(outputs={"model": model, "gone": gone}, assets={"model": "models", "gone": "other"})
    ((asset, extra),) = added["models"]
    assert (asset.uri, extra["pipeline_execution_arn"]) == (
        "s3://bucket/model.tar.gz",
        result["pipeline_execution_arn"],
    )
    assert "other" not in added
    operator = SageMakerRunPipelineOperator(
        task_id="x", pipeline_name="p", outlets=[Asset("s3://a/b")], assets={"model": "models"}
    )
    assert operator.outlets == [Asset("s3://a/b"), AssetAlias("models")]
