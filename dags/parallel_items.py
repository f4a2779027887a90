"""Run a pipeline's steps once per item, side by side, and read what the iterations gave.

The items are a pipeline parameter; the ForEach step of ``pipelines/parallel_items/definition.json`` makes a processing
job of each. On AWS, set the Airflow variables ``sagemaker_role_arn`` and ``sagemaker_bucket``.
On a laptop: ``sm-pipelines local exec -- airflow dags test parallel_items``.
"""

import json

from airflow.providers.amazon.aws.operators.s3 import S3CreateBucketOperator
from airflow.sdk import DAG, Param, task

from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator

ROLE = "{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}"
BUCKET = "{{ var.value.get('sagemaker_bucket', 'parallel-items') }}"
ITEMS = [
    {"name": "north", "values": [3, 4, 5]},
    {"name": "south", "values": [8, 1, 9]},
    {"name": "west", "values": [6, 6, 7]},
]

with DAG(
    "parallel_items",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={"items": Param(ITEMS, type="array", minItems=1, description="One iteration for each")},
):
    bucket = S3CreateBucketOperator(task_id="bucket", bucket_name=BUCKET)
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline="pipelines/parallel_items/definition.json",
        pipeline_name="parallel-items",
        role_arn=ROLE,
    )
    score = SageMakerRunPipelineOperator(
        task_id="score",
        pipeline_name=deploy.output["pipeline_name"],
        parameters={
            "Items": "{{ params['items'] | tojson }}",
            "OutputUri": f"s3://{BUCKET}/scores",
            "RoleArn": ROLE,
        },
        outputs={
            "count": "Steps.ScoreAll.InputItemCount",
            "first_job": "Steps.ScoreAll.IterationOutputs[0].Score.ProcessingJobName",
            # The steps that a ForEach step makes are called after the body's step and the index.
            "first_score": {"property_file": "Steps.Score-0.PropertyFiles.Score", "path": "score"},
        },
        deferrable=True,
    )

    @task
    def find_best(steps: list[dict]) -> dict:
        """Give the item with the highest score: every iteration is among the steps."""
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook
        from airflow.providers.amazon.aws.hooks.sagemaker import SageMakerHook

        scores = []
        for step in steps:
            if step.get("iteration") is not None:
                job = SageMakerHook().describe_processing_job(step["job_arn"].rpartition("/")[2])
                uri = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
                key, name = S3Hook.parse_s3_url(f"{uri}/score.json")[::-1]
                scores.append(json.loads(S3Hook().read_key(key, name)))
        best = max(scores, key=lambda entry: entry["score"])
        print(f"{len(scores)} items, best: {best['name']} with {best['score']}")
        return best

    bucket >> score
    find_best(score.output["steps"])
