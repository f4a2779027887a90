"""Wait for an execution by EventBridge's events instead of looking at it again and again.

The DAG only names a connection, ``aws_events``, whose extra names the queue of events; see docs/waiting.md.
"""

from airflow.sdk import DAG, Param

from airflow_sm_pipelines import SageMakerPipelineExecutionSensor

with DAG(
    "wait_by_events",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={"execution_arn": Param(type="string", minLength=20, description="The execution to wait for")},
):
    SageMakerPipelineExecutionSensor(
        task_id="ended",
        execution_arn="{{ params.execution_arn }}",
        aws_conn_id="aws_events",
        deferrable=True,
        poke_interval=60,
    )
