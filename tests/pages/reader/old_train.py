"""A DAG whose job is a task, as teams have it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "lib"))

from airflow.providers.amazon.aws.operators.sagemaker import SageMakerProcessingOperator
from airflow.sdk import DAG
from configs import TRAIN

with DAG("train", schedule=None):
    SageMakerProcessingOperator(task_id="train", config=TRAIN)
