from airflow.sdk import DAG

from airflow_sm_pipelines import SageMakerRunPipelineOperator

with DAG("nightly", schedule=None):
    SageMakerRunPipelineOperator(task_id="run", pipeline_name="price", waiter_delay=1)
