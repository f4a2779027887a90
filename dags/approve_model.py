"""A pipeline stops at a Callback step until a person has approved in the Airflow UI (*Required Actions*).

On a laptop, under ``sm-pipelines local serve`` and ``airflow standalone``.
"""

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, task

from airflow_sm_pipelines import (
    SageMakerAnswerCallbackOperator,
    SageMakerDeployPipelineOperator,
    SageMakerPipelineCallbackSensor,
    SageMakerPipelineExecutionSensor,
    SageMakerRunPipelineOperator,
)

with DAG("approve_model", schedule=None, doc_md=__doc__, tags=["sagemaker"]):

    @task
    def make_queue() -> str:
        """Make the queue, or find it: the same name gives the same queue."""
        from airflow.providers.amazon.aws.hooks.sqs import SqsHook

        return SqsHook().create_queue("sagemaker-approvals")["QueueUrl"]

    queue = make_queue()
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline_name="approve-model",
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
        pipeline={
            "Version": "2020-12-01",
            "Parameters": [{"Name": "Rmse", "Type": "Float", "DefaultValue": 52.5}],
            "Steps": [
                {
                    "Name": "Approval",
                    "Type": "Callback",
                    "SqsQueueUrl": queue,
                    "Arguments": {"rmse": {"Get": "Parameters.Rmse"}},
                    "OutputParameters": [{"OutputName": "approver", "OutputType": "String"}],
                }
            ],
        },
    )
    start = SageMakerRunPipelineOperator(
        task_id="start", pipeline_name=deploy.output["pipeline_name"], wait_for_completion=False
    )
    asked = SageMakerPipelineCallbackSensor(
        task_id="asked",
        queue_url=queue,
        execution_arn=start.output["pipeline_execution_arn"],
        poke_interval=2,
        deferrable=True,
    )
    approve = HITLOperator(
        task_id="approve",
        subject="Register the model with an RMSE of {{ ti.xcom_pull('asked')['arguments']['rmse'] }}?",
        options=["Approve", "Reject"],
    )
    answer = SageMakerAnswerCallbackOperator(
        task_id="answer",
        token=asked.output["token"],
        success="{{ ti.xcom_pull('approve')['chosen_options'] == ['Approve'] }}",
        outputs={"approver": "{{ ti.xcom_pull('approve')['responded_by_user']['name'] }}"},
        failure_reason="Rejected in Airflow",
    )
    ended = SageMakerPipelineExecutionSensor(
        task_id="ended", execution_arn=start.output["pipeline_execution_arn"], poke_interval=2, deferrable=True
    )
    asked >> approve >> answer >> ended
