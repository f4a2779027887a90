"""Experiments, trials and components: every member of a job's component, and what lists, changes and deletions do."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine import ServiceError
from airflow_sm_pipelines.engine.registry.experiments import (
    COMPONENT,
    EXPERIMENT,
    TRIAL,
    TRIALS_KEY,
    add_entity,
    add_job_component,
    component_name,
    end_job_component,
    ensure_trial,
    require_entity,
)
from airflow_sm_pipelines.engine.rules.job_documents import PROCESSING, TRAINING, TRANSFORM, JobKind
from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
from airflow_sm_pipelines.engine.store import ResourceRecord, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.fake_world import World

PREFIX = "arn:aws:sagemaker:us-east-1:123456789012"
NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
LATER = NOW + timedelta(minutes=3)
ARNS = ArnFactory("us-east-1", "123456789012")
CLUSTER = {"InstanceCount": 2, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30}
SIZE = {
    "SageMaker.InstanceCount": {"NumberValue": 2.0},
    "SageMaker.InstanceType": {"StringValue": "ml.m5.large"},
    "SageMaker.VolumeSizeInGB": {"NumberValue": 30.0},
}
TRAINING_REQUEST = {
    "AlgorithmSpecification": {"TrainingImage": "image"},
    "HyperParameters": {
        "depth": "3",
        "rate": "0.5",
        "kind": '"tree"',
        "flag": "true",
        "raw": "a b",
        "long": "x" * 3000,
    },
    "InputDataConfig": [
        {"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/train"}}},
        {"ChannelName": "test", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/test"}}},
        {"ChannelName": "files", "DataSource": {"FileSystemDataSource": {"DirectoryPath": "/x"}}},
    ],
    "ResourceConfig": CLUSTER,
}
PROCESSING_REQUEST = {
    "AppSpecification": {"ImageUri": "image"},
    "ProcessingInputs": [
        {"InputName": "code", "S3Input": {"S3Uri": "s3://b/code.py"}},
        {"InputName": "dataset", "DatasetDefinition": {}},
    ],
    "ProcessingOutputConfig": {
        "Outputs": [
            {"OutputName": "out", "S3Output": {"S3Uri": "s3://b/out"}},
            {"OutputName": "features", "FeatureStoreOutput": {"FeatureGroupName": "f"}},
        ]
    },
    "ProcessingResources": {"ClusterConfig": CLUSTER},
}
TRANSFORM_REQUEST = {
    "TransformInput": {"ContentType": "text/csv", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/in"}}},
    "TransformOutput": {"S3OutputPath": "s3://b/out"},
    "TransformResources": {"InstanceCount": 2, "InstanceType": "ml.m5.large"},
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with an experiment and a trial in it."""
    opened = Store(tmp_path / "state")
    ensure_trial(opened, ARNS, "experiment", "trial", now=NOW)
    yield opened
    opened.close()


def add_job(store: Store, kind: JobKind, request: dict[str, Any], **config: str) -> dict[str, Any]:
    """The component of a job that was just made."""
    arn = ARNS.make(kind.resource, "job")
    job = ResourceRecord(kind.table_kind, "job", arn, "InProgress", None, None, {"$request": request}, 0, 0)
    add_job_component(store, ARNS, kind, job, config, now=NOW)
    return component(store, kind)


def component(store: Store, kind: JobKind) -> dict[str, Any]:
    return require_entity(store, COMPONENT, component_name(kind, "job")).document


@pytest.mark.parametrize(
    ("kind", "request_", "parameters", "inputs", "outputs"),
    [
        pytest.param(
            TRAINING,
            TRAINING_REQUEST,
            {
                "depth": {"NumberValue": 3.0},
                "rate": {"NumberValue": 0.5},
                "kind": {"StringValue": "tree"},
                "flag": {"StringValue": "true"},
                "raw": {"StringValue": "a b"},
                "long": {"StringValue": "x" * 2500},
                **SIZE,
            },
            {
                "SageMaker.ImageUri": {"Value": "image"},
                "train": {"Value": "s3://b/train", "MediaType": "text/csv"},
                "test": {"Value": "s3://b/test"},
            },
            {},
            id="training",
        ),
        pytest.param(
            PROCESSING,
            PROCESSING_REQUEST,
            SIZE,
            {"SageMaker.ImageUri": {"Value": "image"}, "code": {"Value": "s3://b/code.py"}},
            {"out": {"Value": "s3://b/out"}},
            id="processing",
        ),
        pytest.param(
            TRANSFORM,
            TRANSFORM_REQUEST,
            {name: value for name, value in SIZE.items() if "Volume" not in name},
            {"SageMaker.TransformInput": {"Value": "s3://b/in", "MediaType": "text/csv"}},
            {"SageMaker.TransformOutput": {"Value": "s3://b/out"}},
            id="transform",
        ),
        pytest.param(TRAINING, {}, {}, {}, {}, id="nothing given"),
    ],
)
def test_a_jobs_component_has_what_its_request_says(
    store: Store, kind: JobKind, request_: Any, parameters: Any, inputs: Any, outputs: Any
) -> None:
    name = f"job-aws-{kind.resource}"
    assert add_job(store, kind, request_, ExperimentName="experiment", TrialName="trial") == {
        "DisplayName": "job",
        "Source": {"SourceArn": f"{PREFIX}:{kind.resource}/job", "SourceType": f"SageMaker{kind.table_kind}"},
        "Status": {"PrimaryStatus": "InProgress"},
        "StartTime": NOW,
        "Parameters": parameters,
        "InputArtifacts": inputs,
        "OutputArtifacts": outputs,
        TRIALS_KEY: ["trial"],
        "TrialComponentName": name,
        "TrialComponentArn": f"{PREFIX}:experiment-trial-component/{name}",
        "CreationTime": NOW,
        "CreatedBy": {},
        "LastModifiedTime": NOW,
        "LastModifiedBy": {},
    }


def test_a_component_takes_its_shown_name_and_its_trial_from_the_jobs_config(store: Store) -> None:
    shown = add_job(store, TRAINING, {}, TrialComponentDisplayName="Train it")
    assert (shown["DisplayName"], shown[TRIALS_KEY]) == ("Train it", [])
    for config, says in (
        ({"ExperimentName": "x"}, "Experiment 'x' does not exist."),
        ({"TrialName": "x"}, "Trial 'x' does not exist."),
    ):
        with pytest.raises(ServiceError) as refused:
            add_job(store, PROCESSING, {}, **config)
        assert (refused.value.code, refused.value.message) == ("ResourceNotFound", says)


def test_the_end_of_a_job_is_written_into_its_component(store: Store) -> None:
    add_job(store, TRAINING, {}, TrialName="trial")
    metric = {"MetricName": "loss", "Timestamp": LATER, "Min": 0.25}
    ended = {
        "TrainingJobStatus": "Completed",
        "TrainingStartTime": NOW + timedelta(minutes=1),
        "$metric_summaries": [metric],
        "ModelArtifacts": {"S3ModelArtifacts": "s3://b/model.tar.gz"},
    }
    end_job_component(store, TRAINING, "job", ended, now=LATER)
    found = component(store, TRAINING)
    assert found["Status"] == {"PrimaryStatus": "Completed"}
    assert (found["StartTime"], found["EndTime"]) == (NOW + timedelta(minutes=1), LATER)
    assert (found["CreationTime"], found["LastModifiedTime"]) == (NOW, LATER)
    source = f"{PREFIX}:training-job/job"
    assert found["Metrics"] == [{"SourceArn": source, "TimeStamp": LATER, "MetricName": "loss", "Min": 0.25}]
    assert found["OutputArtifacts"] == {"SageMaker.ModelArtifact": {"Value": "s3://b/model.tar.gz"}}


def test_a_job_that_failed_says_why_and_has_made_no_model(store: Store) -> None:
    add_job(store, TRAINING, {}, TrialName="trial")
    model = {"ModelArtifacts": {"S3ModelArtifacts": "s3://b/model.tar.gz"}}
    ended = {"TrainingJobStatus": "Failed", "FailureReason": "exit code 1", **model}
    end_job_component(store, TRAINING, "job", ended, now=LATER)
    found = component(store, TRAINING)
    assert found["Status"] == {"PrimaryStatus": "Failed", "Message": "exit code 1"}
    assert (found["OutputArtifacts"], found["StartTime"], "Metrics" in found) == ({}, NOW, False)
    end_job_component(store, PROCESSING, "job", {"ProcessingJobStatus": "Failed"}, now=LATER)
    with pytest.raises(ServiceError, match="does not exist"):
        component(store, PROCESSING)


def test_names_are_taken_whatever_their_case_and_an_arn_names_only_its_own_kind(store: Store) -> None:
    for name in ("trial", "TRIAL"):
        with pytest.raises(ServiceError, match="Trial names must be unique within an AWS account and region: "):
            add_entity(store, ARNS, TRIAL, name, {}, now=NOW)
    ensure_trial(store, ARNS, "another", "trial", now=NOW)
    assert store.resources.find(EXPERIMENT, "another") is None
    ensure_trial(store, ARNS, "experiment", "second", now=NOW)
    assert require_entity(store, TRIAL, f"{PREFIX}:experiment-trial/second").family == "experiment"
    for kind, name in ((EXPERIMENT, f"{PREFIX}:experiment-trial/trial"), (TRIAL, "experiment")):
        with pytest.raises(ServiceError, match=f"{kind} '{name}' does not exist"):
            require_entity(store, kind, name)


@pytest.fixture
def entities(world: World) -> World:
    """Two experiments with a trial each, and a component that is in the first trial."""
    call = world.engine.call
    for name in ("a", "b"):
        call("CreateExperiment", {"ExperimentName": f"{name}-experiment", "Description": "d", "DisplayName": "shown"})
        call("CreateTrial", {"TrialName": f"{name}-trial", "ExperimentName": f"{name}-experiment"})
    source = {"SourceArn": f"{PREFIX}:training-job/t", "SourceType": "SageMakerTrainingJob"}
    maps = {
        "Parameters": {"x": {"NumberValue": 1.0}, "y": {"NumberValue": 2.0}},
        "InputArtifacts": {"data": {"Value": "s3://b/data"}},
        "OutputArtifacts": {"model": {"Value": "s3://b/model"}},
    }
    call("CreateTrialComponent", {"TrialComponentName": "part", "Source": source, **maps})
    call("CreateTrialComponent", {"TrialComponentName": "lone"})
    call("AssociateTrialComponent", {"TrialComponentName": "part", "TrialName": "a-trial"})
    return world


def names(world: World, kind: str, **request: Any) -> list[str]:
    answer = world.engine.call(f"List{kind}s", request)
    return [one[f"{kind}Name"] for one in answer[f"{kind}Summaries"]]


def test_lists_hold_what_was_asked_for_in_the_order_asked_for(entities: World) -> None:
    assert names(entities, "Experiment") == ["b-experiment", "a-experiment"]
    assert names(entities, "Experiment", SortOrder="Ascending") == ["a-experiment", "b-experiment"]
    assert names(entities, "Trial", SortBy="Name") == ["b-trial", "a-trial"]
    assert names(entities, "Trial", SortBy="Name", SortOrder="Ascending") == ["a-trial", "b-trial"]
    assert names(entities, "Trial", ExperimentName="a-experiment") == ["a-trial"]
    assert names(entities, "Trial", TrialComponentName="part") == ["a-trial"]
    assert names(entities, "Trial", TrialComponentName="lone") == []
    assert names(entities, "TrialComponent") == ["lone", "part"]
    for request, found in (
        ({"TrialName": "a-trial"}, ["part"]),
        ({"TrialName": "b-trial"}, []),
        ({"ExperimentName": "a-experiment"}, ["part"]),
        ({"ExperimentName": "b-experiment"}, []),
        ({"SourceArn": f"{PREFIX}:training-job/t"}, ["part"]),
        ({"SourceArn": f"{PREFIX}:training-job/u"}, []),
    ):
        assert names(entities, "TrialComponent", **request) == found, request
    with pytest.raises(ServiceError, match="Only one of ExperimentName, TrialName and SourceArn can be given"):
        names(entities, "TrialComponent", TrialName="a-trial", ExperimentName="a-experiment")
    made = entities.engine.call("DescribeExperiment", {"ExperimentName": "a-experiment"})["CreationTime"]
    assert names(entities, "Experiment", CreatedAfter=made) == ["b-experiment"]
    assert names(entities, "Experiment", CreatedBefore=made) == []
    assert names(entities, "Experiment", CreatedBefore=made + timedelta(milliseconds=1)) == ["a-experiment"]
    first = entities.engine.call("ListTrials", {"MaxResults": 1})
    assert names(entities, "Trial", MaxResults=1, NextToken=first["NextToken"]) == ["a-trial"]


def test_a_list_shows_what_describe_shows(entities: World) -> None:
    call = entities.engine.call
    experiment = call("DescribeExperiment", {"ExperimentName": "a-experiment"})
    assert (experiment["Description"], experiment["DisplayName"]) == ("d", "shown")
    listed = call("ListExperiments", {})["ExperimentSummaries"][1]
    shown = ("ExperimentName", "ExperimentArn", "DisplayName", "CreationTime", "LastModifiedTime")
    assert listed == {key: experiment[key] for key in shown}
    times = {"StartTime": NOW, "EndTime": LATER, "Status": {"PrimaryStatus": "Completed"}, "DisplayName": "Part"}
    call("UpdateTrialComponent", {"TrialComponentName": "part", **times})
    described = call("DescribeTrialComponent", {"TrialComponentName": "part"})
    assert {key: described[key] for key in times} == times
    assert described["Sources"] == [described["Source"]]
    listed = call("ListTrialComponents", {})["TrialComponentSummaries"][1]
    hidden = {"Parameters", "InputArtifacts", "OutputArtifacts", "Source", "Sources"}
    shown_of_it = {key: value for key, value in described.items() if key not in hidden}
    assert listed == {**shown_of_it, "TrialComponentSource": described["Source"]}
    assert "Sources" not in call("DescribeTrialComponent", {"TrialComponentName": "lone"})


def test_an_update_changes_what_it_names_and_nothing_else(entities: World) -> None:
    call = entities.engine.call
    before = call("DescribeTrialComponent", {"TrialComponentName": "part"})
    call(
        "UpdateTrialComponent",
        {
            "TrialComponentName": "part",
            "Parameters": {"z": {"NumberValue": 3.0}},
            "ParametersToRemove": ["x"],
            "InputArtifactsToRemove": ["data"],
        },
    )
    after = call("DescribeTrialComponent", {"TrialComponentName": "part"})
    changed = {
        "Parameters": {"y": {"NumberValue": 2.0}, "z": {"NumberValue": 3.0}},
        "InputArtifacts": {},
        "LastModifiedTime": after["LastModifiedTime"],
    }
    assert after == {**before, **changed}
    assert after["LastModifiedTime"] > before["LastModifiedTime"]
    for kind, changes in (
        ("Experiment", {"DisplayName": "new", "Description": "new"}),
        ("Trial", {"DisplayName": "new"}),
    ):
        one = {f"{kind}Name": f"a-{kind.lower()}"}
        before = call(f"Describe{kind}", one)
        assert call(f"Update{kind}", {**one, **changes}) == {f"{kind}Arn": before[f"{kind}Arn"]}
        after = call(f"Describe{kind}", one)
        assert after == {**before, **changes, "LastModifiedTime": after["LastModifiedTime"]}


def test_what_is_in_use_is_not_deleted_and_what_uses_it_is_named(entities: World) -> None:
    call = entities.engine.call
    for kind, name, user in (
        ("TrialComponent", "part", "a-trial"),
        ("Trial", "a-trial", "part"),
        ("Experiment", "a-experiment", "a-trial"),
    ):
        with pytest.raises(ServiceError, match=f"'{name}' cannot be deleted: it is associated with {user}."):
            call(f"Delete{kind}", {f"{kind}Name": name})
    for _ in range(2):
        answer = call("DisassociateTrialComponent", {"TrialComponentName": "part", "TrialName": "a-trial"})
    assert answer == {
        "TrialComponentArn": f"{PREFIX}:experiment-trial-component/part",
        "TrialArn": f"{PREFIX}:experiment-trial/a-trial",
    }
    for kind, name in (("TrialComponent", "part"), ("Trial", "a-trial"), ("Experiment", "a-experiment")):
        resource = {"TrialComponent": "experiment-trial-component", "Trial": "experiment-trial"}.get(kind, "experiment")
        assert call(f"Delete{kind}", {f"{kind}Name": name}) == {f"{kind}Arn": f"{PREFIX}:{resource}/{name}"}
    assert names(entities, "Experiment") == ["b-experiment"]
    with pytest.raises(ServiceError, match="Experiment 'none' does not exist"):
        call("CreateTrial", {"TrialName": "t", "ExperimentName": "none"})
