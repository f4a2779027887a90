"""Start a pipeline without waiting, and let other tasks wait: for its end, and for one of its steps.

The sensors need only the execution's ARN, so whatever started it may be outside of Airflow.
On a laptop: ``sm-pipelines local exec -- airflow dags test wait_for_pipeline``.
"""

from airflow.sdk import DAG

from airflow_sm_pipelines import (
    SageMakerDeployPipelineOperator,
    SageMakerPipelineExecutionSensor,
    SageMakerPipelineStepSensor,
    SageMakerRunPipelineOperator,
    pipeline_params,
)

with DAG(
    "wait_for_pipeline",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params=pipeline_params("pipelines/gate/definition.json", section="Pipeline"),
):
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline="pipelines/gate/definition.json",
        pipeline_name="gate",
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
    )
    start = SageMakerRunPipelineOperator(
        task_id="start",
        pipeline_name=deploy.output["pipeline_name"],
        parameters={"Score": "{{ params.Score }}", "Threshold": "{{ params.Threshold }}"},
        wait_for_completion=False,
    )
    checked = SageMakerPipelineStepSensor(
        task_id="checked",
        execution_arn=start.output["pipeline_execution_arn"],
        step_name="Check",
        mode="reschedule",
        poke_interval=5,
    )
    rejected = SageMakerPipelineStepSensor(
        task_id="rejected",
        execution_arn=start.output["pipeline_execution_arn"],
        step_name="Reject",
        on_not_run="skip",
        deferrable=True,
        poke_interval=5,
    )
    ended = SageMakerPipelineExecutionSensor(
        task_id="ended",
        execution_arn=start.output["pipeline_execution_arn"],
        deferrable=True,
        poke_interval=5,
        timeout=3600,
        soft_fail=True,
    )
