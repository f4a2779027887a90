"""AutoML steps through unmodified boto3: refused, or performed by a stand-in whose job can be described."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from airflow_sm_pipelines.server import serve
from tests.contract.conftest import ROLE

if TYPE_CHECKING:
    from airflow_sm_pipelines.server import RunningServer

Client = Callable[[str], Any]
PROGRAM = """
import time
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"

def search(step):
    if step["name"] == "Slow":
        time.sleep(60)
    if step["name"] == "Broken":
        raise ValueError("no model fits")
    if step["name"] == "Odd":
        return {"outputs": {"BestCandidate": {"Containers": []}}}
    target = step["arguments"]["InputDataConfig"][0]["TargetAttributeName"]
    containers = [{"Image": IMAGE, "ModelDataUrl": f"s3://models/{target}.tar.gz", "Environment": {"A": "b"}}]
    return {"outputs": {"BestCandidate": {"InferenceContainers": containers}}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """An endpoint with a stand-in for AutoML steps, except the one called Alone."""
    folder = tmp_path_factory.mktemp("automl")
    (folder / "mine.py").write_text(PROGRAM)
    names = ("Search", "Slow", "Broken", "Odd")
    (folder / "stand_ins.toml").write_text(
        "".join(f'[[stand_in]]\nstep = "{name}"\nfunction = "mine.py:search"\n' for name in names)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SM_PIPELINES_STAND_INS", str(folder / "stand_ins.toml"))
        with serve(folder / "state") as running:
            yield running


def automl_step(name: str) -> dict[str, Any]:
    """A step as SDK v2 writes it."""
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/train.csv"}}
    channel = {"DataSource": source, "TargetAttributeName": "price", "ChannelType": "training"}
    return {
        "Name": name,
        "Type": "AutoML",
        "Arguments": {
            "InputDataConfig": [channel],
            "OutputDataConfig": {"S3OutputPath": "s3://models"},
            "AutoMLJobConfig": {"Mode": "ENSEMBLING", "CompletionCriteria": {"MaxAutoMLJobRuntimeInSeconds": 600}},
            "ProblemType": None,
            "RoleArn": ROLE,
        },
    }


def start(client: Client, *steps: dict[str, Any]) -> str:
    sagemaker = client("sagemaker")
    name = f"automl-{steps[0]['Name']}"
    definition = json.dumps({"Version": "2020-12-01", "Steps": list(steps)})
    sagemaker.create_pipeline(PipelineName=name, RoleArn=ROLE, PipelineDefinition=definition)
    return str(sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"])


def read_step(client: Client, arn: str, name: str) -> dict[str, Any]:
    steps = client("sagemaker").list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return next((step for step in steps if step["StepName"] == name), {})


def find_job(client: Client, arn: str, name: str) -> str:
    return str(read_step(client, arn, name).get("Metadata", {}).get("AutoMLJob", {}).get("Arn", "")).rpartition("/")[2]


def test_the_job_of_a_stand_in_is_described_listed_and_feeds_later_steps(client: Client, wait: Any) -> None:
    container = "Steps.Search.BestCandidate.InferenceContainers[0]"
    model = {
        "Name": "Model",
        "Type": "Model",
        "Arguments": {
            "ExecutionRoleArn": ROLE,
            "PrimaryContainer": {
                "Image": {"Get": f"{container}.Image"},
                "ModelDataUrl": {"Get": f"{container}.ModelDataUrl"},
                "Environment": {"A": {"Get": f"{container}.Environment['A']"}},
            },
        },
    }
    arn = start(client, automl_step("Search"), model)
    assert wait(arn)["PipelineExecutionStatus"] == "Succeeded", read_step(client, arn, "Search")
    sagemaker = client("sagemaker")
    made = read_step(client, arn, "Model")["Metadata"]["Model"]["Arn"].rpartition("/")[2]
    found = sagemaker.describe_model(ModelName=made)["PrimaryContainer"]
    assert (found["ModelDataUrl"], found["Environment"]) == ("s3://models/price.tar.gz", {"A": "b"})

    name = find_job(client, arn, "Search")
    job = sagemaker.describe_auto_ml_job(AutoMLJobName=name)
    assert (job["AutoMLJobStatus"], job["AutoMLJobSecondaryStatus"]) == ("Completed", "Completed")
    assert job["EndTime"] >= job["CreationTime"]
    assert job["BestCandidate"]["InferenceContainers"][0]["ModelDataUrl"] == "s3://models/price.tar.gz"
    second = sagemaker.describe_auto_ml_job_v2(AutoMLJobName=name)
    assert second["AutoMLJobInputDataConfig"][0]["ChannelType"] == "training"
    assert second["AutoMLProblemTypeConfig"]["TabularJobConfig"]["TargetAttributeName"] == "price"
    (summary,) = sagemaker.list_auto_ml_jobs(StatusEquals="Completed")["AutoMLJobSummaries"]
    assert summary["AutoMLJobArn"] == job["AutoMLJobArn"]
    (candidate,) = sagemaker.list_candidates_for_auto_ml_job(AutoMLJobName=name)["Candidates"]
    assert candidate == job["BestCandidate"]


def test_a_job_stopped_by_its_name_ends_its_step(client: Client, wait: Any) -> None:
    sagemaker = client("sagemaker")
    arn = start(client, automl_step("Slow"))
    deadline = time.monotonic() + 30
    while not (name := find_job(client, arn, "Slow")):
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)
    sagemaker.stop_auto_ml_job(AutoMLJobName=name)
    wait(arn)
    assert read_step(client, arn, "Slow")["StepStatus"] == "Stopped"
    assert sagemaker.describe_auto_ml_job(AutoMLJobName=name)["AutoMLJobStatus"] == "Stopped"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Broken", "no model fits"),
        ("Odd", "The outputs of the stand-in are not those of an AutoML job"),
    ],
)
def test_a_stand_in_that_fails_fails_its_job(client: Client, wait: Any, name: str, reason: str) -> None:
    arn = start(client, automl_step(name))
    assert wait(arn)["PipelineExecutionStatus"] == "Failed"
    assert reason in read_step(client, arn, name)["FailureReason"]
    job = client("sagemaker").describe_auto_ml_job(AutoMLJobName=find_job(client, arn, name))
    assert job["AutoMLJobStatus"] == "Failed"
    assert reason in job["FailureReason"]


def test_automl_without_a_stand_in_is_refused_with_what_to_do(client: Client, wait: Any) -> None:
    arn = start(client, automl_step("Alone"))
    wait(arn)
    assert "Step type 'AutoML' has no local meaning" in read_step(client, arn, "Alone")["FailureReason"]
    arguments = {key: value for key, value in automl_step("x")["Arguments"].items() if value is not None}
    with pytest.raises(ClientError, match=r"does not search for models.*type = .AutoML.") as refused:
        client("sagemaker").create_auto_ml_job(AutoMLJobName="mine", **arguments)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError, match="Could not find requested job with name: mine"):
        client("sagemaker").describe_auto_ml_job_v2(AutoMLJobName="mine")
