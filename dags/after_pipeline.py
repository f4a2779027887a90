"""An execution that has succeeded starts this DAG, whoever started the execution.

EventBridge sends status changes to the queue ``sagemaker-ended``; docs/waiting.md says how to make rule and queue.
"""

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_sm_pipelines import SageMakerPipelineExecutionEventTrigger, pipeline_events

ended = Asset(
    "sagemaker-ended",
    watchers=[
        AssetWatcher(
            name="queue",
            trigger=SageMakerPipelineExecutionEventTrigger(queue="sagemaker-ended", statuses=["Succeeded"]),
        ),
    ],
)

with DAG("after_pipeline", schedule=[ended], doc_md=__doc__, tags=["sagemaker"]):

    @task
    def report(triggering_asset_events=None) -> list[str]:
        """Name the executions; a real DAG would deploy the model, or tell somebody."""
        return [event["execution_arn"] for event in pipeline_events(triggering_asset_events)]

    report()
