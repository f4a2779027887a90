"""Notebook jobs as SDK v2's NotebookJobStep asks for them, in a real kernel."""

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
from tests.engine.jobs.test_training import training_request

if TYPE_CHECKING:
    from tests.engine.jobs.conftest import Storage

Run = Callable[..., JobOutcome]
IMAGE = "542918446943.dkr.ecr.us-west-2.amazonaws.com/sagemaker-distribution-prod:0-cpu"
CHANNEL = "sagemaker_headless_execution_pipelinestep"


def notebook(*sources: str) -> str:
    cells = [
        {
            "cell_type": "code",
            "id": f"cell{number}",
            "source": source,
            "metadata": {"tags": ["parameters"]} if number == 0 else {},
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(sources)
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def notebook_request() -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/input", "S3DataDistributionType": "FullyReplicated"}
    return training_request(
        AlgorithmSpecification={
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["amazon_sagemaker_scheduler"],
        },
        InputDataConfig=[{"ChannelName": CHANNEL, "DataSource": {"S3DataSource": source}}],
        Environment={
            "SM_EXECUTION_INPUT_PATH": f"/opt/ml/input/data/{CHANNEL}",
            "SM_KERNEL_NAME": "python3",
            "SM_INPUT_NOTEBOOK_NAME": "in.ipynb",
            "SM_OUTPUT_NOTEBOOK_NAME": "out.ipynb",
        },
        HyperParameters={"default_s3_bucket": "s3://bucket/", "word": "given"},
    )


@pytest.mark.slow
def test_a_notebook_runs_with_its_parameters_and_a_failing_cell_is_the_reason(
    run: Run, storage: Storage, context: JobContext
) -> None:
    real = replace(context, images=ImageCatalog(), cache_dir=Path(os.environ["SM_PIPELINES_CACHE_DIR"]))
    storage.put("input/helper.txt", "beside it")
    storage.put("input/in.ipynb", notebook("word = 'default'", "print(word, open('helper.txt').read())"))
    outcome = run("Training", notebook_request(), context=real)
    assert outcome.status == "Completed", outcome
    with tarfile.open(fileobj=io.BytesIO(storage.get("models/training-job/output/output.tar.gz"))) as tar:
        member = tar.extractfile("out.ipynb")
        assert member is not None
        cells = json.load(member)["cells"]
    assert [cell["metadata"].get("tags") for cell in cells] == [["parameters"], ["injected-parameters"], None]
    assert cells[-1]["outputs"][0]["text"] == ["given beside it\n"]

    storage.put("input/in.ipynb", notebook("word = 'default'", "raise ValueError(word)"))
    failed = run("Training", notebook_request(), context=real)
    assert failed.status == "Failed"
    assert failed.failure_reason == "AlgorithmError: the notebook failed: ValueError: given, exit code: 1"
