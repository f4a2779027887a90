"""Stop an execution that goes on for too long, wait until its jobs have ended, and say so.

For a person to trigger: the execution's ARN has no default. One that has ended already is no error.
"""

from airflow.sdk import DAG, Param

from airflow_sm_pipelines import SageMakerPipelineExecutionSensor, SageMakerStopExecutionOperator

with DAG(
    "stop_execution",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={"execution": Param(type="string", pattern="^arn:", description="The execution's ARN")},
):
    stop = SageMakerStopExecutionOperator(task_id="stop", execution_arn="{{ params.execution }}")
    ended = SageMakerPipelineExecutionSensor(
        task_id="ended",
        execution_arn=stop.output,
        on_stopped="succeed",
        on_completed_with_failures="succeed",
        soft_fail=True,  # an execution that has failed by itself skips this task
        deferrable=True,
        poke_interval=5,
    )
