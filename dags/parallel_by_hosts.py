"""Share items among the instances of one processing job: each takes its part by its number among the hosts.

On a laptop: ``sm-pipelines local exec -- airflow dags test parallel_by_hosts``.
"""

import json

from airflow.sdk import DAG, Param, task

from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator

ITEMS = [
    {"name": "north", "values": [3, 4, 5]},
    {"name": "south", "values": [8, 1, 9]},
    {"name": "west", "values": [6, 6, 7]},
]

with DAG(
    "parallel_by_hosts",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={"items": Param(ITEMS, type="array", minItems=1), "hosts": Param(2, type="integer", minimum=1)},
):
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline="pipelines/parallel_parts/pipeline.py:get_pipeline",
        pipeline_name="parallel-by-hosts",
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
    )
    score = SageMakerRunPipelineOperator(
        task_id="score",
        pipeline_name=deploy.output["pipeline_name"],
        version=deploy.output["pipeline_version_id"],
        parameters={"Items": "{{ params['items'] | tojson }}", "Hosts": "{{ params.hosts }}"},
        outputs={"scores": "Steps.Score.ProcessingOutputConfig.Outputs['scores'].S3Output.S3Uri"},
        deferrable=True,
    )

    @task
    def gather(scores: str) -> list[dict]:
        """Give what all hosts wrote: they share one S3 address."""
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        bucket, prefix = S3Hook.parse_s3_url(scores)
        return [json.loads(S3Hook().read_key(key, bucket)) for key in S3Hook().list_keys(bucket, prefix=f"{prefix}/")]

    gather(score.output["scores"])
