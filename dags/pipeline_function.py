"""Write a pipeline as a function of the DAG: its body is the pipeline script, its arguments may be XComs.

It runs in an interpreter of its own, so the SageMaker SDK is not installed beside Airflow.
On a laptop: ``sm-pipelines local exec -- airflow dags test pipeline_function``.
"""

from airflow.sdk import DAG, task

with DAG("pipeline_function", schedule=None, doc_md=__doc__, tags=["sagemaker"]):

    @task
    def choose() -> dict:
        """Give the item to score."""
        return {"name": "north", "values": [3, 4, 5]}

    @task.sagemaker_pipeline(
        requirements=["sagemaker>=2.257,<3"],
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
        outputs={"scores": "Steps.Score.ProcessingOutputConfig.Outputs['scores'].S3Output.S3Uri"},
        deferrable=True,
    )
    def score(item, sagemaker_session, role, pipeline_name):
        """Score an item in a processing job."""
        import json

        from sagemaker.processing import ProcessingOutput
        from sagemaker.sklearn.processing import SKLearnProcessor
        from sagemaker.workflow.pipeline import Pipeline
        from sagemaker.workflow.steps import ProcessingStep

        processor = SKLearnProcessor(
            "1.2-1", role, instance_type="ml.m5.large", instance_count=1, sagemaker_session=sagemaker_session
        )
        arguments = processor.run(
            code="pipelines/parallel_parts/steps/score.py",  # seen from the DAG file
            arguments=[json.dumps([item])],
            outputs=[ProcessingOutput(output_name="scores", source="/opt/ml/processing/scores")],
        )
        step = ProcessingStep("Score", step_args=arguments)
        return Pipeline(pipeline_name, steps=[step], sagemaker_session=sagemaker_session)

    @task
    def gather(runs: list[dict]) -> list[dict]:
        """Give the scores of all runs."""
        import json

        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        found = []
        for run in runs:
            bucket, prefix = S3Hook.parse_s3_url(run["scores"])
            for key in S3Hook().list_keys(bucket, prefix=f"{prefix}/"):
                found.append(json.loads(S3Hook().read_key(key, bucket)))
        return found

    one = score(choose())
    others = [{"name": "south", "values": [8, 1, 9]}, {"name": "west", "values": [6, 6, 7]}]
    each = score.override(task_id="score_each", max_active_tis_per_dagrun=2).expand(item=others)
    one >> each
    gather(each)
