"""Experiments and Search through unmodified boto3: what a run's jobs leave behind, and how it is found."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import IMAGE, ROLE

if TYPE_CHECKING:
    from airflow_sm_pipelines.server import RunningServer

Client = Callable[[str], Any]
SCRIPT = 'print("loss=0.5;"); print("loss=0.25;")\n'
PIPELINE = "experiments"


@pytest.fixture(scope="module")
def server(server_with_image: RunningServer) -> RunningServer:
    """The endpoint of this module."""
    return server_with_image


@pytest.fixture(scope="module")
def sagemaker(client: Client) -> Any:
    return client("sagemaker")


def training_arguments(depth: Any, **more: Any) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*?);"}],
        },
        "HyperParameters": {
            "depth": depth if isinstance(depth, dict) else str(depth),
            "kind": json.dumps("tree"),
            "sagemaker_program": json.dumps("train.py"),
            "sagemaker_submit_directory": json.dumps("s3://experiments/sourcedir.tar.gz"),
        },
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "ContentType": "text/csv",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://experiments/data"}},
            }
        ],
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://experiments/models"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    } | more


@pytest.fixture(scope="module")
def trial(client: Client, sagemaker: Any) -> str:
    """The trial of an execution with one training job that ended well and one processing job that failed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("train.py")
        member.size = len(SCRIPT)
        tar.addfile(member, io.BytesIO(SCRIPT.encode()))
    s3 = client("s3")
    s3.create_bucket(Bucket="experiments")
    s3.put_object(Bucket="experiments", Key="sourcedir.tar.gz", Body=buffer.getvalue())
    s3.put_object(Bucket="experiments", Key="data/a.csv", Body=b"1\n")
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    definition = {
        "Version": "2020-12-01",
        "Parameters": [{"Name": "Depth", "Type": "Integer", "DefaultValue": 3}],
        "PipelineExperimentConfig": {
            "ExperimentName": {"Get": "Execution.PipelineName"},
            "TrialName": {"Get": "Execution.PipelineExecutionId"},
        },
        "Steps": [
            {
                "Name": "Train-it",
                "Type": "Training",
                "Arguments": training_arguments({"Std:Join": {"On": "", "Values": [{"Get": "Parameters.Depth"}]}}),
            },
            {
                "Name": "Break",
                "Type": "Processing",
                "DependsOn": ["Train-it"],
                "Arguments": {
                    "ProcessingResources": {"ClusterConfig": cluster},
                    "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python", "-c", "exit(3)"]},
                    "RoleArn": ROLE,
                },
            },
        ],
    }
    sagemaker.create_pipeline(
        PipelineName=PIPELINE,
        RoleArn=ROLE,
        PipelineDefinition=json.dumps(definition),
        Tags=[{"Key": "team", "Value": "ml"}],
    )
    arn: str = sagemaker.start_pipeline_execution(PipelineName=PIPELINE)["PipelineExecutionArn"]
    return arn.rpartition("/")[2]


@pytest.fixture
def ended(trial: str, sagemaker: Any, wait: Any) -> str:
    (execution,) = sagemaker.list_pipeline_executions(PipelineName=PIPELINE)["PipelineExecutionSummaries"]
    assert wait(execution["PipelineExecutionArn"])["PipelineExecutionStatus"] == "Failed"
    return trial


def search(sagemaker: Any, resource: str, *filters: tuple[str, str, str | None], **more: Any) -> list[dict[str, Any]]:
    wanted = [
        {"Name": name, "Operator": operator} | ({} if value is None else {"Value": value})
        for name, operator, value in filters
    ]
    expression = {"SearchExpression": {"Filters": wanted}} if wanted else {}
    answer = sagemaker.search(Resource=resource, **expression, **more)
    return [next(iter(result.values())) for result in answer["Results"]]


def test_each_job_of_an_execution_becomes_a_component_of_its_trial(sagemaker: Any, ended: str) -> None:
    summaries = sagemaker.list_trial_components(TrialName=ended, SortOrder="Ascending")["TrialComponentSummaries"]
    assert [one["DisplayName"] for one in summaries] == ["Train-it", "Break"]
    assert [one["Status"]["PrimaryStatus"] for one in summaries] == ["Completed", "Failed"]
    assert "exit" in summaries[1]["Status"]["Message"]
    assert sagemaker.list_trial_components(ExperimentName=PIPELINE)["TrialComponentSummaries"] == summaries[::-1]
    job = summaries[0]["TrialComponentSource"]["SourceArn"]
    (found,) = sagemaker.list_trial_components(SourceArn=job)["TrialComponentSummaries"]
    assert found["TrialComponentName"] == f"{job.rpartition('/')[2]}-aws-training-job"
    (listed,) = sagemaker.list_trials(TrialComponentName=found["TrialComponentName"])["TrialSummaries"]
    assert listed["TrialName"] == ended

    described = sagemaker.describe_trial_component(TrialComponentName=found["TrialComponentName"])
    assert described["Source"] == {"SourceArn": job, "SourceType": "SageMakerTrainingJob"}
    parameters = described["Parameters"]
    assert parameters["depth"] == {"NumberValue": 3.0}
    assert parameters["kind"] == {"StringValue": "tree"}
    assert parameters["SageMaker.InstanceType"] == {"StringValue": "ml.m5.large"}
    assert described["InputArtifacts"]["train"] == {"MediaType": "text/csv", "Value": "s3://experiments/data"}
    model = sagemaker.describe_training_job(TrainingJobName=job.rpartition("/")[2])["ModelArtifacts"]
    assert described["OutputArtifacts"]["SageMaker.ModelArtifact"]["Value"] == model["S3ModelArtifacts"]
    (metric,) = described["Metrics"]
    assert metric["MetricName"] == "loss"
    values = {name: metric[name] for name in ("Count", "Min", "Max", "Last", "Avg", "StdDev")}
    assert values == {"Count": 2, "Min": 0.25, "Max": 0.5, "Last": 0.25, "Avg": 0.375, "StdDev": 0.125}


def test_search_finds_components_as_the_sdks_analytics_ask_for_them(sagemaker: Any, ended: str) -> None:
    (found,) = search(
        sagemaker,
        "ExperimentTrialComponent",
        ("Parents.ExperimentName", "Equals", PIPELINE),
        ("Source.SourceType", "Equals", "SageMakerTrainingJob"),
        SortBy="Metrics.loss.Min",
        SortOrder="Ascending",
    )
    assert found["Parents"] == [{"TrialName": ended, "ExperimentName": PIPELINE}]
    assert found["SourceDetail"]["SourceArn"] == found["Source"]["SourceArn"]
    assert search(sagemaker, "ExperimentTrialComponent", ("Parents.TrialName", "Equals", "other")) == []
    by_metric = ("Metrics.loss.Last", "LessThan", "0.3")
    assert [one["DisplayName"] for one in search(sagemaker, "ExperimentTrialComponent", by_metric)] == ["Train-it"]


@pytest.mark.parametrize(
    ("resource", "filters", "expected"),
    [
        ("Pipeline", [("PipelineName", "Contains", "perim")], 1),
        ("Pipeline", [("Tags.team", "Equals", "ml")], 1),
        ("Pipeline", [("Tags.team", "NotEquals", "ml")], 0),
        ("Pipeline", [("CreationTime", "GreaterThan", "2020-01-01T00:00:00Z")], 1),
        ("PipelineExecution", [("PipelineExecutionStatus", "In", "Stopped, Failed")], 1),
        ("PipelineExecution", [("FailureReason", "NotExists", None)], 0),
        ("TrainingJob", [("HyperParameters.depth", "GreaterThanOrEqualTo", "3")], 1),
        ("TrainingJob", [("Metrics.loss", "LessThan", "0.25")], 0),
        ("TrainingJob", [("ResourceConfig.InstanceCount", "Equals", "1"), ("ModelArtifacts", "Exists", None)], 1),
        ("Experiment", [("ExperimentName", "Equals", PIPELINE)], 1),
        ("ExperimentTrial", [("ExperimentName", "Equals", PIPELINE)], 1),
        ("ModelPackage", [], 0),
    ],
)
def test_search_filters_what_the_engine_keeps(
    sagemaker: Any, ended: str, resource: str, filters: list[Any], expected: int
) -> None:
    assert len(search(sagemaker, resource, *filters)) == expected


def test_search_combines_expressions_sorts_and_pages(sagemaker: Any, ended: str) -> None:
    names = ["search-b", "search-c", "search-a"]
    for number, name in enumerate(names):
        parameters = {"Number": {"NumberValue": number}, "Text": {"StringValue": name}}
        sagemaker.create_trial_component(TrialComponentName=name, Parameters=parameters)
    resource, prefix = "ExperimentTrialComponent", ("TrialComponentName", "Contains", "search-")
    found = search(sagemaker, resource, prefix, SortBy="Parameters.Number", SortOrder="Descending")
    assert [one["TrialComponentName"] for one in found] == names[::-1]
    expression = {
        "Filters": [{"Name": "TrialComponentName", "Operator": "Contains", "Value": "search-"}],
        "SubExpressions": [
            {
                "Operator": "Or",
                "Filters": [
                    {"Name": "Parameters.Number", "Operator": "Equals", "Value": "2"},
                    {"Name": "Parameters.Text", "Operator": "Equals", "Value": "search-b"},
                ],
            }
        ],
    }
    pages = sagemaker.get_paginator("search").paginate(
        Resource=resource,
        SearchExpression=expression,
        SortBy="TrialComponentName",
        SortOrder="Ascending",
        PaginationConfig={"PageSize": 1},
    )
    shown = [[one["TrialComponent"]["TrialComponentName"] for one in page["Results"]] for page in pages]
    assert shown == [["search-a"], ["search-b"]]
    nested = {
        "NestedPropertyName": "InputDataConfig",
        "Filters": [
            {"Name": "InputDataConfig.ChannelName", "Value": "train"},
            {"Name": "InputDataConfig.DataSource.S3DataSource.S3Uri", "Operator": "Contains", "Value": "/data"},
        ],
    }
    answer = sagemaker.search(Resource="TrainingJob", SearchExpression={"NestedFilters": [nested]})
    assert len(answer["Results"]) == 1


@pytest.mark.parametrize(
    ("request_members", "reason"),
    [
        ({"Resource": "FeatureGroup"}, "does not search for FeatureGroup, only for Endpoint, Experiment"),
        (
            {"Resource": "Pipeline", "SearchExpression": {"Filters": [{"Name": "PipelineName", "Operator": "In"}]}},
            "must have a Value",
        ),
        (
            {
                "Resource": "Pipeline",
                "SearchExpression": {
                    "Filters": [{"Name": "CreationTime", "Operator": "LessThan", "Value": "yesterday"}]
                },
            },
            "does not take the Value 'yesterday'",
        ),
    ],
    ids=["resource", "no value", "no time"],
)
def test_what_search_cannot_evaluate_is_refused(
    sagemaker: Any, ended: str, request_members: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ClientError, match=reason) as refused:
        sagemaker.search(**request_members)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_experiments_trials_and_components_are_made_changed_connected_and_deleted(sagemaker: Any) -> None:
    made = sagemaker.create_experiment(ExperimentName="by-hand", Description="first", Tags=[{"Key": "a", "Value": "b"}])
    assert sagemaker.list_tags(ResourceArn=made["ExperimentArn"])["Tags"] == [{"Key": "a", "Value": "b"}]
    sagemaker.update_experiment(ExperimentName="by-hand", Description="second")
    assert sagemaker.describe_experiment(ExperimentName="by-hand")["Description"] == "second"
    with pytest.raises(ClientError, match="'nowhere' does not exist"):
        sagemaker.create_trial(TrialName="lost", ExperimentName="nowhere")
    sagemaker.create_trial(TrialName="one", ExperimentName="by-hand")
    sagemaker.create_trial_component(TrialComponentName="part", Parameters={"x": {"NumberValue": 1}})
    sagemaker.update_trial_component(
        TrialComponentName="part", Parameters={"y": {"NumberValue": 2}}, ParametersToRemove=["x"]
    )
    assert sagemaker.describe_trial_component(TrialComponentName="part")["Parameters"] == {"y": {"NumberValue": 2.0}}
    for _ in range(2):
        sagemaker.associate_trial_component(TrialComponentName="part", TrialName="one")
    (component,) = sagemaker.list_trial_components(TrialName="one")["TrialComponentSummaries"]
    assert component["TrialComponentName"] == "part"
    for delete, name in (("trial_component", "part"), ("trial", "one"), ("experiment", "by-hand")):
        with pytest.raises(ClientError, match="cannot be deleted"):
            getattr(sagemaker, f"delete_{delete}")(**{"".join(map(str.title, delete.split("_"))) + "Name": name})
    sagemaker.disassociate_trial_component(TrialComponentName="part", TrialName="one")
    sagemaker.delete_trial_component(TrialComponentName="part")
    sagemaker.delete_trial(TrialName="one")
    sagemaker.delete_experiment(ExperimentName="by-hand")
    with pytest.raises(ClientError, match="Experiment 'by-hand' does not exist"):
        sagemaker.describe_experiment(ExperimentName="by-hand")


def test_a_job_goes_into_the_trial_that_its_request_names(sagemaker: Any, ended: str) -> None:
    config = {"ExperimentName": PIPELINE, "TrialName": ended, "TrialComponentDisplayName": "alone"}
    sagemaker.create_training_job(TrainingJobName="alone", **training_arguments(1, ExperimentConfig=config))
    assert sagemaker.describe_trial_component(TrialComponentName="alone-aws-training-job")["DisplayName"] == "alone"
    assert len(sagemaker.list_trial_components(TrialName=ended)["TrialComponentSummaries"]) == 3
    with pytest.raises(ClientError, match="Trial 'nothing' does not exist"):
        sagemaker.create_training_job(
            TrainingJobName="lost", **training_arguments(1, ExperimentConfig={"TrialName": "nothing"})
        )
    with pytest.raises(ClientError, match="Requested resource not found"):
        sagemaker.describe_training_job(TrainingJobName="lost")


def test_spot_and_other_settings_without_a_local_meaning_are_accepted_and_shown(sagemaker: Any, ended: str) -> None:
    settings = {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1200},
        "CheckpointConfig": {"S3Uri": "s3://experiments/checkpoints"},
        "EnableNetworkIsolation": False,
        "ProfilerConfig": {"DisableProfiler": True},
        "RetryStrategy": {"MaximumRetryAttempts": 2},
    }
    sagemaker.create_training_job(TrainingJobName="spot", **training_arguments(1, **settings))
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName="spot", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    described = sagemaker.describe_training_job(TrainingJobName="spot")
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    assert {name: described[name] for name in settings} == settings
    assert 1 <= described["BillableTimeInSeconds"] <= described["TrainingTimeInSeconds"]
