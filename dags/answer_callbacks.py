"""Callback steps start this DAG: each message in their queue becomes a task that does the work, and one that answers.

On a laptop, under ``sm-pipelines local serve`` and ``airflow standalone``; unpause the DAG, and start a pipeline with a
Callback step whose ``SqsQueueUrl`` is the queue ``sagemaker-callbacks``.
"""

from airflow.sdk import DAG, Asset, AssetWatcher, task, task_group

from airflow_sm_pipelines import (
    SageMakerAnswerCallbackOperator,
    SageMakerPipelineCallbackEventTrigger,
    pipeline_events,
)

asked = Asset(
    "sagemaker-callbacks",
    watchers=[
        AssetWatcher(name="queue", trigger=SageMakerPipelineCallbackEventTrigger(queue="sagemaker-callbacks")),
    ],
)

with DAG("answer_callbacks", schedule=[asked], doc_md=__doc__, tags=["sagemaker"]):

    @task
    def read_requests(triggering_asset_events=None) -> list[dict]:
        """What the steps ask; Airflow gathers several messages in one run."""
        return pipeline_events(triggering_asset_events)

    @task
    def count_rows(request: dict) -> dict:
        """The step's work: its arguments in, its declared outputs out."""
        return {"rows": len(request["arguments"]["lines"])}

    @task_group
    def serve(request: dict):
        """One step: do its work and answer, or say that it failed, so that the step does not wait for ever."""
        outputs = count_rows(request)
        answer = SageMakerAnswerCallbackOperator(task_id="answer", token=request, outputs=outputs)
        refused = SageMakerAnswerCallbackOperator(
            task_id="refuse",
            token=request,
            success=False,
            failure_reason="The work failed in Airflow",
            trigger_rule="one_failed",
        )
        [outputs, answer] >> refused

    serve.expand(request=read_requests())
