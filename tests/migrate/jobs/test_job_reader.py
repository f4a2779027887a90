"""Describe answers of jobs that were run one by one, as one workflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_sm_pipelines.definition import MISSING, Dependency, PipelineDefinition, parse_definition
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.jobs import parse_jobs
from airflow_sm_pipelines.migrate.report import Migration, Outcome
from airflow_sm_pipelines.migrate.workflow import CallNode, CallWait, PipelineStepNode
from airflow_sm_pipelines.policy import Severity, check_definition

DATA = Path(__file__).parents[2] / "data" / "migrate" / "jobs"
CHURN = ("1-preprocess.json", "2-train.json", "3-deploy.json", "4-score.json", "5-report.json")
BUCKET = "s3://sagemaker-eu-west-1-123456789012"
EXECUTION = {"Get": "Execution.PipelineExecutionId"}


def load(*files: str) -> list[tuple[str, Any]]:
    return [(file, json.loads((DATA / file).read_text(encoding="utf-8"))) for file in files]


def read(*documents: tuple[str, Any]) -> Migration:
    return parse_jobs(documents, name="churn", origin="jobs")


def find_node(migration: Migration, name: str) -> Any:
    return next(node for node in migration.workflow.nodes if node.name == name)


def find_record(migration: Migration, source: str) -> Any:
    return next(record for record in migration.records if record.source == source)


def codes(record: Any) -> list[str]:
    return [reason.code for reason in record.reasons]


def define(migration: Migration) -> PipelineDefinition:
    steps = [node for node in migration.workflow.nodes if isinstance(node, PipelineStepNode)]
    document = {
        "Version": "2020-12-01",
        "Parameters": [parameter.to_json() for parameter in migration.workflow.parameters],
        "Steps": [
            {
                "Name": node.name,
                "Type": node.type,
                "Arguments": node.arguments,
                "DependsOn": [dependency.to_json() for dependency in node.after],
            }
            for node in steps
        ],
    }
    return parse_definition(json.dumps(document))


def training(name: str, **members: Any) -> dict[str, Any]:
    """The answer for a training job that started at an hour of the day."""
    return {
        "TrainingJobName": name,
        "TrainingJobArn": f"arn:aws:sagemaker:eu-west-1:123456789012:training-job/{name}",
        "ModelArtifacts": {"S3ModelArtifacts": f"s3://models/out/{name}/output/model.tar.gz"},
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "AlgorithmSpecification": {
            "TrainingImage": "123.dkr.ecr.eu-west-1.amazonaws.com/own:1",
            "TrainingInputMode": "File",
        },
        "RoleArn": "arn:aws:iam::123456789012:role/SageMakerExecution",
        "OutputDataConfig": {"S3OutputPath": "s3://models/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "CreationTime": "2026-03-02T09:00:00Z",
        "TrainingEndTime": "2026-03-02T09:30:00Z",
        **members,
    }


@pytest.mark.parametrize("files", [CHURN, ("tuning.json",)], ids=["churn", "tuning"])
def test_the_steps_are_a_definition_that_sagemaker_accepts(files: tuple[str, ...]) -> None:
    found = check_definition(define(read(*load(*files))))
    assert [finding for finding in found if finding.severity is Severity.ERROR] == []


def test_jobs_follow_each_other_as_their_data_flows() -> None:
    migration = read(*load(*CHURN))
    assert {node.name: [one.step for one in node.after] for node in migration.workflow.nodes} == {
        "churn-preprocess": [],
        "churn-train": ["churn-preprocess"],
        "churn-model": ["churn-train"],
        "churn-EndpointConfig": ["churn-model"],
        "churn-Endpoint": ["churn-EndpointConfig"],
        "churn-score": ["churn-model", "churn-preprocess"],
        "publish-report": ["churn-Endpoint", "churn-score"],
    }


def test_each_answer_has_a_record_in_its_place_and_an_outcome_of_its_own() -> None:
    migration = read(*load(*CHURN))
    assert [(one.source, one.kind, one.outcome, one.target, codes(one)) for one in migration.records] == [
        (
            "1-preprocess.json",
            "ProcessingJob churn-preprocess-2026-03-02-08-00-11-102",
            Outcome.APPROXIMATED,
            "churn-preprocess",
            ["JOB-OUTPUT-001"] * 3,
        ),
        (
            "2-train.json",
            "TrainingJob churn-train-2026-03-02-08-10-02-550",
            Outcome.TRANSLATED,
            "churn-train",
            ["JOB-METRICS-001", "JOB-HYPERPARAMETER-001", "JOB-LINK-001", "JOB-LINK-001", "JOB-LINK-001"],
        ),
        (
            "3-deploy.json: answers[0]",
            "Endpoint churn",
            Outcome.TRANSLATED,
            "churn-Endpoint",
            ["JOB-ENDPOINT-001", "JOB-LINK-001"],
        ),
        (
            "3-deploy.json: answers[1]",
            "EndpointConfig churn-2026-03-02",
            Outcome.TRANSLATED,
            "churn-EndpointConfig",
            ["JOB-LINK-001"],
        ),
        (
            "3-deploy.json: answers[2]",
            "Model churn-model-2026-03-02",
            Outcome.TRANSLATED,
            "churn-model",
            ["JOB-FACT-001", "JOB-LINK-001"],
        ),
        (
            "4-score.json",
            "TransformJob churn-score-1772439000",
            Outcome.TRANSLATED,
            "churn-score",
            ["JOB-LINK-001", "JOB-LINK-001"],
        ),
        ("5-report.json", "ProcessingJob publish-report", Outcome.APPROXIMATED, "publish-report", ["JOB-ORDER-001"]),
    ]
    assert [one.code for one in migration.differences] == ["JOB-TAGS-001", "JOB-NAMES-001"]


def test_a_training_job_keeps_its_request_and_reads_what_earlier_jobs_wrote() -> None:
    outputs = "Steps.churn-preprocess.ProcessingOutputConfig.Outputs"
    node = find_node(read(*load(*CHURN)), "churn-train")
    assert node.type == "Training"
    assert node.arguments == {
        "HyperParameters": {
            "objective": "binary:logistic",
            "num_round": "120",
            "report_uri": {
                "Std:Join": {"On": "", "Values": ['"', {"Get": f"{outputs}['test'].S3Output.S3Uri"}, '/report.csv"']}
            },
        },
        "AlgorithmSpecification": {
            "TrainingImage": "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:1.7-1",
            "TrainingInputMode": "File",
            "EnableSageMakerMetricsTimeSeries": False,
        },
        "RoleArn": "arn:aws:iam::123456789012:role/SageMakerExecution",
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": {"Get": f"{outputs}['train'].S3Output.S3Uri"},
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
                "ContentType": "text/csv",
                "CompressionType": "None",
                "RecordWrapperType": "None",
            },
            {
                "ChannelName": "validation",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": {
                            "Std:Join": {
                                "On": "",
                                "Values": [{"Get": f"{outputs}['validation'].S3Output.S3Uri"}, "/part-0.csv"],
                            }
                        },
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
                "ContentType": "text/csv",
                "CompressionType": "None",
                "RecordWrapperType": "None",
            },
        ],
        "OutputDataConfig": {"S3OutputPath": f"{BUCKET}/churn/models", "CompressionType": "GZIP"},
        "ResourceConfig": {
            "InstanceType": {"Get": "Parameters.ChurnTrainInstanceType"},
            "InstanceCount": {"Get": "Parameters.InstanceCount"},
            "VolumeSizeInGB": 30,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        "DebugHookConfig": {"S3OutputPath": f"{BUCKET}/churn/models"},
    }


def test_outputs_named_after_the_job_are_kept_apart_by_the_execution() -> None:
    node = find_node(read(*load(*CHURN)), "churn-preprocess")
    assert [one["S3Output"]["S3Uri"] for one in node.arguments["ProcessingOutputConfig"]["Outputs"]] == [
        {"Std:Join": {"On": "", "Values": [f"{BUCKET}/churn-preprocess-", EXECUTION, f"/output/{name}"]}}
        for name in ("train", "validation", "test")
    ]


def test_code_that_an_sdk_put_beside_a_jobs_output_is_not_taken_for_its_output() -> None:
    container = find_node(read(*load(*CHURN)), "churn-model").arguments["PrimaryContainer"]
    assert container["Environment"] == {
        "SAGEMAKER_SUBMIT_DIRECTORY": f"{BUCKET}/churn-train-2026-03-02-08-10-02-550/source/sourcedir.tar.gz"
    }
    assert container["ModelDataUrl"] == {"Get": "Steps.churn-train.ModelArtifacts.S3ModelArtifacts"}
    assert "ModelDataSource" not in container


def test_an_endpoint_keeps_its_name_and_takes_the_configuration_by_reference() -> None:
    assert find_node(read(*load(*CHURN)), "churn-Endpoint").arguments == {
        "EndpointConfigName": {"Get": "Steps.churn-EndpointConfig.EndpointConfigName"},
        "EndpointName": "churn",
    }


def test_instances_and_inputs_that_no_job_made_become_parameters_once_for_each_value() -> None:
    assert [(one.name, one.type, one.default) for one in read(*load(*CHURN)).workflow.parameters] == [
        ("InstanceType", "String", "ml.m5.xlarge"),
        ("InstanceCount", "Integer", 1),
        ("ChurnPreprocessRawUri", "String", "s3://acme-lake/churn/2026-03-01"),
        ("ChurnPreprocessCodeUri", "String", f"{BUCKET}/churn-preprocess-2026-03-02-08-00-11-102/input/code/run.py"),
        ("ChurnTrainInstanceType", "String", "ml.m5.2xlarge"),
        ("ChurnEndpointConfigMainInstanceType", "String", "ml.m5.large"),
        ("ChurnScoreInstanceCount", "Integer", 2),
        ("PublishReportTemplateUri", "String", "s3://acme-lake/templates/report.html"),
    ]


def test_a_tuning_jobs_best_artifact_is_read_from_the_tuning_step() -> None:
    migration = read(*load("tuning.json"))
    package = find_node(migration, "churn")
    assert (package.type, package.after) == ("RegisterModel", (Dependency("churn-tune"),))
    assert package.arguments["InferenceSpecification"]["Containers"] == [
        {
            "Image": "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:1.7-1",
            "ModelDataUrl": {
                "Std:Join": {
                    "On": "",
                    "Values": [
                        {"Get": "Steps.churn-tune.TrainingJobDefinition.OutputDataConfig.S3OutputPath"},
                        {"Get": "Steps.churn-tune.BestTrainingJob.TrainingJobName"},
                        "/output/model.tar.gz",
                    ],
                }
            },
        }
    ]
    assert package.arguments["ModelApprovalStatus"] == "PendingManualApproval"
    assert find_node(migration, "churn-4").arguments["Containers"] == [
        {"ModelPackageName": {"Get": "Steps.churn.ModelPackageArn"}}
    ]
    assert find_node(migration, "churn-tune").arguments["TrainingJobDefinition"]["StaticHyperParameters"] == {
        "objective": "binary:logistic"
    }


def test_a_job_that_the_tuning_job_started_is_folded_into_its_step() -> None:
    record = find_record(read(*load("tuning.json")), "tuning.json: jobs[1]")
    assert (record.outcome, record.target, codes(record), record.action) == (
        Outcome.FOLDED,
        "churn-tune",
        ["JOB-STARTED-001"],
        "",
    )


def test_a_job_whose_starter_was_not_described_says_what_to_describe() -> None:
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:hyper-parameter-tuning-job/tune-1"
    record = find_record(read(("a.json", training("a", TuningJobArn=arn)), ("b.json", training("b"))), "a.json")
    assert (record.outcome, record.target, record.action) == (
        Outcome.FOLDED,
        "",
        "Describe 'tune-1' too, so that it becomes a step.",
    )


def test_a_job_that_a_pipeline_started_points_to_the_pipeline() -> None:
    name = "pipelines-8u2kq0d1x9ab-Train-Qd0W2pL9sX"
    record = find_record(read(("a.json", training(name)), ("b.json", training("b"))), "a.json")
    assert (record.outcome, record.action) == (
        Outcome.FOLDED,
        "Use that pipeline's definition as it is (describe-pipeline); it needs no migration.",
    )


def test_an_automl_job_for_a_table_is_asked_for_by_the_first_api() -> None:
    migration = read(*load("automl.json"))
    node = find_node(migration, "churn-table")
    assert isinstance(node, PipelineStepNode)
    assert node.arguments == {
        "InputDataConfig": [
            {
                "ChannelType": "training",
                "ContentType": "text/csv;header=present",
                "CompressionType": "None",
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": {"Get": "Parameters.ChurnTableInputUri"}}
                },
                "TargetAttributeName": "churned",
            }
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://acme-lake/churn/automl"},
        "RoleArn": "arn:aws:iam::123456789012:role/SageMakerExecution",
        "AutoMLJobConfig": {
            "CompletionCriteria": {"MaxCandidates": 20},
            "Mode": "ENSEMBLING",
            "SecurityConfig": {"EnableInterContainerTrafficEncryption": False},
        },
        "GenerateCandidateDefinitionsOnly": False,
    }
    assert find_record(migration, "automl.json: jobs[0]").outcome is Outcome.APPROXIMATED


def test_an_automl_job_that_no_step_makes_becomes_a_task_that_is_waited_for() -> None:
    migration = read(*load("automl.json"))
    node = find_node(migration, "churn-forecast")
    assert isinstance(node, CallNode)
    assert (node.service, node.operation) == ("sagemaker", "create_auto_ml_job_v2")
    assert node.arguments["AutoMLJobName"] == {"Std:Join": {"On": "", "Values": ["churn-forecast-", EXECUTION]}}
    assert node.wait == CallWait(
        "describe_auto_ml_job_v2",
        {"AutoMLJobName": "AutoMLJobName"},
        "AutoMLJobStatus",
        ("Completed",),
        ("Failed", "Stopped"),
    )
    assert find_record(migration, "automl.json: jobs[1]").outcome is Outcome.AIRFLOW


def test_the_containers_of_an_automl_model_come_from_the_best_candidate() -> None:
    documents = load("automl.json")
    del documents[0][1]["jobs"][1]
    containers = find_node(read(*documents), "churn-automl").arguments["Containers"]
    assert [one["ModelDataUrl"] for one in containers] == [
        {"Get": f"Steps.churn-table.BestCandidate.InferenceContainers[{index}].ModelDataUrl"} for index in (0, 1)
    ]


@pytest.mark.parametrize(
    ("first_end", "second_start", "after", "code"),
    [
        ("2026-03-02T09:30:00Z", "2026-03-02T10:00:00+00:00", ["a"], "JOB-ORDER-001"),
        ("2026-03-02T09:30:00Z", "2026-03-02T09:10:00.5Z", [], "JOB-ORDER-002"),
        (1772443800.25, 1772445600, ["a"], "JOB-ORDER-001"),
        ("2026-03-02 10:30:00.1+01:00", "2026-03-02T04:30:01-0500", ["a"], "JOB-ORDER-001"),
    ],
    ids=["over before", "side by side", "seconds since 1970", "other zones"],
)
def test_where_no_data_tells_the_order_is_a_guess_by_time(
    first_end: Any, second_start: Any, after: list[str], code: str
) -> None:
    first = training("a", TrainingEndTime=first_end, OutputDataConfig={"S3OutputPath": "s3://one/x"})
    second = training("b", CreationTime=second_start)
    migration = read(("b.json", second), ("a.json", first))
    assert [one.step for one in find_node(migration, "b").after] == after
    assert codes(find_record(migration, "b.json")) == [code]
    assert find_record(migration, "b.json").outcome is Outcome.APPROXIMATED
    assert find_record(migration, "a.json").outcome is Outcome.TRANSLATED


def test_members_that_nobody_knows_are_listed_as_lost() -> None:
    document = training(
        "a", BrandNew={"x": 1}, ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "Odd": 2}
    )
    record = find_record(read(("a.json", document)), "a.json")
    assert record.lost == ("ResourceConfig.Odd", "BrandNew")


def test_an_answer_given_twice_makes_one_step() -> None:
    migration = read(("a.json", training("a")), ("copy.json", training("a")))
    assert [node.name for node in migration.workflow.nodes] == ["a"]
    assert codes(find_record(migration, "copy.json")) == ["JOB-TWICE-001"]


def attempts() -> list[tuple[str, Any]]:
    """Two attempts that failed, the second with more memory, and the third one, which succeeded."""
    failed = {"TrainingJobStatus": "Failed", "TrainingEndTime": "2026-03-02T09:10:00Z"}
    larger = {"ResourceConfig": {"InstanceType": "ml.m5.4xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30}}
    return [
        ("1.json", training("train-2026-03-02-09-00-00", **failed)),
        (
            "2.json",
            training("train-2026-03-02-09-20-00", **failed, **larger) | {"CreationTime": "2026-03-02T09:20:00Z"},
        ),
        ("3.json", training("train-2026-03-02-09-40-00", **larger) | {"CreationTime": "2026-03-02T09:40:00Z"}),
    ]


def test_failed_attempts_and_their_repeat_are_one_step() -> None:
    found = read(*attempts())
    (node,) = found.workflow.nodes
    assert [record.target for record in found.records] == [node.name] * 3
    assert [str(record.outcome) for record in found.records[:2]] == ["folded", "folded"]
    assert codes(found.records[0]) == ["JOB-REPEAT-001"]
    assert found.workflow.parameters[0].default == "ml.m5.4xlarge"


def test_an_attempt_that_failed_after_a_success_is_a_step_of_its_own() -> None:
    first, _, last = attempts()
    first[1]["CreationTime"] = "2026-03-02T10:00:00Z"
    assert len(read(first, last).workflow.nodes) == 2


TAGS = {"Tags": [{"Key": "team", "Value": "ml"}, {"Key": "aws:createdBy", "Value": "x"}]}


def test_tags_of_a_job_are_those_of_the_file_beside_it() -> None:
    found = read(("train.json", training("train")), ("train.tags.json", TAGS))
    assert find_node(found, "train").arguments["Tags"] == [{"Key": "team", "Value": "ml"}]
    assert [one.code for one in found.differences] == ["JOB-NAMES-001"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("other.tags.json", "as other.json"), ("tags.json", "call them JOB.tags.json")],
)
def test_tags_of_nobody_are_refused(name: str, expected: str) -> None:
    with pytest.raises(MigrationError, match=f"{name}: these are tags, and nothing says whose: .*{expected}"):
        read(("train.json", training("train")), (name, TAGS))


def test_a_failed_run_is_told() -> None:
    assert codes(find_record(read(("a.json", training("a", TrainingJobStatus="Failed"))), "a.json")) == [
        "JOB-STATUS-001"
    ]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"jobs": []},
            "a.json: expected the answer of a SageMaker Describe call, .* found an object with the keys 'jobs'",
        ),
        (
            {"PipelineArn": "arn:x", "PipelineName": "p"},
            "keys 'PipelineArn', 'PipelineName'. Known kinds: TrainingJob,",
        ),
        ({"answers": [{"TrainingJobName": "a"}]}, r"a.json: answers\[0\]: expected .* the keys 'TrainingJobName'"),
        ({"answers": ["a"]}, r"a.json: answers\[0\]: expected the answer of a Describe call, found 'a'"),
        (
            {"Models": [{"ModelName": "m", "ModelArn": "arn:aws:sagemaker:eu-west-1:1:model/m", "CreationTime": 1}]},
            "names the Model 'm' but does not say what it does, like an entry of a List answer",
        ),
    ],
    ids=["no answer", "another call's", "no ARN", "no object", "a list's summary"],
)
def test_a_document_that_answers_no_describe_call_is_refused(document: Any, expected: str) -> None:
    with pytest.raises(MigrationError, match=expected):
        read(("a.json", document))


def test_no_document_is_refused() -> None:
    with pytest.raises(MigrationError, match="give at least one document"):
        read()


def test_parameters_have_defaults() -> None:
    assert all(one.default is not MISSING for one in read(*load(*CHURN)).workflow.parameters)
