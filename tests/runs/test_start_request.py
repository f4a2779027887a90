"""The start call's input: the forms in which parameters and steps may be given, and what is refused before the call."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.client.outputs import parse_output_requests
from airflow_sm_pipelines.exceptions import ArgumentError, DefinitionError, ParameterError, PipelineNotFoundError
from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
from airflow_sm_pipelines.runs import start_request
from airflow_sm_pipelines.runs.start_request import StartOptions, plan_start_request
from airflow_sm_pipelines.runs.submission import TaskIdentity
from tests.airflow_fakes import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from tests.airflow_fakes import FakeSageMaker

LOG: Any = logging.getLogger("test")


@pytest.fixture
def hook(fake: FakeSageMaker, fake_is_aws: None) -> SageMakerPipelinesHook:
    """A hook on a fake with pipeline ``p``."""
    fake.add_pipeline("p")
    return SageMakerPipelinesHook(aws_conn_id=None, config={"retries": {"max_attempts": 0}})


def plan(hook: SageMakerPipelinesHook, *, outputs: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    return plan_start_request(
        hook,
        StartOptions(pipeline_name="p", **options),
        identity=None,
        log=LOG,
        outputs=parse_output_requests(outputs or {}),
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {}),
        ({"version": "3"}, {"PipelineVersionId": 3}),
        ({"display_name": "my run"}, {"PipelineExecutionDisplayName": "my-run"}),
        ({"description": "x" * 3073}, {"PipelineExecutionDescription": "x" * 3072}),
        ({"role_arn": "arn:r"}, {"RoleArn": "arn:r"}),
        ({"mlflow_experiment_name": "e"}, {"MlflowExperimentName": "e"}),
        ({"max_parallel_steps": "2"}, {"ParallelismConfiguration": {"MaxParallelExecutionSteps": 2}}),
    ],
)
def test_each_option_is_a_member_of_the_start_call(
    hook: SageMakerPipelinesHook, options: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert plan(hook, **options) == {"PipelineName": "p", **expected}


@pytest.mark.parametrize("given", [{}, {"display_name": "mine", "description": "what for"}])
def test_the_task_names_and_describes_an_execution_that_has_no_name(
    hook: SageMakerPipelinesHook, given: dict[str, str]
) -> None:
    identity = TaskIdentity(
        dag_id="d", run_id="r", task_id="t", map_index=-1, run_start="", max_tries=0, clear_number=0, try_number=1
    )
    request = plan_start_request(hook, StartOptions(pipeline_name="p", **given), identity=identity, log=LOG)
    assert request == {
        "PipelineName": "p",
        "PipelineExecutionDisplayName": given.get("display_name", identity.display_name),
        "PipelineExecutionDescription": given.get("description", identity.description),
    }


@pytest.mark.parametrize(
    "given",
    [
        {"MaxDepth": 5},
        [{"Name": "MaxDepth", "Value": "5"}],
        '{"MaxDepth": 5, "of_the_dag": "x"}',
        "{'MaxDepth': '5', 'of_the_dag': None}",
        """[{'Name': 'MaxDepth', 'Value': 5}]""",
    ],
)
def test_parameters_may_be_given_in_each_form(hook: SageMakerPipelinesHook, given: Any) -> None:
    assert plan(hook, parameters=given)["PipelineParameters"] == [{"Name": "MaxDepth", "Value": "5"}]


def test_of_one_template_only_what_the_pipeline_has_is_taken_whatever_airflow_makes_of_it(
    hook: SageMakerPipelinesHook,
) -> None:
    given = {"MaxDepth": 5, "of_the_dag": "x"}
    taken = plan(hook, parameters=given, is_one_template=True)["PipelineParameters"]
    assert taken == [{"Name": "MaxDepth", "Value": "5"}]
    assert plan(hook, parameters={"MaxDepth": None}, is_one_template=True)["PipelineParameters"] == []
    with pytest.raises(ParameterError, match="of_the_dag"):
        plan(hook, parameters=given)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"MaxDepht": 5}, ParameterError, "Did you mean 'MaxDepth'"),
        ([{"Name": "MaxDepth"}], ArgumentError, r"parameters=\[.*AWS's list, such as \[{'Name'"),
        ([{"Key": "MaxDepth", "Value": 1}], ArgumentError, "parameters="),
        (["MaxDepth=5"], ArgumentError, "parameters="),
        (7, ArgumentError, "parameters=7"),
        ("MaxDepth=5", ArgumentError, "parameters='MaxDepth=5'"),
        ("[1, 2]", ArgumentError, "parameters="),
        ([{"Name": "MaxDepth", "Value": 1}, {"Name": "MaxDepth", "Value": 2}], ArgumentError, "'MaxDepth' twice"),
    ],
)
def test_a_wrong_shape_is_refused_and_never_taken_for_another(
    fake: FakeSageMaker, hook: SageMakerPipelinesHook, given: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        plan(hook, parameters=given)


def test_steps_may_be_selected_in_the_api_s_form(hook: SageMakerPipelinesHook) -> None:
    for given in (["Train"], [{"StepName": "Train"}]):
        assert plan(hook, select_steps=given)["SelectiveExecutionConfig"]["SelectedSteps"] == [{"StepName": "Train"}]
    with pytest.raises(ParameterError, match=r"no step 'Trian'\. Did you mean 'Train'"):
        plan(hook, select_steps=["Trian"])


def test_an_output_of_no_step_is_refused_before_the_start(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> None:
    with pytest.raises(DefinitionError, match=r"Output 'x': .* no step 'Trian'\. Did you mean 'Train'"):
        plan(hook, outputs={"x": "Steps.Trian.TrainingJobName"})
    plan(hook, outputs={"x": "Steps.Train.TrainingJobName"}, parameters={"MaxDepth": 5})
    assert fake.count("DescribePipeline") == 2  # once for each plan
    fake.fail_next("DescribePipeline", Fault("AccessDeniedException"))
    plan(hook, outputs={"x": "Steps.Trian.TrainingJobName"})


def test_an_alias_that_is_missing_is_asked_for_again_and_a_version_is_not(
    fake: FakeSageMaker, hook: SageMakerPipelinesHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_request, "MISSING_ALIAS_PAUSE", 0.01)
    fake.pipelines["p"]["versions"][0]["aliases"].append("prod")
    fake.fail_next("DescribePipeline", Fault("ResourceNotFound", times=3))
    assert plan(hook, version="prod", parameters={"MaxDepth": 5})["PipelineVersionAlias"] == "prod"
    fake.fail_next("DescribePipeline", Fault("ResourceNotFound"))
    with pytest.raises(PipelineNotFoundError):
        plan(hook, version=1, parameters={"MaxDepth": 5})


# A team's policy at the start

GOVERNED = {
    "Parameters": [
        {"Name": "Type", "Type": "String", "DefaultValue": "ml.m5.large"},
        {"Name": "Data", "Type": "String", "DefaultValue": "s3://team-data/x"},
    ],
    "Steps": [
        {
            "Name": "T",
            "Type": "Training",
            "Arguments": {
                "ResourceConfig": {"InstanceType": {"Get": "Parameters.Type"}},
                "HyperParameters": {"data": {"Get": "Parameters.Data"}},
            },
        }
    ],
}
TEAM = """
[instances]
allowed = "ml.m5.*"
[s3]
buckets = "team-*"
[roles]
allowed = "arn:aws:iam::123456789012:role/Sage*"
"""


def start(fake: FakeSageMaker, hook: SageMakerPipelinesHook, folder: Path, **options: Any) -> dict[str, Any]:
    if "governed" not in fake.pipelines:
        fake.add_pipeline("governed", GOVERNED)
    (folder / "team.toml").write_text(TEAM)
    options = {"pipeline_name": "governed", "policy_file": str(folder / "team.toml"), **options}
    return plan_start_request(hook, StartOptions(**options), identity=None, log=LOG)


def test_a_start_that_keeps_the_policy_is_made(
    fake: FakeSageMaker, hook: SageMakerPipelinesHook, tmp_path: Path
) -> None:
    request = start(fake, hook, tmp_path, parameters={"Type": "ml.m5.xlarge"})
    assert request["PipelineParameters"] == [{"Name": "Type", "Value": "ml.m5.xlarge"}]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"parameters": {"Type": "ml.p4d.24xlarge"}}, "the instance type 'ml.p4d.24xlarge' .* is not allowed"),
        ({"parameters": {"Data": "s3://other/x"}}, "names the bucket 'other'"),
        ({"role_arn": "arn:aws:iam::123456789012:role/Admin"}, "the role '.*Admin' is not allowed"),
    ],
)
def test_a_start_that_breaks_the_policy_is_refused_before_the_call(
    fake: FakeSageMaker,
    hook: SageMakerPipelinesHook,
    tmp_path: Path,
    options: Any,
    text: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(DefinitionError, match=text):
        start(fake, hook, tmp_path, **options)
    caplog.clear()
    assert start(fake, hook, tmp_path, policy="off", **options)["PipelineName"] == "governed"
    assert "Findings" not in caplog.text
    assert start(fake, hook, tmp_path, policy="warn", **options)["PipelineName"] == "governed"
    (warning,) = [one for one in caplog.records if "Findings" in one.message]
    assert warning.levelname == "WARNING"
    assert re.search(f"(?s)Findings in this start of 'governed':.*{text}", warning.message)
