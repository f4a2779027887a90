"""The names that the Python of the pages takes for granted, as the text around it introduces them."""

# ruff: noqa: F401, F403 - each is there for a page

import hashlib
import json
import sys
import time
from pathlib import Path

import boto3
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, Asset, AssetWatcher, task, task_group

from airflow_sm_pipelines import *
from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator

ROLE_ARN = ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
BUCKET = "bucket"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/model:1"


@task
def tell(outcome: str) -> None:
    """What reads a result."""


report = tell

UPSTREAM = {
    "deploy": lambda: SageMakerDeployPipelineOperator(
        task_id="deploy_before", pipeline="pipelines/gate/definition.json", role_arn=ROLE_ARN
    ),
    "train": lambda: SageMakerRunPipelineOperator(task_id="train_before", pipeline_name="train"),
}
"""Tasks of earlier blocks."""
