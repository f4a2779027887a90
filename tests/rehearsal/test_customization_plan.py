"""SageMaker's serverless fine-tuning and evaluation in a rehearsal: the hub, the records, the scores, the package."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.jobs.model_customization import SEED_VARIABLE
from airflow_sm_pipelines.engine.rules.model_hub import MARK
from airflow_sm_pipelines.rehearsal import Rehearsal
from airflow_sm_pipelines.server import serve
from tests.engine.fake_world import wait_until
from tests.rehearsal.steps import ROLE

if TYPE_CHECKING:
    from pathlib import Path

HUB = "arn:aws:sagemaker:us-east-1:aws:hub-content/SageMakerPublicHub/Model/llama/1.0.0"
GROUP = "arn:aws:sagemaker:us-east-1:123456789012:model-package-group/tuned"

PACKAGE = f"{GROUP.replace('-group', '')}/1"


def arguments(data: str, **config: str) -> dict[str, Any]:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": data}}
    return {
        "RoleArn": ROLE,
        "ServerlessJobConfig": {"BaseModelArn": HUB, "JobType": "FineTuning", "AcceptEula": True, **config},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": source}],
        "OutputDataConfig": {"S3OutputPath": "s3://results/models", "CompressionType": "NONE"},
    }


def tune(data: str = "s3://data/sft.jsonl", technique: str = "SFT") -> dict[str, Any]:
    made = arguments(data, CustomizationTechnique=technique, Peft="LORA")
    return {**made, "ModelPackageConfig": {"ModelPackageGroupArn": GROUP}}


def definition() -> str:
    """Tune; if the loss is small, evaluate what was tuned."""
    evaluate = arguments("s3://data/questions.jsonl", JobType="Evaluation", EvaluationType="BenchmarkEvaluation")
    package = {"Get": "Steps.Tune.OutputModelPackageArn"}
    evaluate["ModelPackageConfig"] = {"ModelPackageGroupArn": GROUP, "SourceModelPackageArn": package}
    evaluate["HyperParameters"] = {"name": "exam", "task": "mmlu", "evaluation_metric": "accuracy"}
    loss = {"Get": "Steps.Tune.FinalMetricDataList['train_loss'].Value"}
    check = {
        "Conditions": [{"Type": "LessThan", "LeftValue": loss, "RightValue": 0.5}],
        "IfSteps": [{"Name": "Evaluate", "Type": "Training", "Arguments": evaluate}],
        "ElseSteps": [{"Name": "Bad", "Type": "Fail", "Arguments": {"ErrorMessage": "the loss"}}],
    }
    steps = [
        {"Name": "Tune", "Type": "Training", "Arguments": tune()},
        {"Name": "Good", "Type": "Condition", "Arguments": check},
    ]
    return json.dumps({"Version": "2020-12-01", "Steps": steps})


def test_both_branches_are_rehearsed_and_the_model_is_registered(tmp_path: Path) -> None:
    with Rehearsal(tmp_path / "state") as rehearsal:
        report = rehearsal.run(definition())
        assert report.is_success, report
        stood_in = {step.name: step.stood_in for step in report.steps}
        assert stood_in["Tune"] == ("SFT of llama/1.0.0", "data s3://data/sft.jsonl")
        package = rehearsal.server.engine.call("DescribeModelPackage", {"ModelPackageName": PACKAGE})
        assert package["ModelPackageDescription"] == MARK
        (container,) = package["InferenceSpecification"]["Containers"]
        assert container["BaseModel"] == {"HubContentName": "llama", "HubContentVersion": "1.0.0"}
        keys = [item["Key"] for item in rehearsal.s3.list_objects_v2(Bucket="results")["Contents"]]
        (results,) = [key for key in keys if key.endswith("/output/output/exam/eval_results/results_stand-in.json")]
        written = json.loads(rehearsal.s3.get_object(Bucket="results", Key=results)["Body"].read())
        assert written["stand_in"] == MARK
        assert 0 <= written["results"]["all"]["accuracy"] <= 1
        other = rehearsal.run(definition(), takes_else=lambda step: step == "Good")
        assert {step.name: step.status for step in other.steps}["Bad"] == "Failed"


def test_a_wrong_record_fails_the_job_with_file_and_line(tmp_path: Path) -> None:
    records = [{"prompt": "a", "completion": "b"}, {"prompt": "a", "answer": "b"}]
    path = tmp_path / "sft.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    with Rehearsal(tmp_path / "state") as rehearsal:
        rehearsal.upload("s3://data/sft.jsonl", path)
        report = rehearsal.run(definition())
    reason = report.steps[0].failure_reason or ""
    assert reason.startswith("ClientError: s3://data/sft.jsonl, line 2: a record for SFT has 'prompt' and 'completion'")


def run_jobs(state: Path, *names: str) -> list[dict[str, Any]]:
    """Run fine-tuning jobs of a client's own, on a dataset of a hub, and describe them."""
    with serve(state) as server:
        sagemaker, s3 = server.make_client("sagemaker"), server.make_client("s3")
        for bucket in ("data", "results"):
            server.make_bucket(bucket)
        s3.put_object(Bucket="data", Key="rl/a.jsonl", Body=b'{"prompt": "a"}\n{"prompt": "b"}\n')
        sagemaker.create_hub(HubName="mine", HubDescription="d")
        content = {"HubName": "mine", "HubContentType": "DataSet", "HubContentName": "records"}
        dataset = sagemaker.import_hub_content(
            **content,
            HubContentVersion="0.0.1",
            DocumentSchemaVersion="2.0.0",
            HubContentDocument=json.dumps({"DatasetS3Bucket": "data", "DatasetS3Prefix": "rl/a.jsonl"}),
        )["HubContentArn"]
        (listed,) = sagemaker.list_hub_contents(HubName="mine", HubContentType="DataSet")["HubContentSummaries"]
        assert (listed["HubContentArn"], listed["HubContentStatus"]) == (dataset, "Available")
        request = tune(technique="RLVR")
        request["InputDataConfig"][0]["DataSource"] = {"DatasetSource": {"DatasetArn": dataset}}
        for name in names:
            sagemaker.create_training_job(TrainingJobName=name, **request)

        def describe(name: str) -> Any:
            return sagemaker.describe_training_job(TrainingJobName=name)

        wait_until(lambda: all(describe(name)["TrainingJobStatus"] != "InProgress" for name in names))
        return [describe(name) for name in names]


def test_with_a_seed_an_endpoint_performs_a_clients_jobs_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SEED_VARIABLE, "1")
    first, second = run_jobs(tmp_path / "one", "a", "b")
    assert [job["TrainingJobStatus"] for job in (first, second)] == ["Completed", "Completed"]
    assert PACKAGE in {first["OutputModelPackageArn"], second["OutputModelPackageArn"]}

    def read_scores(job: dict[str, Any]) -> dict[str, float]:
        return {entry["MetricName"]: entry["Value"] for entry in job["FinalMetricDataList"]}

    assert read_scores(first) == read_scores(second)
    assert read_scores(first).keys() == {"train_loss", "reward"}
    monkeypatch.setenv(SEED_VARIABLE, "2")
    (other,) = run_jobs(tmp_path / "two", "a")
    assert read_scores(other) != read_scores(first)


def test_without_a_seed_an_endpoint_refuses_them_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SEED_VARIABLE, raising=False)
    (job,) = run_jobs(tmp_path / "state", "a")
    assert job["TrainingJobStatus"] == "Failed"
    assert "ServerlessJobConfig does not work locally" in job["FailureReason"]
    assert SEED_VARIABLE in job["FailureReason"]


def test_the_public_hub_has_a_marked_stand_in_with_recipes_for_each_technique(tmp_path: Path) -> None:
    with serve(tmp_path / "state") as server:
        sagemaker, s3 = server.make_client("sagemaker"), server.make_client("s3")
        found = sagemaker.describe_hub_content(
            HubName="SageMakerPublicHub", HubContentType="Model", HubContentName="any-model"
        )
        document = json.loads(found["HubContentDocument"])
        assert (found["HubContentDescription"], document["StandIn"]) == (MARK, MARK)
        recipes = document["RecipeCollection"]
        assert {"SFT", "DPO", "RLVR", "RLAIF"} <= {recipe.get("CustomizationTechnique") for recipe in recipes}
        assert all(recipe["SequenceLength"] == "4K" for recipe in recipes if recipe["Type"] == "FineTuning")
        for address in {recipe["SmtjOverrideParamsS3Uri"] for recipe in recipes}:
            bucket, key = address.removeprefix("s3://").split("/", 1)
            options = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            assert all({"type", "default"} <= option.keys() for option in options.values())
        with pytest.raises(sagemaker.exceptions.ResourceNotFound):
            sagemaker.describe_hub_content(HubName="mine", HubContentType="Model", HubContentName="a")
