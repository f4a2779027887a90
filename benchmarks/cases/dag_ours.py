"""A DAG that deploys and runs a pipeline with this package's operators."""

from airflow.sdk import DAG

from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator

with DAG("bench_ours", schedule=None):
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy", pipeline="train.py:get_pipeline", role_arn="arn:aws:iam::123456789012:role/Execution"
    )
    SageMakerRunPipelineOperator(task_id="train", pipeline_name=deploy.output["pipeline_name"], deferrable=True)
