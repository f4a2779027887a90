"""The nearest DAG with the amazon provider's operators; it cannot deploy, so it only starts and waits."""

from airflow.providers.amazon.aws.operators.sagemaker import SageMakerStartPipelineOperator
from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerPipelineSensor
from airflow.sdk import DAG

with DAG("bench_amazon", schedule=None):
    start = SageMakerStartPipelineOperator(task_id="start", pipeline_name="train")
    start >> SageMakerPipelineSensor(task_id="wait", pipeline_exec_arn=start.output)
