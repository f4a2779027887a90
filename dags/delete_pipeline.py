"""Delete a pipeline that is no longer wanted, with all its versions and executions.

SageMaker refuses while an execution of it runs. For a person to trigger: the name has no default. One that is gone
already is no error.
"""

from airflow.sdk import DAG, Param

from airflow_sm_pipelines import SageMakerDeletePipelineOperator

with DAG(
    "delete_pipeline",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={"pipeline": Param(type="string", minLength=1, description="The pipeline's name")},
):
    SageMakerDeletePipelineOperator(task_id="delete", pipeline_name="{{ params.pipeline }}")
