"""Run a pipeline with a task for each step, in which a person answers a Callback step (*Required Actions* in the UI).

Needs a running Airflow: ``airflow dags test`` shows nobody a question.
"""

from airflow.sdk import DAG, Param, task

from airflow_sm_pipelines import SageMakerPipelineTaskGroup

with DAG(
    "human_step",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={"Rmse": Param(52.5, type="number", description="The RMSE about which the person is asked")},
):

    @task
    def make_queue() -> str:
        """Make the queue that the Callback step needs, or find it. Nobody has to read it."""
        from airflow.providers.amazon.aws.hooks.sqs import SqsHook

        return SqsHook().create_queue("sagemaker-human-steps")["QueueUrl"]

    gate = SageMakerPipelineTaskGroup(
        "gate",
        pipeline={
            "Version": "2020-12-01",
            "Parameters": [{"Name": "Rmse", "Type": "Float", "DefaultValue": 52.5}],
            "Steps": [
                {
                    "Name": "Approve",
                    "Type": "Callback",
                    "SqsQueueUrl": make_queue(),
                    "Arguments": {"rmse": {"Get": "Parameters.Rmse"}},
                    "OutputParameters": [{"OutputName": "reason", "OutputType": "String"}],
                }
            ],
        },
        pipeline_name="human-step",
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
        shape="pipelines/human_step/shape.json",  # written by `sm-pipelines shape`
        parameters={"Rmse": "{{ params.Rmse }}"},
        callbacks={
            "Approve": {
                "subject": "Register the model with an RMSE of {{ params.Rmse }}?",
                "body": "Say why in *reason*: it is an output of the step.",
            }
        },
    )

    @task
    def tell(outputs: dict) -> str:
        """Say what the person has answered."""
        return f"Approved, since {outputs['reason']}"

    tell(gate.steps["Approve"].output["outputs"])
