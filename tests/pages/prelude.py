"""The names that the Python of the pages takes for granted, as the text around it introduces them."""

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, task

from airflow_sm_pipelines import *  # noqa: F403 - what a page names is public
from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator

ROLE_ARN = ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
BUCKET = "bucket"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/model:1"
__all__ = ["BUCKET", "DAG", "IMAGE", "ROLE_ARN", "HITLOperator"]


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
