from airflow.providers.amazon.aws.operators.sagemaker import SageMakerStartPipelineOperator
from airflow.sdk import DAG

with DAG("start_only", schedule=None):
    start = SageMakerStartPipelineOperator(
        task_id="start", pipeline_name="churn", pipeline_params={"Epochs": "4"}, check_interval=60
    )
