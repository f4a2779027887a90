"""The built-in XGBoost algorithm in its real environment, and its hyperparameters by value."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.jobs import ImageCatalog, JobContext, JobOutcome
from airflow_sm_pipelines.engine.jobs.programs.xgboost_hyperparameters import CustomerError, parse_hyperparameters

if TYPE_CHECKING:
    from tests.engine.jobs.conftest import Storage

Run = Callable[..., JobOutcome]
REGISTRY = "683313688378.dkr.ecr.us-east-1.amazonaws.com"

EVALUATE = """
import json, pathlib, pickle, tarfile
import numpy, pandas, xgboost
with tarfile.open('/opt/ml/processing/model/model.tar.gz') as tar:
    tar.extractall(path='.')
try:
    model = pickle.load(open('xgboost-model', 'rb'))
except Exception:
    model = xgboost.Booster()
    model.load_model('xgboost-model')
frame = pandas.read_csv('/opt/ml/processing/test/test.csv', header=None)
error = frame.iloc[:, 0].to_numpy() - model.predict(xgboost.DMatrix(frame.iloc[:, 1:].to_numpy()))
report = {'rmse': float(numpy.sqrt((error**2).mean()))}
pathlib.Path('/opt/ml/processing/evaluation/evaluation.json').write_text(json.dumps(report))
"""


@pytest.fixture
def real_context(context: JobContext) -> JobContext:
    return replace(context, images=ImageCatalog(), cache_dir=Path(os.environ["SM_PIPELINES_CACHE_DIR"]))


def csv_rows(count: int, *, first: int = 0) -> str:
    return "".join(f"{2 * x + y},{x},{y}\n" for n in range(first, first + count) for x, y in [(n % 17, n % 5)])


def training_request(tag: str, *, content_type: str = "text/csv", **parameters: str) -> dict[str, Any]:
    def channel(name: str) -> dict[str, Any]:
        source = {
            "S3DataType": "S3Prefix",
            "S3Uri": f"s3://bucket/{name}/",
            "S3DataDistributionType": "FullyReplicated",
        }
        return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "ContentType": content_type}

    return {
        "AlgorithmSpecification": {"TrainingImage": f"{REGISTRY}/sagemaker-xgboost:{tag}", "TrainingInputMode": "File"},
        "HyperParameters": {"num_round": "20", "max_depth": "3"} | parameters,
        "InputDataConfig": [channel("train"), channel("validation")],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
    }


@pytest.mark.slow
@pytest.mark.parametrize(("tag", "is_pickle"), [("1.2-2", True), ("1.3-1", False)])
def test_a_model_has_the_format_of_its_image_and_scores_in_the_next_step(
    run: Run, storage: Storage, real_context: JobContext, tag: str, is_pickle: bool
) -> None:
    storage.put("train/a.csv", csv_rows(150))
    storage.put("train/b.csv", csv_rows(150, first=150))
    storage.put("validation/v.csv", csv_rows(60))
    outcome = run("Training", training_request(tag, objective="reg:squarederror"), context=real_context)
    assert outcome.status == "Completed", outcome
    metrics = {metric["MetricName"]: metric["Value"] for metric in outcome.details["FinalMetricDataList"]}
    assert set(metrics) == {"train:rmse", "validation:rmse"}
    assert metrics["validation:rmse"] < 1.0
    assert outcome.log_tail[-1].startswith("[19]#011train-rmse:")

    archive = storage.get("models/training-job/output/model.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert tar.getnames() == ["xgboost-model"]
        member = tar.extractfile("xgboost-model")
        assert member is not None
        assert (member.read(1) == b"\x80") is is_pickle

    def read(name: str, uri: str) -> dict[str, Any]:
        return {"InputName": name, "S3Input": {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{name}"}}

    storage.put("code/evaluate.py", EVALUATE)
    request = {
        "AppSpecification": {
            "ImageUri": f"{REGISTRY}/sagemaker-xgboost:{tag}",
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/code/evaluate.py"],
        },
        "ProcessingInputs": [
            read("code", "s3://bucket/code/evaluate.py"),
            read("model", "s3://bucket/models/training-job/output/model.tar.gz"),
            read("test", storage.put("test/test.csv", csv_rows(60))),
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "evaluation",
                    "S3Output": {"S3Uri": "s3://bucket/eval", "LocalPath": "/opt/ml/processing/evaluation"},
                }
            ]
        },
        "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large"}},
    }
    evaluated = run("Processing", request, context=real_context)
    assert evaluated.status == "Completed", evaluated
    assert json.loads(storage.get("eval/evaluation.json"))["rmse"] == pytest.approx(
        metrics["validation:rmse"], abs=1e-3
    )


@pytest.mark.slow
def test_several_instances_are_one_process_on_all_their_data(
    run: Run, storage: Storage, real_context: JobContext
) -> None:
    storage.put("train/a.csv", csv_rows(150))
    storage.put("train/b.csv", csv_rows(150, first=150))
    storage.put("validation/v.csv", csv_rows(60))
    request = training_request("1.7-1", objective="reg:squarederror", num_round="2")
    request["ResourceConfig"]["InstanceCount"] = 2
    for channel in request["InputDataConfig"]:
        channel["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    outcome = run("Training", request, context=real_context)
    assert outcome.status == "Completed", outcome
    log = "\n".join(outcome.log_tail)
    assert "one process trains on the data of all 2 instances" in log
    assert "Train matrix has 300 rows" in log


@pytest.mark.slow
def test_libsvm_and_parquet_channels_are_read(run: Run, storage: Storage, real_context: JobContext) -> None:
    libsvm = "".join(f"{2 * (n % 17)} 1:{n % 17} 2:{n % 5}\n" for n in range(120))
    storage.put("train/a", libsvm)
    storage.put("validation/v", libsvm)
    outcome = run("Training", training_request("1.7-1", content_type="libsvm"), context=real_context)
    assert outcome.status == "Completed", outcome
    make = "import pandas; pandas.read_csv('/opt/ml/processing/in/a.csv', header=None).set_axis(list('yab'), axis=1)"
    make += ".to_parquet('/opt/ml/processing/out/a.parquet')"
    uri = storage.put("csv/a.csv", csv_rows(120))
    made = run(
        "Processing",
        {
            "AppSpecification": {
                "ImageUri": f"{REGISTRY}/sagemaker-xgboost:1.7-1",
                "ContainerEntrypoint": ["python3", "-c", make],
            },
            "ProcessingInputs": [{"InputName": "in", "S3Input": {"S3Uri": uri, "LocalPath": "/opt/ml/processing/in"}}],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": name,
                        "S3Output": {"S3Uri": f"s3://bucket/{name}", "LocalPath": "/opt/ml/processing/out"},
                    }
                    for name in ("train", "validation")
                ]
            },
            "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large"}},
        },
        context=real_context,
    )
    assert made.status == "Completed", made
    for key in ("train/a", "validation/v"):
        storage.client.delete_object(Bucket="bucket", Key=key)
    outcome = run("Training", training_request("1.7-1", content_type="application/x-parquet"), context=real_context)
    assert outcome.status == "Completed", outcome


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "parameters", "reason"),
    [
        ("label,a\n1,2\n", {}, "takes CSV without a header line"),
        ("1,2\n2,3\n", {"num_round": "many"}, "Hyperparameter num_round: could not parse value (caused by ValueError)"),
        ("0,2\n0,1\n2,3\n", {"objective": "binary:logistic"}, "label must be in [0,1]"),
    ],
    ids=["header", "hyperparameter", "labels"],
)
def test_a_fault_of_the_user_is_a_client_error(
    run: Run, storage: Storage, real_context: JobContext, data: str, parameters: dict[str, str], reason: str
) -> None:
    storage.put("train/a.csv", data)
    storage.put("validation/a.csv", data)
    outcome = run("Training", training_request("1.7-1", **parameters), context=real_context)
    assert outcome.status == "Failed"
    assert outcome.failure_reason is not None
    assert outcome.failure_reason.startswith("ClientError: ")
    assert reason in outcome.failure_reason
    assert outcome.failure_reason.endswith(", exit code: 1")


@pytest.mark.slow
def test_pip_in_a_step_reaches_that_step_only(run: Run, storage: Storage, real_context: JobContext) -> None:
    script = (
        "import pathlib, subprocess, sys\n"
        "pathlib.Path('src').mkdir()\n"
        "pathlib.Path('src/setup.py').write_text(\n"
        "    \"from setuptools import setup; setup(name='one-job-only', version='1', py_modules=['one_job_only'])\")\n"
        "pathlib.Path('src/one_job_only.py').write_text('value = 7')\n"
        "subprocess.run(['pip', 'install', '-q', '--no-build-isolation', '--no-index', './src'], check=True)\n"
        "subprocess.run([sys.executable, '-c', 'import one_job_only, numpy; print(one_job_only.value)'], check=True)\n"
    )
    uri = storage.put("code/step.py", script)
    request = {
        "AppSpecification": {
            "ImageUri": f"{REGISTRY}/sagemaker-xgboost:1.7-1",
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/code/step.py"],
        },
        "ProcessingInputs": [{"InputName": "c", "S3Input": {"S3Uri": uri, "LocalPath": "/opt/ml/processing/code"}}],
        "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large"}},
    }
    outcome = run("Processing", request, context=real_context)
    assert outcome.status == "Completed", outcome
    assert outcome.log_tail[-1] == "7"
    storage.put("code/step.py", "import importlib.util; print(importlib.util.find_spec('one_job_only'))")
    assert run("Processing", request, context=real_context).log_tail[-1] == "None"


def test_hyperparameters_are_converted_and_aliases_resolved() -> None:
    parsed = parse_hyperparameters(
        {"num_round": "50", "learning_rate": "0.3", "eval_metric": "rmse, mae", "objective": "reg:squarederror"}
    )
    assert parsed == {"num_round": 50, "eta": 0.3, "eval_metric": ["rmse", "mae"], "objective": "reg:squarederror"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Missing required hyperparameter: num_round"),
        ({"num_round": "0"}, "Hyperparameter num_round: 0 is not in [1, inf)"),
        ({"num_round": "1", "eta": "1.5"}, "Hyperparameter eta: 1.5 is not in [0, 1]"),
        ({"num_round": "1", "subsample": "0"}, "Hyperparameter subsample: 0 is not in (0, 1]"),
        ({"num_round": "1", "depth": "3"}, "Extraneous hyperparameter found: depth"),
        ({"num_round": "1", "booster": "oak"}, "Hyperparameter booster: oak is not in ['gbtree', 'gblinear', 'dart']"),
        ({"num_round": "1", "objective": "multi:softmax"}, "Require input for parameter 'num_class'"),
        ({"num_round": "1", "eval_metric": "speed"}, "Hyperparameter eval_metric: value speed not in range"),
        ({"num_round": "1", "eval_metric": "error@x"}, "Threshold value 't' in 'error@t' expects float input."),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_wrong_hyperparameter_is_refused_in_the_containers_words(given: dict[str, str], message: str) -> None:
    with pytest.raises(CustomerError) as caught:
        parse_hyperparameters(given)
    assert str(caught.value).startswith(message)
