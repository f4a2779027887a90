"""OpenLineage: what is told of an execution, by value, and as the real listener writes it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.airflow_task.lineage import (
    make_deploy_lineage,
    make_execution_lineage,
    name_dataset,
    read_lineage,
)
from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.deployment.deployer import Deployment
from tests.airflow_fakes import DEFINITION, FAILED_STEPS, SUCCEEDED_STEPS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.airflow_fakes import FakeSageMaker
    from tests.airflow_runs import DagRunner

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e"


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("s3://bucket/data/train", ("s3://bucket", "data/train")),
        ("s3://bucket/data/", ("s3://bucket", "data")),
        ("s3://bucket", ("s3://bucket", "/")),
        (
            "arn:aws-cn:sagemaker:cn-north-1:123456789012:model-package/g/3",
            ("arn:aws-cn:sagemaker:cn-north-1:123456789012", "model-package/g/3"),
        ),
    ],
)
def test_datasets_are_named_as_openlineage_names_them(place: str, expected: tuple[str, str]) -> None:
    assert name_dataset(place) == expected


def test_what_a_step_made_is_no_input_of_the_execution() -> None:
    jobs = {
        "Prepare": {
            "ProcessingInputs": [{"InputName": "raw", "S3Input": {"S3Uri": "s3://b/raw/"}}],
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "o", "S3Output": {"S3Uri": "s3://b/made"}}]},
        },
        "Score": {
            "ProcessingInputs": [
                {"InputName": name, "S3Input": {"S3Uri": f"s3://b/{name}"}} for name in ("made/part", "madeup")
            ],
        },
    }
    steps = tuple(StepReport(name, "Processing", "Succeeded", metadata={"ProcessingJob": {}}) for name in jobs)
    failed = StepReport("Lost", "Processing", "Failed", metadata={"ProcessingJob": {}})
    reader: Any = SimpleNamespace(describe=lambda step: ("ProcessingJob", jobs[step.name]))
    found = read_lineage(reader, ExecutionReport(ARN, "Succeeded", steps=(*steps, failed)))
    assert found.inputs == ("s3://b/raw", "s3://b/madeup")
    assert found.outputs == ("s3://b/made",)
    assert found.is_complete
    late = read_lineage(reader, ExecutionReport(ARN, "Succeeded", steps=steps), max_seconds=-1)
    assert (late.inputs, late.outputs, late.is_complete) == ((), (), False)


def test_datasets_and_facets_of_an_execution_name_its_data_its_end_and_its_page() -> None:
    job = {
        "ProcessingInputs": [{"InputName": "raw", "S3Input": {"S3Uri": "s3://b/raw/"}}],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "o", "S3Output": {"S3Uri": "s3://c/made"}}]},
    }
    steps = (StepReport("Prepare", "Processing", "Succeeded", metadata={"ProcessingJob": {}}),)
    report = ExecutionReport(ARN, "Failed", failure_reason="why", pipeline_version_id=3, steps=steps)
    reader: Any = SimpleNamespace(describe=lambda _: ("ProcessingJob", job))
    found = make_execution_lineage(reader, report, url="http://127.0.0.1:9/e")
    assert [(one.namespace, one.name) for one in found.inputs] == [("s3://b", "raw")]
    assert [(one.namespace, one.name) for one in found.outputs] == [("s3://c", "made")]
    facet = found.run_facets["sageMakerPipelineExecution"]
    assert (facet.executionArn, facet.pipelineArn, facet.pipelineName) == (ARN, ARN.partition("/execution")[0], "p")
    assert (facet.status, facet.failureReason, facet.pipelineVersionId) == ("Failed", "why", 3)
    assert (facet.url, facet.isLineageComplete) == ("http://127.0.0.1:9/e", True)
    assert [step["name"] for step in facet.steps] == ["Prepare"]

    lost: Any = SimpleNamespace(describe=lambda _: {}["gone"])
    unread = make_execution_lineage(lost, report, url="").run_facets["sageMakerPipelineExecution"]
    assert (unread.url, unread.isLineageComplete) == (None, False)

    deployment = Deployment("p", "arn:of:p", 3, "updated", "hash", ())
    told = make_deploy_lineage(deployment, url="http://127.0.0.1:9/p")
    assert (told.inputs, told.outputs) == ([], [])
    deployed = told.run_facets["sageMakerPipelineDeployment"]
    assert (deployed.pipelineName, deployed.pipelineArn, deployed.pipelineVersionId) == ("p", "arn:of:p", 3)
    assert (deployed.action, deployed.definitionHash, deployed.url) == ("updated", "hash", "http://127.0.0.1:9/p")


DAG_FILE = """
from airflow.sdk import DAG
from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator

with DAG("lineage", schedule=None):
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy", pipeline="train.json", pipeline_name="p", role_arn="arn:aws:iam::123456789012:role/Sage"
    )
    good = SageMakerRunPipelineOperator(
        task_id="good", pipeline_name=deploy.output["pipeline_name"], deferrable=True, waiter_delay=1
    )
    bad = SageMakerRunPipelineOperator(task_id="bad", pipeline_name="q", waiter_delay=1, on_retry="fail")
    refused = SageMakerRunPipelineOperator(task_id="refused", pipeline_name="q", on_clear="x", trigger_rule="all_done")
    good >> bad >> refused
"""


@pytest.mark.slow
def test_the_real_listener_writes_data_and_facets(fake: FakeSageMaker, dag_runner: DagRunner, tmp_path: Path) -> None:
    pytest.importorskip("airflow.providers.openlineage")
    package = "arn:aws:sagemaker:us-east-1:123456789012:model-package/g/3"
    register = {"StepName": "Register", "StepStatus": "Succeeded", "Metadata": {"RegisterModel": {"Arn": package}}}
    fake.by_pipeline["p"] = (["Executing", "Succeeded"], [*SUCCEEDED_STEPS, register], None)
    fake.by_pipeline["q"] = (["Failed"], FAILED_STEPS, "A step failed")
    fake.add_pipeline("q")
    dag_runner.write("lineage.py", DAG_FILE)
    dag_runner.write("train.json", json.dumps(DEFINITION))
    events_file = tmp_path / "events.jsonl"
    dag_runner.environment["AIRFLOW__OPENLINEAGE__TRANSPORT"] = json.dumps(
        {"type": "file", "log_file_path": str(events_file), "append": True}
    )
    result = dag_runner.test("lineage")
    states = {"deploy": "success", "good": "success", "bad": "failed", "refused": "failed"}
    assert result.states == states, result.output[-6000:]
    assert "non-valid metadata" not in result.output

    events = [json.loads(line) for line in events_file.read_text().splitlines()]
    ended = {event["job"]["name"]: event for event in events if event["eventType"] in ("COMPLETE", "FAIL")}
    deployed = ended["lineage.deploy"]["run"]["facets"]["sageMakerPipelineDeployment"]
    assert (deployed["action"], deployed["pipelineName"], deployed["pipelineVersionId"]) == ("created", "p", 1)

    good = ended["lineage.good"]
    assert good["eventType"] == "COMPLETE"
    assert [(item["namespace"], item["name"]) for item in good["inputs"]] == [("s3://bucket", "data/train")]
    assert [(item["namespace"], item["name"]) for item in good["outputs"]] == [
        ("s3://bucket", "model.tar.gz"),
        ("s3://bucket", "out"),
        ("arn:aws:sagemaker:us-east-1:123456789012", "model-package/g/3"),
    ]
    facet = good["run"]["facets"]["sageMakerPipelineExecution"]
    assert facet["executionArn"] == result.xcom("good", "pipeline_execution_arn")
    assert facet["pipelineArn"].endswith(":pipeline/p")
    assert (facet["pipelineVersionId"], facet["status"], facet["isLineageComplete"]) == (1, "Succeeded", True)
    assert [(step["name"], step["status"]) for step in facet["steps"]] == [
        ("Train", "Succeeded"),
        ("Evaluate", "Succeeded"),
        ("Register", "Succeeded"),
    ]

    bad = ended["lineage.bad"]
    assert bad["eventType"] == "FAIL"
    facet = bad["run"]["facets"]["sageMakerPipelineExecution"]
    assert (facet["status"], facet["steps"][1]["failure_reason"]) == ("Failed", "AlgorithmError: exit code 3")
    assert [item["name"] for item in bad["outputs"]] == ["model.tar.gz"]


def test_a_task_without_an_execution_tells_nothing_instead_of_what_openlineage_warns_of() -> None:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator

    run = SageMakerRunPipelineOperator(task_id="run", pipeline_name="p")
    deploy = SageMakerDeployPipelineOperator(task_id="deploy", pipeline="{}", pipeline_name="p")
    for operator in (run, deploy):
        assert operator.get_openlineage_facets_on_complete(None) == OperatorLineage()
    assert run.get_openlineage_facets_on_failure(None) == OperatorLineage()
