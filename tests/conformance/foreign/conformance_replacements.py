"""Replaces in the amazon provider's system tests what needs Docker, the built-in k-NN's metrics, or AutoML.

It runs in Airflow's process. ``REPLACED`` of ``tests/conformance/suites.py`` lists it for people.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
from pathlib import Path
from typing import Any

import boto3
from airflow.providers.amazon.aws.operators import sagemaker as operators
from airflow.providers.amazon.aws.sensors import sagemaker as sensors
from airflow.sdk import DAG, BaseOperator

_POLL_SECONDS = 1


class NotDone(BaseOperator):
    """In place of a task that AutoML performs: it does nothing."""

    def __init__(self, *, task_id: str, **_words: Any) -> None:
        super().__init__(task_id=task_id)

    def execute(self, context: Any) -> None:
        """Do nothing."""


class TuningOperator(operators.SageMakerTuningOperator):
    """The provider's, which also says how the metric is found; AWS knows that of its own algorithm."""

    def execute(self, context: Any) -> Any:
        """Tune."""
        algorithm = self.config["TrainingJobDefinition"]["AlgorithmSpecification"]
        algorithm["MetricDefinitions"] = [{"Name": "test:accuracy", "Regex": "test:accuracy=([0-9.]+)"}]
        return super().execute(context)


def load_dag(name: str) -> DAG:
    """The DAG of a system test, with its replacements and shorter waits.

    :param name: of its module.
    """
    operators.SageMakerAutoMLOperator = NotDone
    sensors.SageMakerAutoMLSensor = NotDone
    operators.SageMakerTuningOperator = TuningOperator
    module: Any = importlib.import_module(f"system.amazon.aws.{name}")
    dag: DAG = module.dag
    if name == "example_sagemaker":
        module._install_aws_cli_if_needed = lambda: None
        module._build_and_upload_docker_image = _keep_script
        _replace(dag, "stop_automl_job", lambda _original, *_arguments: None)
        _replace(dag, "delete_experiments", _delete_made)
    for task in dag.tasks:
        if hasattr(task, "poke_interval"):
            task.poke_interval = _POLL_SECONDS
        if hasattr(task, "check_interval"):
            task.check_interval = _POLL_SECONDS
    return dag


def _keep_script(script: str, repository: str) -> None:
    """Put the image's script where the table of images has it, and an empty image into the repository."""
    Path(os.environ["CONFORMANCE_SCRIPT"]).write_text(script, encoding="utf-8")
    name = repository.partition("/")[2]
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": {"digest": f"sha256:{'0' * 64}"}, "layers": []}
    boto3.client("ecr").put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag="latest")


def _delete_made(original: Any, names: list[str]) -> None:
    """Delete the experiments but for the one that an AutoML job would have made."""
    original([name for name in names if not name.endswith("-aws-auto-ml-job")])


def _replace(dag: DAG, task_id: str, replacement: Any) -> None:
    task: Any = dag.get_task(task_id)
    original = task.python_callable

    @functools.wraps(original)  # Airflow reads from the signature what it passes
    def call(*arguments: Any, **words: Any) -> None:
        replacement(original, *arguments, *words.values())

    task.python_callable = call
